//! External realms.

use std::str::FromStr as _;

use axum::extract::{RawQuery, State};
use serde::Serialize;
use serde_json::Value;
use tenantry_domain::access::Role;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::{Missing, Result};
use tenantry_domain::id::RealmId;
use tenantry_domain::page::PageRequest;
use tenantry_domain::realm::{Algorithm, NewRealm, Realm, RealmName, RealmPatch, RoleMapping};
use tenantry_domain::realm_rules::{
    ClaimPath, LEEWAY, LEEWAY_MAX, MAPPING_MAX, ROLES_CLAIM, Reach, TENANT_CLAIM, algorithms,
    audience, mapping_word,
};
use utoipa::{IntoParams, ToSchema};

use super::change::Change;
use super::lists::{CursorParams, OffsetParams, PageBody};
use super::{Answer, schemas, unless_missing};
use crate::app::App;
use crate::envelope::{Success, created, ok, tagged, unless_known};
use crate::error::ApiError;
use crate::extract::body::{JsonBody, Media};
use crate::extract::members::{Members, boolean, integer_in, string, strings};
use crate::extract::query::Query;
use crate::extract::scope::{CallerScope, RealmInPath};
use crate::router::API;

/// An external realm: an `OpenID` provider whose tokens are taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Realm)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RealmBody<'a> {
    /// What `realmname`, tenants and external ids name it by. It does not change.
    #[schema(schema_with = schemas::realm_name)]
    name: &'a RealmName,
    /// The `iss` of its tokens, to the letter.
    #[schema(schema_with = schemas::provider_url)]
    issuer: &'a str,
    /// Where its keys are; null: where its discovery document says.
    #[schema(schema_with = schemas::provider_url_or_null, required = true)]
    jwks_uri: Option<&'a str>,
    /// What its tokens must be meant for, beside whatever else.
    #[schema(schema_with = schemas::audience)]
    audience: &'a str,
    #[schema(schema_with = schemas::algorithms)]
    algorithms: &'a [Algorithm],
    /// Where its tokens name the tenant, by its id.
    #[schema(schema_with = schemas::claim_path)]
    tenant_claim: &'a ClaimPath,
    /// Where its tokens name the roles.
    #[schema(schema_with = schemas::claim_path)]
    roles_claim: &'a ClaimPath,
    /// What those mean here; null: they are named as here.
    #[schema(schema_with = schemas::role_mapping_or_null, required = true)]
    role_mapping: Option<&'a RoleMapping>,
    /// How far its clock may be off.
    #[schema(maximum = 300)]
    leeway_seconds: u32,
    /// Whether it vouches for principals of the platform's own tenant, super admins among them.
    platform: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl<'a> From<&'a Realm> for RealmBody<'a> {
    fn from(realm: &'a Realm) -> Self {
        Self {
            name: &realm.name,
            issuer: &realm.issuer,
            jwks_uri: realm.jwks_uri.as_deref(),
            audience: &realm.audience,
            algorithms: &realm.algorithms,
            tenant_claim: &realm.tenant_claim,
            roles_claim: &realm.roles_claim,
            role_mapping: realm.role_mapping.as_ref(),
            leeway_seconds: realm.leeway_seconds,
            platform: realm.platform,
            created_at: realm.created_at,
            updated_at: realm.updated_at,
        }
    }
}

/// An external realm to be made.
#[derive(ToSchema)]
#[schema(as = NewRealm)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "this is how the document tells it; `read_new` reads it")]
pub(super) struct NewRealmBody {
    /// `tenantry` is the built-in realm's.
    #[schema(schema_with = schemas::realm_name)]
    name: String,
    #[schema(schema_with = schemas::provider_url)]
    issuer: String,
    /// Where its discovery document says unless given.
    #[schema(schema_with = schemas::provider_url_or_null, required = false)]
    jwks_uri: Option<String>,
    #[schema(schema_with = schemas::audience)]
    audience: String,
    /// All of them unless given.
    #[schema(schema_with = schemas::algorithms, required = false)]
    algorithms: Option<Vec<String>>,
    /// `tenant` unless given.
    #[schema(schema_with = schemas::claim_path, required = false)]
    tenant_claim: Option<String>,
    /// `roles` unless given.
    #[schema(schema_with = schemas::claim_path, required = false)]
    roles_claim: Option<String>,
    #[schema(schema_with = schemas::role_mapping_or_null, required = false)]
    role_mapping: Option<Value>,
    #[schema(maximum = 300, default = 5, nullable = false)]
    leeway_seconds: Option<u32>,
    #[schema(default = false, nullable = false)]
    platform: Option<bool>,
}

/// A change of an external realm: a merge patch (RFC 7396).
#[derive(ToSchema)]
#[schema(as = RealmPatch)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "this is how the document tells it; `read_patch` reads it")]
pub(super) struct RealmPatchBody {
    #[schema(schema_with = schemas::provider_url, required = false)]
    issuer: Option<String>,
    #[schema(schema_with = schemas::provider_url_or_null, required = false)]
    jwks_uri: Option<String>,
    #[schema(schema_with = schemas::audience, required = false)]
    audience: Option<String>,
    #[schema(schema_with = schemas::algorithms, required = false)]
    algorithms: Option<Vec<String>>,
    #[schema(schema_with = schemas::claim_path, required = false)]
    tenant_claim: Option<String>,
    #[schema(schema_with = schemas::claim_path, required = false)]
    roles_claim: Option<String>,
    #[schema(schema_with = schemas::role_mapping_patch, required = false)]
    role_mapping: Option<Value>,
    #[schema(maximum = 300, nullable = false)]
    leeway_seconds: Option<u32>,
    #[schema(nullable = false)]
    platform: Option<bool>,
}

/// How external realms are listed.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "this is how the document tells it; `read_query` reads it")]
pub(super) struct RealmParams {
    /// What to sort by, with `-` before it to turn the order round.
    #[param(inline, value_type = Option<schemas::of::RealmSort>)]
    sort: Option<String>,
}

/// Reads an object whose members are words, each with what `read` makes of it.
fn read_words<T, M: FromIterator<(String, T)>>(
    value: Value,
    read: impl Fn(Value) -> Result<T, String>,
) -> Result<M, String> {
    let Value::Object(words) = value else { return Err("must be an object".to_owned()) };
    if words.len() > MAPPING_MAX {
        return Err(format!("must have at most {MAPPING_MAX} members"));
    }
    words
        .into_iter()
        .map(|(word, value)| {
            mapping_word(&word)?;
            Ok((word, read(value)?))
        })
        .collect()
}

fn read_role(value: Value) -> Result<Role, String> {
    let wrong = "must have members of member, tenant_admin, super_admin";
    string(Role::from_str)(value).map_err(|_| wrong.to_owned())
}

fn read_mapping(value: Value) -> Result<RoleMapping, String> {
    read_words(value, read_role)
}

pub(super) fn read_new(
    mut body: Members,
    reach: Reach,
    new_id: impl FnOnce() -> RealmId,
) -> Result<NewRealm> {
    let name = body.required("name", string(RealmName::parse));
    let issuer = body.required("issuer", string(|text| reach.issuer(text)));
    let jwks_uri = body.optional("jwksUri", string(|text| reach.jwks_uri(text)));
    let audience = body.required("audience", string(audience));
    let algorithms = body.given("algorithms", strings(algorithms));
    let tenant_claim = body.given("tenantClaim", string(ClaimPath::parse));
    let roles_claim = body.given("rolesClaim", string(ClaimPath::parse));
    let role_mapping = body.optional("roleMapping", read_mapping);
    let leeway_seconds = body.given("leewaySeconds", integer_in(0..=LEEWAY_MAX));
    let platform = body.given("platform", |value| boolean(&value));
    let usual = |path: &str| ClaimPath::from_stored(path.to_owned());
    let known = name.zip(issuer).zip(audience);
    body.build(known.map(|((name, issuer), audience)| NewRealm {
        id: new_id(),
        name,
        issuer,
        jwks_uri,
        audience,
        algorithms: algorithms.unwrap_or_else(|| Algorithm::ALL.to_vec()),
        tenant_claim: tenant_claim.unwrap_or_else(|| usual(TENANT_CLAIM)),
        roles_claim: roles_claim.unwrap_or_else(|| usual(ROLES_CLAIM)),
        role_mapping,
        leeway_seconds: leeway_seconds.unwrap_or(LEEWAY),
        platform: platform.unwrap_or_default(),
    }))
}

pub(super) fn read_patch(mut body: Members, reach: Reach) -> Result<RealmPatch> {
    let role_or_none = |value| match value {
        Value::Null => Ok(None),
        value => read_role(value).map(Some),
    };
    body.refuse("name", "does not change: make another realm");
    let patch = RealmPatch {
        issuer: body.given("issuer", string(|text| reach.issuer(text))),
        jwks_uri: body.patch("jwksUri", string(|text| reach.jwks_uri(text))),
        audience: body.given("audience", string(audience)),
        algorithms: body.given("algorithms", strings(algorithms)),
        tenant_claim: body.given("tenantClaim", string(ClaimPath::parse)),
        roles_claim: body.given("rolesClaim", string(ClaimPath::parse)),
        role_mapping: body.patch("roleMapping", |value| read_words(value, role_or_none)),
        leeway_seconds: body.given("leewaySeconds", integer_in(0..=LEEWAY_MAX)),
        platform: body.given("platform", |value| boolean(&value)),
    };
    body.build(Some(patch))
}

pub(crate) fn read_query(raw: Option<&str>) -> Result<PageRequest<Realm>> {
    let mut query = Query::parse(raw);
    let page = query.page();
    query.finish().map(|()| page)
}

/// Make an external realm
///
/// Tokens of its provider are taken from now on, for tenants whose `realmName` it is.
#[utoipa::path(
    post,
    path = "/admin/realms",
    operation_id = "createRealm",
    tag = "Realms",
    request_body(content = NewRealmBody),
    responses((status = 201, description = "The realm.", body = Success<RealmBody<'_>>)),
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
    let new = read_new(body, app.service.reach(), || app.service.new_realm_id())?;
    let change = Change::begin(&app, &scope.terms, access, |at, realm: &Realm| {
        let location = format!("{API}/admin/realms/{}", realm.name);
        let body = RealmBody::from(realm);
        tagged(realm, created(at, "Realm created successfully", body, &location))
    })?;
    change.answer(&app, app.service.create_realm(&change.access, new)).await
}

/// List the external realms
#[utoipa::path(
    get,
    path = "/admin/realms",
    operation_id = "listRealms",
    tag = "Realms",
    params(RealmParams, OffsetParams, CursorParams),
    responses((status = 200, description = "A page.", body = Success<PageBody<RealmBody<'_>>>)),
    extensions(("x-tenantry-access" = json!("super_admin")))
)]
pub(crate) async fn list(
    State(app): State<App>,
    scope: CallerScope,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize_platform(&app).await?;
    let request = read_query(query.as_deref())?;
    let page = app.service.list_realms(&access, &request).await?;
    let items: Vec<_> = page.items.iter().map(RealmBody::from).collect();
    ok(&app, "Realms retrieved successfully", PageBody::new(&page, &request, items))
}

/// Read an external realm
#[utoipa::path(
    get,
    path = "/admin/realms/{name}",
    operation_id = "getRealm",
    tag = "Realms",
    responses((status = 200, description = "The realm.", body = Success<RealmBody<'_>>)),
    extensions(("x-tenantry-access" = json!("super_admin")))
)]
pub(crate) async fn read(
    State(app): State<App>,
    scope: CallerScope,
    realm: RealmInPath,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize_platform(&app).await?;
    let realm = app.service.realm_named(&access, &realm.or(Missing::Realm)?).await?;
    Query::none(query.as_deref())?;
    let answer = ok(&app, "Realm retrieved successfully", RealmBody::from(&realm));
    unless_known(&scope.terms, &realm, answer)
}

/// Change an external realm
///
/// Tokens are judged by what it is then from the next request on.
#[utoipa::path(
    patch,
    path = "/admin/realms/{name}",
    operation_id = "updateRealm",
    tag = "Realms",
    request_body(content(
        (RealmPatchBody = "application/merge-patch+json"),
        (RealmPatchBody = "application/json")
    )),
    responses((status = 200, description = "The realm then.", body = Success<RealmBody<'_>>)),
    extensions(("x-tenantry-access" = json!("super_admin")))
)]
pub(crate) async fn update(
    State(app): State<App>,
    scope: CallerScope,
    realm: RealmInPath,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> Answer {
    let access = scope.authorize_platform(&app).await?;
    let name = realm.or(Missing::Realm)?;
    let said = async {
        Query::none(query.as_deref())?;
        let body = body.read(&app, Media::MergePatch).await?;
        Ok::<_, ApiError>(read_patch(body, app.service.reach())?)
    };
    let patch = unless_missing(said.await, app.service.realm_named(&access, &name)).await?;
    let realm = app.service.update_realm(&access, &name, patch).await?;
    tagged(&realm, ok(&app, "Realm updated successfully", RealmBody::from(&realm)))
}

/// Delete an external realm
///
/// Its tokens are refused from the next request on. Tenants and users keep its name, so one of the
/// same name that is made later is theirs.
#[utoipa::path(
    delete,
    path = "/admin/realms/{name}",
    operation_id = "deleteRealm",
    tag = "Realms",
    responses((status = 200, description = "What it was.", body = Success<RealmBody<'_>>)),
    extensions(("x-tenantry-access" = json!("super_admin")))
)]
pub(crate) async fn delete(
    State(app): State<App>,
    scope: CallerScope,
    realm: RealmInPath,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize_platform(&app).await?;
    let name = realm.or(Missing::Realm)?;
    let there = app.service.realm_named(&access, &name);
    unless_missing(Query::none(query.as_deref()), there).await?;
    let realm = app.service.delete_realm(&access, &name).await?;
    ok(&app, "Realm deleted successfully", RealmBody::from(&realm))
}
