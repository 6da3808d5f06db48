//! Users.

use std::str::FromStr as _;

use axum::extract::{RawQuery, State};
use serde::Serialize;
use serde_json::Value;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::{Missing, Result};
use tenantry_domain::id::UserId;
use tenantry_domain::page::PageRequest;
use tenantry_domain::patch::Patch;
use tenantry_domain::scope::Scope;
use tenantry_domain::text::{Email, Name};
use tenantry_domain::user::{
    ExternalId, ExternalIdPatch, SUBJECT_MAX, User, UserFilter, UserPatch, UserRole, UserRoles,
    UserStatus, UserStatusFilter,
};
use tenantry_security::password::check_password;
use tenantry_security::secret::SecretText;
use tenantry_service::UserDraft;
use utoipa::{IntoParams, ToSchema};

use super::change::Change;
use super::lists::{CursorParams, OffsetParams, PageBody};
use super::{Answer, schemas, unless_missing};
use crate::app::App;
use crate::envelope::{Success, WarnedSuccess, created, ok, ok_warned, tagged, unless_known};
use crate::error::ApiError;
use crate::extract::body::{JsonBody, Media};
use crate::extract::members::{Members, string};
use crate::extract::query::Query;
use crate::extract::scope::{IdInPath, TenantScope};
use crate::extract::values::{line_of, realm_name, search};
use crate::router::API;

/// A user of a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserBody<'a> {
    #[schema(value_type = String, format = "uuid")]
    id: UserId,
    /// Who it is in an external realm, if it comes from one.
    #[schema(required = true)]
    external_id: Option<ExternalIdBody<'a>>,
    /// Unique in the tenant, without regard to case.
    #[schema(format = "idn-email")]
    email: &'a str,
    #[schema(required = true)]
    name: Option<&'a str>,
    /// All but active ones cannot sign in.
    #[schema(schema_with = schemas::user_status)]
    status: UserStatus,
    #[schema(schema_with = schemas::user_roles)]
    roles: UserRoles,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    last_login_at: Option<Timestamp>,
}

/// Who a person is in an external realm.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExternalId)]
#[serde(deny_unknown_fields)]
struct ExternalIdBody<'a> {
    /// The realm's name.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    realm: &'a str,
    /// The person's `sub` there.
    #[schema(schema_with = schemas::subject)]
    subject: &'a str,
}

impl<'a> From<&'a User> for UserBody<'a> {
    fn from(user: &'a User) -> Self {
        Self {
            id: user.id,
            external_id: user
                .external_id
                .as_ref()
                .map(|ExternalId { realm, subject }| ExternalIdBody { realm, subject }),
            email: user.email.as_str(),
            name: user.name.as_ref().map(Name::as_str),
            status: user.status,
            roles: user.roles,
            created_at: user.created_at,
            updated_at: user.updated_at,
            last_login_at: user.last_login_at,
        }
    }
}

/// A user to be made.
#[derive(ToSchema)]
#[schema(as = NewUser)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "this is how the document tells it; `read_new` reads it")]
pub(super) struct NewUserBody {
    #[schema(format = "idn-email", max_length = 254)]
    email: String,
    #[schema(schema_with = schemas::name_or_null, required = false)]
    name: Option<String>,
    /// `active` unless given.
    #[schema(schema_with = schemas::user_status, required = false)]
    status: Option<String>,
    /// `["member"]` unless given.
    #[schema(schema_with = schemas::user_roles, required = false)]
    roles: Option<Vec<String>>,
    external_id: Option<ExternalIdBody<'static>>,
    #[schema(schema_with = schemas::password_or_null, required = false)]
    password: Option<String>,
}

/// A change of a user: a merge patch (RFC 7396).
#[derive(ToSchema)]
#[schema(as = UserPatch)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "this is how the document tells it; `read_patch` reads it")]
pub(super) struct UserPatchBody {
    #[schema(format = "idn-email", max_length = 254, nullable = false)]
    email: Option<String>,
    #[schema(schema_with = schemas::name_or_null, required = false)]
    name: Option<String>,
    #[schema(schema_with = schemas::user_status, required = false)]
    status: Option<String>,
    #[schema(schema_with = schemas::user_roles, required = false)]
    roles: Option<Vec<String>>,
    external_id: Option<ExternalIdPatchBody>,
}

/// A change of who a person is in an external realm. What is not given stays.
#[derive(ToSchema)]
#[schema(as = ExternalIdPatch)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "this is how the document tells it; `read_patch` reads it")]
struct ExternalIdPatchBody {
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$", nullable = false)]
    realm: Option<String>,
    #[schema(schema_with = schemas::subject, required = false)]
    subject: Option<String>,
}

/// Which users to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "this is how the document tells it; `read_query` reads it")]
pub(super) struct UserParams {
    /// Those in this state; `inactive`: in any but active.
    #[param(inline, value_type = Option<schemas::of::UserStatusFilter>)]
    status: Option<String>,
    /// Those who hold this role.
    #[param(inline, value_type = Option<schemas::of::UserRole>)]
    role: Option<String>,
    /// Those whose e-mail or name contains this, without regard to case.
    #[param(inline, value_type = Option<schemas::of::Search>)]
    q: Option<String>,
    /// What to sort by, with `-` before it to turn the order round.
    #[param(inline, value_type = Option<schemas::of::UserSort>)]
    sort: Option<String>,
}

fn read_roles(value: Value) -> Result<UserRoles, String> {
    let names: Vec<String> = serde_json::from_value(value)
        .map_err(|_| "must be a list of tenant_admin, member".to_owned())?;
    UserRoles::parse(names.iter().map(String::as_str))
}

fn read_external_id(body: &mut Members) -> Option<ExternalId> {
    let read = body.object("externalId.", |members| {
        let realm = members.required("realm", string(realm_name));
        let subject = members.required("subject", string(line_of(SUBJECT_MAX)));
        realm.zip(subject).map(|(realm, subject)| ExternalId { realm, subject })
    });
    read.set().flatten()
}

fn read_external_id_patch(body: &mut Members) -> Patch<ExternalIdPatch> {
    body.object("externalId.", |members| ExternalIdPatch {
        realm: members.given("realm", string(realm_name)),
        subject: members.given("subject", string(line_of(SUBJECT_MAX))),
    })
}

pub(super) fn read_password(value: Value) -> Result<SecretText, String> {
    let Value::String(text) = value else { return Err("must be a string".to_owned()) };
    let password = SecretText::new(text);
    check_password(&password)?;
    Ok(password)
}

pub(super) fn read_new(mut body: Members) -> Result<UserDraft> {
    let email = body.required("email", string(Email::parse));
    let name = body.optional("name", string(Name::parse));
    let status = body.given("status", string(UserStatus::from_str)).unwrap_or(UserStatus::Active);
    let member = UserRoles { member: true, ..UserRoles::default() };
    let roles = body.given("roles", read_roles).unwrap_or(member);
    let external_id = read_external_id(&mut body);
    let password = body.optional("password", read_password);
    body.build(email.map(|email| UserDraft { external_id, email, name, status, roles, password }))
}

pub(super) fn read_patch(mut body: Members) -> Result<UserPatch> {
    let patch = UserPatch {
        external_id: read_external_id_patch(&mut body),
        email: body.given("email", string(Email::parse)),
        name: body.patch("name", string(Name::parse)),
        status: body.given("status", string(UserStatus::from_str)),
        roles: body.given("roles", read_roles),
    };
    body.build(Some(patch))
}

fn read_status_filter(text: &str) -> Result<UserStatusFilter, String> {
    if text == "inactive" {
        return Ok(UserStatusFilter::Inactive);
    }
    let status = text.parse().map_err(|problem| format!("{problem}, inactive"))?;
    Ok(UserStatusFilter::Is(status))
}

pub(crate) fn read_query(raw: Option<&str>) -> Result<(UserFilter, PageRequest<User>)> {
    let mut query = Query::parse(raw);
    let filter = UserFilter {
        status: query.take("status", read_status_filter),
        role: query.take("role", UserRole::from_str),
        q: query.take("q", search),
    };
    let page = query.page();
    query.finish()?;
    Ok((filter, page))
}

/// Make a user
///
/// Nobody gives a role that they do not have themselves.
#[utoipa::path(
    post,
    path = "/admin/tenants/{tenantId}/users",
    operation_id = "createUser",
    tag = "Users",
    request_body(content = NewUserBody),
    responses((status = 201, description = "The user.", body = Success<UserBody<'_>>)),
    extensions(("x-tenantry-access" = json!("users:write")))
)]
pub(crate) async fn create(
    State(app): State<App>,
    scope: TenantScope,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> Answer {
    let access = scope.authorize(&app, Scope::UsersWrite).await?;
    let said = async {
        Query::none(query.as_deref())?;
        Ok::<_, ApiError>(read_new(body.read(&app, Media::Json).await?)?)
    };
    let draft = unless_missing(said.await, app.service.tenant(&access)).await?;
    let tenant = access.tenant();
    let change = Change::begin(&app, &scope.terms, access, move |at, user: &User| {
        let location = format!("{API}/admin/tenants/{tenant}/users/{}", user.id);
        let body = UserBody::from(user);
        tagged(user, created(at, "User created successfully", body, &location))
    })?;
    change.answer(&app, app.service.create_user(&change.access, draft)).await
}

/// List the users
#[utoipa::path(
    get,
    path = "/admin/tenants/{tenantId}/users",
    operation_id = "listUsers",
    tag = "Users",
    params(UserParams, OffsetParams, CursorParams),
    responses((status = 200, description = "A page.", body = Success<PageBody<UserBody<'_>>>)),
    extensions(("x-tenantry-access" = json!("users:read")))
)]
pub(crate) async fn list(
    State(app): State<App>,
    scope: TenantScope,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize(&app, Scope::UsersRead).await?;
    let said = read_query(query.as_deref());
    let (filter, request) = unless_missing(said, app.service.tenant(&access)).await?;
    let page = app.service.list_users(&access, &filter, &request).await?;
    let items: Vec<_> = page.items.iter().map(UserBody::from).collect();
    ok(&app, "Users retrieved successfully", PageBody::new(&page, &request, items))
}

/// Read a user
#[utoipa::path(
    get,
    path = "/admin/tenants/{tenantId}/users/{id}",
    operation_id = "getUser",
    tag = "Users",
    responses((status = 200, description = "The user.", body = Success<UserBody<'_>>)),
    extensions(("x-tenantry-access" = json!("users:read")))
)]
pub(crate) async fn read(
    State(app): State<App>,
    scope: TenantScope,
    user: IdInPath<UserId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize(&app, Scope::UsersRead).await?;
    let user = app.service.read_user(&access, user.or(Missing::User)?).await?;
    Query::none(query.as_deref())?;
    let answer = ok(&app, "User retrieved successfully", UserBody::from(&user));
    unless_known(&scope.terms, &user, answer)
}

/// Change a user
///
/// Nobody gives a role that they do not have themselves.
#[utoipa::path(
    patch,
    path = "/admin/tenants/{tenantId}/users/{id}",
    operation_id = "updateUser",
    tag = "Users",
    request_body(content(
        (UserPatchBody = "application/merge-patch+json"),
        (UserPatchBody = "application/json")
    )),
    responses((status = 200, description = "The user then.", body = WarnedSuccess<UserBody<'_>>)),
    extensions(("x-tenantry-access" = json!("users:write")))
)]
pub(crate) async fn update(
    State(app): State<App>,
    scope: TenantScope,
    user: IdInPath<UserId>,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> Answer {
    let access = scope.authorize(&app, Scope::UsersWrite).await?;
    let id = user.or(Missing::User)?;
    let said = async {
        Query::none(query.as_deref())?;
        Ok::<_, ApiError>(read_patch(body.read(&app, Media::MergePatch).await?)?)
    };
    let patch = unless_missing(said.await, app.service.user(&access, id)).await?;
    let done = app.service.update_user(&access, id, patch).await?;
    let user = &done.value;
    let body = UserBody::from(user);
    tagged(user, ok_warned(&app, "User updated successfully", body, done.warnings))
}

/// How to delete a user.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "this is how the document tells it; `read_delete_query` reads it")]
pub(super) struct DeleteParams {
    /// Whether to erase the person too.
    #[param(default = false)]
    erase: Option<bool>,
}

/// What an erasure led to. It tells nothing of the person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erasure)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErasureBody {
    #[schema(value_type = String, format = "uuid")]
    id: UserId,
    /// How many entries of the audit log lost clear text.
    entries_erased: u64,
}

/// What deleting a user answers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedUser)]
#[serde(untagged)]
pub(super) enum DeletedBody<'a> {
    /// What it was.
    User(UserBody<'a>),
    /// What the erasure led to, with `erase=true`.
    Erasure(ErasureBody),
}

pub(super) fn read_delete_query(raw: Option<&str>) -> Result<bool> {
    let mut query = Query::parse(raw);
    let erase =
        query.take("erase", |text| text.parse::<bool>().map_err(|_| "must be true or false"));
    query.finish()?;
    Ok(erase.unwrap_or_default())
}

/// Delete a user
///
/// With `erase=true` the person is erased: their e-mail, name and address go from the row and from
/// every entry of the tenant's audit log, where `details` and what is personal about the actor are
/// null then. It works also for a user who was deleted before.
#[utoipa::path(
    delete,
    path = "/admin/tenants/{tenantId}/users/{id}",
    operation_id = "deleteUser",
    tag = "Users",
    params(DeleteParams),
    responses((status = 200, description = "What it was, or what the erasure led to.",
        body = WarnedSuccess<DeletedBody<'_>>)),
    extensions(("x-tenantry-access" = json!("users:write")))
)]
pub(crate) async fn delete(
    State(app): State<App>,
    scope: TenantScope,
    user: IdInPath<UserId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize(&app, Scope::UsersWrite).await?;
    let id = user.or(Missing::User)?;
    let said = read_delete_query(query.as_deref());
    if unless_missing(said, app.service.user(&access, id)).await? {
        let done = app.service.erase_user(&access, id).await?;
        let erased = ErasureBody { id, entries_erased: done.value.entries };
        let body = DeletedBody::Erasure(erased);
        return ok_warned(&app, "User erased successfully", body, done.warnings);
    }
    let done = app.service.delete_user(&access, id).await?;
    let body = DeletedBody::User(UserBody::from(&done.value));
    ok_warned(&app, "User deleted successfully", body, done.warnings)
}
