//! Tenants.

use std::str::FromStr as _;

use axum::extract::{RawQuery, State};
use serde::Serialize;
use serde_json::{Map, Value};
use tenantry_domain::access::Permission;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::Result;
use tenantry_domain::id::TenantId;
use tenantry_domain::page::PageRequest;
use tenantry_domain::patch::Patch;
use tenantry_domain::scope::Scope;
use tenantry_domain::tenant::{
    Governance, NewTenant, Subscription, Tenant, TenantFilter, TenantPatch, TenantStatus,
    check_settings,
};
use tenantry_domain::text::Name;
use utoipa::{IntoParams, ToSchema};

use super::change::Change;
use super::lists::{CursorParams, OffsetParams, PageBody};
use super::numbers::ExactMegabytes;
use super::{Answer, schemas, unless_missing};
use crate::app::App;
use crate::envelope::{Success, created, ok, tagged, unless_known};
use crate::error::ApiError;
use crate::extract::body::{JsonBody, Media};
use crate::extract::members::{Members, count, string};
use crate::extract::query::Query;
use crate::extract::scope::{CallerScope, TenantScope};
use crate::extract::values::{PLAN_MAX, http_url, line_of, realm_name, search};
use crate::router::API;

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tenant)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TenantBody<'a> {
    #[schema(value_type = String, format = "uuid")]
    id: TenantId,
    name: &'a str,
    /// The name its people see.
    #[schema(required = true)]
    display_name: Option<&'a str>,
    /// Where its service is.
    #[schema(required = true, format = "uri")]
    server_url: Option<&'a str>,
    /// The realm its people sign in to.
    #[schema(required = true)]
    realm_name: Option<&'a str>,
    /// The principals of a suspended tenant can look, and change nothing.
    #[schema(schema_with = schemas::tenant_status)]
    status: TenantStatus,
    #[schema(schema_with = schemas::settings)]
    settings: &'a Map<String, Value>,
    subscription: SubscriptionBody<'a>,
    /// How much it may store; null: no limit.
    #[serde(rename = "storageQuotaMB")]
    #[schema(schema_with = schemas::megabytes_or_null, required = true)]
    storage_quota: Option<ExactMegabytes>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// What a tenant has subscribed to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Subscription)]
#[serde(rename_all = "camelCase")]
struct SubscriptionBody<'a> {
    #[schema(required = true)]
    plan: Option<&'a str>,
    /// How many users the plan includes.
    #[schema(required = true)]
    users_limit: Option<u64>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    expires_at: Option<Timestamp>,
}

impl<'a> From<&'a Tenant> for TenantBody<'a> {
    fn from(tenant: &'a Tenant) -> Self {
        Self {
            id: tenant.id,
            name: tenant.name.as_str(),
            display_name: tenant.display_name.as_ref().map(Name::as_str),
            server_url: tenant.server_url.as_deref(),
            realm_name: tenant.realm_name.as_deref(),
            status: tenant.status,
            settings: &tenant.settings,
            subscription: SubscriptionBody {
                plan: tenant.subscription.plan.as_deref(),
                users_limit: tenant.subscription.users_limit,
                expires_at: tenant.subscription.expires_at,
            },
            storage_quota: tenant.storage_quota.map(ExactMegabytes),
            created_at: tenant.created_at,
            updated_at: tenant.updated_at,
        }
    }
}

/// A tenant to be made.
#[derive(ToSchema)]
#[schema(as = NewTenant)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "this is how the document tells it; `read_new` reads it")]
pub(super) struct NewTenantBody {
    /// An id of the caller's choice; it must never have been used before.
    #[schema(format = "uuid")]
    id: Option<String>,
    #[schema(schema_with = schemas::name)]
    name: String,
    #[schema(schema_with = schemas::name_or_null, required = false)]
    display_name: Option<String>,
    #[schema(schema_with = schemas::http_url_or_null, required = false)]
    server_url: Option<String>,
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    realm_name: Option<String>,
    #[schema(schema_with = schemas::settings, required = false)]
    settings: Option<Value>,
    subscription: Option<SubscriptionPatchBody>,
    #[serde(rename = "storageQuotaMB")]
    #[schema(schema_with = schemas::megabytes_or_null, required = false)]
    storage_quota: Option<f64>,
}

/// A change of a tenant: a merge patch (RFC 7396). A tenant admin may give `displayName`,
/// `serverUrl` and `settings` only.
#[derive(ToSchema)]
#[schema(as = TenantPatch)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "this is how the document tells it; `read_patch` reads it")]
pub(super) struct TenantPatchBody {
    #[schema(schema_with = schemas::name, required = false)]
    name: Option<String>,
    #[schema(schema_with = schemas::name_or_null, required = false)]
    display_name: Option<String>,
    #[schema(schema_with = schemas::http_url_or_null, required = false)]
    server_url: Option<String>,
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    realm_name: Option<String>,
    #[schema(schema_with = schemas::settings, required = false)]
    settings: Option<Value>,
    #[schema(nullable = false)]
    subscription: Option<SubscriptionPatchBody>,
    #[serde(rename = "storageQuotaMB")]
    #[schema(schema_with = schemas::megabytes_or_null, required = false)]
    storage_quota: Option<f64>,
}

/// What a tenant is to have subscribed to.
#[derive(ToSchema)]
#[schema(as = SubscriptionPatch)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "this is how the document tells it; `read_patch` reads it")]
pub(super) struct SubscriptionPatchBody {
    #[schema(schema_with = schemas::plan_or_null, required = false)]
    plan: Option<String>,
    #[schema(maximum = 9_007_199_254_740_992_u64)]
    users_limit: Option<u64>,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// Which tenants to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "this is how the document tells it; `read_query` reads it")]
pub(super) struct TenantParams {
    /// Those in this state.
    #[param(inline, value_type = Option<schemas::of::TenantStatus>)]
    status: Option<String>,
    /// Those whose name or display name contains this, without regard to case.
    #[param(inline, value_type = Option<schemas::of::Search>)]
    q: Option<String>,
    /// What to sort by, with `-` before it to turn the order round.
    #[param(inline, value_type = Option<schemas::of::TenantSort>)]
    sort: Option<String>,
}

pub(super) fn read_new(mut body: Members, new_id: impl FnOnce() -> TenantId) -> Result<NewTenant> {
    let id = body.optional("id", string(TenantId::from_str));
    let name = body.required("name", string(Name::parse));
    let display_name = body.optional("displayName", string(Name::parse));
    let server_url = body.optional("serverUrl", string(http_url));
    let realm_name = body.optional("realmName", string(realm_name));
    let settings = body.given("settings", check_settings).unwrap_or_default();
    let subscription = body.object("subscription.", |members| Subscription {
        plan: members.optional("plan", string(line_of(PLAN_MAX))),
        users_limit: members.optional("usersLimit", |value| count(&value)),
        expires_at: members.optional("expiresAt", string(Timestamp::from_str)),
    });
    let storage_quota = body.megabytes("storageQuotaMB").set();
    body.build(name.map(|name| NewTenant {
        id: id.unwrap_or_else(new_id),
        name,
        display_name,
        server_url,
        realm_name,
        settings,
        subscription: subscription.set().unwrap_or_default(),
        storage_quota,
    }))
}

pub(super) fn read_patch(mut body: Members) -> Result<TenantPatch> {
    let mut patch = TenantPatch {
        name: body.given("name", string(Name::parse)),
        display_name: body.patch("displayName", string(Name::parse)),
        server_url: body.patch("serverUrl", string(http_url)),
        realm_name: body.patch("realmName", string(realm_name)),
        settings: body.given("settings", |value| check_settings(value).map(Value::Object)),
        storage_quota: body.megabytes("storageQuotaMB"),
        ..TenantPatch::default()
    };
    let subscription = body.object("subscription.", |members| {
        patch.plan = members.patch("plan", string(line_of(PLAN_MAX)));
        patch.users_limit = members.patch("usersLimit", |value| count(&value));
        patch.subscription_expires_at = members.patch("expiresAt", string(Timestamp::from_str));
    });
    if subscription == Patch::Clear {
        body.problem("subscription", "must not be null");
    }
    body.build(Some(patch))
}

pub(crate) fn read_query(raw: Option<&str>) -> Result<(TenantFilter, PageRequest<Tenant>)> {
    let mut query = Query::parse(raw);
    let filter = TenantFilter {
        status: query.take("status", TenantStatus::from_str),
        q: query.take("q", search),
    };
    let page = query.page();
    query.finish()?;
    Ok((filter, page))
}

/// Make a tenant
#[utoipa::path(
    post,
    path = "/admin/tenants",
    operation_id = "createTenant",
    tag = "Tenants",
    request_body(content = NewTenantBody),
    responses((status = 201, description = "The tenant.", body = Success<TenantBody<'_>>)),
    extensions(("x-tenantry-access" = json!("super_admin")))
)]
pub(crate) async fn create(
    State(app): State<App>,
    scope: CallerScope,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> Answer {
    let access = scope.authorize_platform(&app).await?;
    Query::none(query.as_deref())?;
    let body = body.read(&app, Media::Json).await?;
    let new = read_new(body, || app.service.new_tenant_id())?;
    let change = Change::begin(&app, &scope.terms, access, |at, tenant: &Tenant| {
        let location = format!("{API}/admin/tenants/{}", tenant.id);
        let body = TenantBody::from(tenant);
        tagged(tenant, created(at, "Tenant created successfully", body, &location))
    })?;
    change.answer(&app, app.service.create_tenant(&change.access, new)).await
}

/// List the tenants
#[utoipa::path(
    get,
    path = "/admin/tenants",
    operation_id = "listTenants",
    tag = "Tenants",
    params(TenantParams, OffsetParams, CursorParams),
    responses((status = 200, description = "A page.", body = Success<PageBody<TenantBody<'_>>>)),
    extensions(("x-tenantry-access" = json!("super_admin")))
)]
pub(crate) async fn list(
    State(app): State<App>,
    scope: CallerScope,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize_platform(&app).await?;
    let (filter, request) = read_query(query.as_deref())?;
    let page = app.service.list_tenants(&access, &filter, &request).await?;
    let items: Vec<_> = page.items.iter().map(TenantBody::from).collect();
    ok(&app, "Tenants retrieved successfully", PageBody::new(&page, &request, items))
}

/// Read a tenant
#[utoipa::path(
    get,
    path = "/admin/tenants/{tenantId}",
    operation_id = "getTenant",
    tag = "Tenants",
    responses((status = 200, description = "The tenant.", body = Success<TenantBody<'_>>)),
    extensions(("x-tenantry-access" = json!("tenant:read")))
)]
pub(crate) async fn read(
    State(app): State<App>,
    scope: TenantScope,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize(&app, Scope::TenantRead).await?;
    let tenant = app.service.tenant(&access).await?;
    Query::none(query.as_deref())?;
    let answer = ok(&app, "Tenant retrieved successfully", TenantBody::from(&tenant));
    unless_known(&scope.terms, &tenant, answer)
}

/// Change a tenant
#[utoipa::path(
    patch,
    path = "/admin/tenants/{tenantId}",
    operation_id = "updateTenant",
    tag = "Tenants",
    request_body(content(
        (TenantPatchBody = "application/merge-patch+json"),
        (TenantPatchBody = "application/json")
    )),
    responses((status = 200, description = "The tenant then.", body = Success<TenantBody<'_>>)),
    extensions(("x-tenantry-access" = json!("tenant:write")))
)]
pub(crate) async fn update(
    State(app): State<App>,
    scope: TenantScope,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> Answer {
    let access = scope.authorize(&app, Scope::TenantWrite).await?;
    let said = async {
        Query::none(query.as_deref())?;
        Ok::<_, ApiError>(read_patch(body.read(&app, Media::MergePatch).await?)?)
    };
    let patch = unless_missing(said.await, app.service.tenant(&access)).await?;
    let tenant = app.service.update_tenant(&access, patch).await?;
    tagged(&tenant, ok(&app, "Tenant updated successfully", TenantBody::from(&tenant)))
}

/// Delete a tenant
///
/// It is gone at once, for everybody. Its ledger stays, and its id is never used again.
#[utoipa::path(
    delete,
    path = "/admin/tenants/{tenantId}",
    operation_id = "deleteTenant",
    tag = "Tenants",
    responses((status = 200, description = "What it was.", body = Success<TenantBody<'_>>)),
    extensions(("x-tenantry-access" = json!("super_admin")))
)]
pub(crate) async fn delete(app: State<App>, scope: TenantScope, query: RawQuery) -> Answer {
    govern(app, scope, query, Governance::Delete, "Tenant deleted successfully").await
}

/// Suspend a tenant
///
/// Its principals can look from now on, and change nothing.
#[utoipa::path(
    post,
    path = "/admin/tenants/{tenantId}/suspend",
    operation_id = "suspendTenant",
    tag = "Tenants",
    responses((status = 200, description = "The tenant then.", body = Success<TenantBody<'_>>)),
    extensions(("x-tenantry-access" = json!("super_admin")))
)]
pub(crate) async fn suspend(app: State<App>, scope: TenantScope, query: RawQuery) -> Answer {
    govern(app, scope, query, Governance::Suspend, "Tenant suspended successfully").await
}

/// Activate a suspended tenant
#[utoipa::path(
    post,
    path = "/admin/tenants/{tenantId}/activate",
    operation_id = "activateTenant",
    tag = "Tenants",
    responses((status = 200, description = "The tenant then.", body = Success<TenantBody<'_>>)),
    extensions(("x-tenantry-access" = json!("super_admin")))
)]
pub(crate) async fn activate(app: State<App>, scope: TenantScope, query: RawQuery) -> Answer {
    govern(app, scope, query, Governance::Activate, "Tenant activated successfully").await
}

async fn govern(
    State(app): State<App>,
    scope: TenantScope,
    RawQuery(query): RawQuery,
    act: Governance,
    done: &'static str,
) -> Answer {
    let access = scope.authorize(&app, Permission::Govern).await?;
    let allowed = async {
        act.check(access.tenant())?;
        app.service.tenant(&access).await
    };
    unless_missing(Query::none(query.as_deref()), allowed).await?;
    let change = Change::begin(&app, &scope.terms, access, move |at, tenant: &Tenant| {
        let answer = ok(at, done, TenantBody::from(tenant));
        if act == Governance::Delete { answer } else { tagged(tenant, answer) }
    })?;
    change.answer(&app, app.service.govern_tenant(&change.access, act)).await
}
