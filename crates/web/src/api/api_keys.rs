//! API keys.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr as _;

use axum::extract::{RawQuery, State};
use serde::Serialize;
use serde_json::Value;
use tenantry_domain::api_key::{
    ApiKey, ApiKeyDetails, ApiKeyFilter, ApiKeyStatus, GRACE_MAX_SECONDS, KeyRefusal,
    RATE_LIMIT_MAX,
};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::{Missing, Result};
use tenantry_domain::id::{ApiKeyId, TenantId};
use tenantry_domain::network::{self, Network};
use tenantry_domain::page::PageRequest;
use tenantry_domain::scope::{Scope, Scopes};
use tenantry_domain::text::Name;
use tenantry_security::secret::SecretText;
use tenantry_service::{ApiKeyDraft, IssuedApiKey, KeyValidation, ReissuedApiKey};
use utoipa::{IntoParams, ToSchema};

use super::change::Change;
use super::lists::{CursorParams, OffsetParams, PageBody};
use super::{Answer, schemas, unless_missing};
use crate::app::App;
use crate::envelope::{Success, created_secret, ok, ok_secret, tagged};
use crate::error::ApiError;
use crate::extract::body::{JsonBody, Media};
use crate::extract::members::{Members, integer_in, string, strings};
use crate::extract::query::Query;
use crate::extract::scope::{CallerScope, IdInPath};
use crate::router::API;

/// A key with which a machine calls in place of a person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiKeyBody<'a> {
    #[schema(value_type = String, format = "uuid")]
    id: ApiKeyId,
    name: &'a str,
    /// The first characters of the key, to recognise it by.
    prefix: &'a str,
    #[schema(schema_with = schemas::scopes)]
    scopes: &'a Scopes,
    /// From this instant on it is expired; null: never.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    expires_at: Option<Timestamp>,
    /// The addresses and networks it may be used from; anywhere if empty.
    #[schema(schema_with = schemas::ip_allowlist)]
    ip_allowlist: &'a [Network],
    /// How many calls a minute it is good for, at each server; null: as many as can be.
    #[schema(value_type = Option<u32>, minimum = 1, required = true)]
    rate_limit: Option<NonZeroU32>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last used, or found good by a validation; null: never.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    last_used_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    revoked_at: Option<Timestamp>,
}

impl<'a> From<&'a ApiKey> for ApiKeyBody<'a> {
    fn from(key: &'a ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name.as_str(),
            prefix: &key.prefix,
            scopes: &key.scopes,
            expires_at: key.expires_at,
            ip_allowlist: &key.ip_allowlist,
            rate_limit: key.rate_limit,
            created_at: key.created_at,
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
        }
    }
}

/// A key with its texts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKeyDetails)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DetailsBody<'a> {
    #[serde(flatten)]
    api_key: ApiKeyBody<'a>,
    /// The texts it has and has had, the newest first; no more than ten.
    secrets: Vec<SecretBody<'a>>,
}

/// One of the texts of a key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKeySecret)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecretBody<'a> {
    /// The first characters of the text.
    prefix: &'a str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// From this instant on it is no good; null for the newest.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    ends_at: Option<Timestamp>,
    /// When it was last used, or found good by a validation; null: never.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    last_used_at: Option<Timestamp>,
    /// From which address it was last used; null: never, or only for a validation, which tells none.
    #[schema(value_type = Option<String>, required = true)]
    last_used_from: Option<IpAddr>,
    /// Whether nobody would notice if it ended now: it is over, or was not used since there is a newer
    /// one, or not for 24 hours while the newer one was. Never true for the newest.
    safe_to_drop: bool,
}

impl<'a> DetailsBody<'a> {
    fn new(details: &'a ApiKeyDetails, at: Timestamp) -> Self {
        let secrets = details.secrets.iter().map(|secret| SecretBody {
            prefix: &secret.prefix,
            created_at: secret.created_at,
            ends_at: secret.ends_at,
            last_used_at: secret.last_use.map(|last| last.at),
            last_used_from: secret.last_use.and_then(|last| last.from),
            safe_to_drop: details.is_safe_to_drop(secret, at),
        });
        Self { api_key: (&details.api_key).into(), secrets: secrets.collect() }
    }
}

/// A new key, and the one time that its text is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = IssuedApiKey)]
pub(crate) struct IssuedBody<'a> {
    #[serde(flatten)]
    api_key: ApiKeyBody<'a>,
    /// The key itself. It is shown now and never again.
    key: &'a str,
}

/// A key with a new text, and the one time that this is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = RotatedApiKey)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RotatedBody<'a> {
    #[serde(flatten)]
    api_key: ApiKeyBody<'a>,
    /// From this instant on the text before is no good.
    #[schema(value_type = String, format = DateTime)]
    grace_ends_at: Timestamp,
    /// The key itself. It is shown now and never again.
    key: &'a str,
}

/// What a text that somebody presents as an API key is worth now.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeyValidation)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ValidationBody<'a> {
    /// Whether it is a key that is good now.
    valid: bool,
    /// Why it is not; null if it is.
    #[schema(schema_with = schemas::key_refusal_or_null, required = true)]
    reason: Option<KeyRefusal>,
    /// The key's tenant; null where there is no such key.
    #[schema(value_type = Option<String>, format = "uuid", required = true)]
    tenant_id: Option<TenantId>,
    /// The key's id; null where there is no such key.
    #[schema(value_type = Option<String>, format = "uuid", required = true)]
    id: Option<ApiKeyId>,
    /// What it may do now: nothing, if it is not good.
    #[schema(schema_with = schemas::scopes)]
    scopes: &'a Scopes,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    expires_at: Option<Timestamp>,
}

/// An API key to be made.
#[derive(ToSchema)]
#[schema(as = NewApiKey)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "this is how the document tells it; `read_new` reads it")]
pub(super) struct NewApiKeyBody {
    #[schema(schema_with = schemas::name)]
    name: String,
    /// None unless given. `usage:write:any` is for keys of the platform's tenant alone.
    #[schema(schema_with = schemas::scopes, required = false)]
    scopes: Option<Vec<String>>,
    /// An instant to come; never unless given.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// Anywhere unless given.
    #[schema(schema_with = schemas::ip_allowlist, required = false)]
    ip_allowlist: Option<Vec<String>>,
    /// How many calls a minute it is good for, at each server: as many as can be unless given.
    #[schema(minimum = 1, maximum = 1_000_000)]
    rate_limit: Option<u32>,
}

/// How a key gets its new text.
#[derive(ToSchema)]
#[schema(as = ApiKeyRotation)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "this is how the document tells it; `read_rotation` reads it")]
pub(crate) struct RotationBody {
    /// How long the text before stays good.
    #[schema(minimum = 0, maximum = 2_592_000, default = 0, nullable = false)]
    grace_seconds: Option<u32>,
}

/// What somebody presents as an API key.
#[derive(ToSchema)]
#[schema(as = PresentedApiKey)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "this is how the document tells it; `read_presented` reads it")]
pub(super) struct PresentedBody {
    /// Whatever it is: what cannot be a key is answered `MALFORMED`.
    #[schema(write_only, format = Password)]
    key: String,
}

/// Which API keys to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "this is how the document tells it; `read_query` reads it")]
pub(super) struct ApiKeyParams {
    /// Those in this state.
    #[param(inline, value_type = Option<schemas::of::ApiKeyStatus>)]
    status: Option<String>,
    /// What to sort by, with `-` before it to turn the order round.
    #[param(inline, value_type = Option<schemas::of::ApiKeySort>)]
    sort: Option<String>,
}

/// Reads a key of a tenant. `future` tells instants to come from those that are over.
pub(super) fn read_new(
    mut body: Members,
    tenant: TenantId,
    future: impl FnOnce(Timestamp) -> Result<Timestamp, String>,
) -> Result<ApiKeyDraft> {
    let name = body.required("name", string(Name::parse));
    let read_scopes = |names: &[&str]| {
        let scopes = Scopes::parse(names.iter().copied())?;
        scopes.check_tenant(tenant).map(|()| scopes)
    };
    let scopes = body.given("scopes", strings(read_scopes)).unwrap_or_default();
    let read_instant = |text: &str| {
        let at: Timestamp = text.parse().map_err(|problem| format!("{problem}"))?;
        future(at)
    };
    let expires_at = body.optional("expiresAt", string(read_instant));
    let read_networks = |texts: &[&str]| network::allowlist(texts.iter().copied());
    let ip_allowlist = body.given("ipAllowlist", strings(read_networks)).unwrap_or_default();
    let rate_limit = body.optional("rateLimit", integer_in(1..=RATE_LIMIT_MAX));
    let rate_limit = rate_limit.and_then(NonZeroU32::new);
    body.build(name.map(|name| ApiKeyDraft { name, scopes, expires_at, ip_allowlist, rate_limit }))
}

/// Reads the seconds of grace.
pub(super) fn read_rotation(mut body: Members) -> Result<u32> {
    let grace = body.given("graceSeconds", integer_in(0..=GRACE_MAX_SECONDS)).unwrap_or_default();
    body.build(Some(grace))
}

pub(super) fn read_presented(mut body: Members) -> Result<SecretText> {
    let key = body.required("key", |value| match value {
        Value::String(text) => Ok(SecretText::new(text)),
        _ => Err("must be a string".to_owned()),
    });
    body.build(key)
}

pub(crate) fn read_query(raw: Option<&str>) -> Result<(ApiKeyFilter, PageRequest<ApiKey>)> {
    let mut query = Query::parse(raw);
    let filter = ApiKeyFilter { status: query.take("status", ApiKeyStatus::from_str) };
    let page = query.page();
    query.finish()?;
    Ok((filter, page))
}

/// Make an API key
///
/// `key` in the answer is shown this once. Nobody gives a scope that they do not have themselves.
#[utoipa::path(
    post,
    path = "/api-keys",
    operation_id = "createApiKey",
    tag = "API keys",
    request_body(content = NewApiKeyBody),
    responses((status = 201, description = "The key.", body = Success<IssuedBody<'_>>)),
    extensions(("x-tenantry-access" = json!("keys:write")))
)]
pub(crate) async fn create(
    State(app): State<App>,
    scope: CallerScope,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> Answer {
    let access = scope.authorize(&app, Scope::KeysWrite).await?;
    let said = async {
        Query::none(query.as_deref())?;
        let body = body.read(&app, Media::Json).await?;
        Ok::<_, ApiError>(read_new(body, access.tenant(), |at| app.service.future(at))?)
    };
    let draft = unless_missing(said.await, app.service.tenant(&access)).await?;
    let change = Change::begin(&app, &scope.terms, access, |at, issued: &IssuedApiKey| {
        let key = &issued.api_key;
        let location = format!("{API}/api-keys/{}", key.id);
        let data = IssuedBody { api_key: key.into(), key: issued.text.expose() };
        tagged(key, created_secret(at, "API key created successfully", data, &location))
    })?;
    change.answer(&app, app.service.create_api_key(&change.access, draft)).await
}

/// List the API keys
#[utoipa::path(
    get,
    path = "/api-keys",
    operation_id = "listApiKeys",
    tag = "API keys",
    params(ApiKeyParams, OffsetParams, CursorParams),
    responses((status = 200, description = "A page.", body = Success<PageBody<ApiKeyBody<'_>>>)),
    extensions(("x-tenantry-access" = json!("keys:read")))
)]
pub(crate) async fn list(
    State(app): State<App>,
    scope: CallerScope,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize(&app, Scope::KeysRead).await?;
    let said = read_query(query.as_deref());
    let (filter, request) = unless_missing(said, app.service.tenant(&access)).await?;
    let page = app.service.list_api_keys(&access, filter, &request).await?;
    let items: Vec<_> = page.items.iter().map(ApiKeyBody::from).collect();
    ok(&app, "API keys retrieved successfully", PageBody::new(&page, &request, items))
}

/// Read an API key
#[utoipa::path(
    get,
    path = "/api-keys/{id}",
    operation_id = "getApiKey",
    tag = "API keys",
    responses((status = 200, description = "The key.", body = Success<DetailsBody<'_>>)),
    extensions(("x-tenantry-access" = json!("keys:read")))
)]
pub(crate) async fn read(
    State(app): State<App>,
    scope: CallerScope,
    key: IdInPath<ApiKeyId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize(&app, Scope::KeysRead).await?;
    let details = app.service.api_key(&access, key.or(Missing::ApiKey)?).await?;
    Query::none(query.as_deref())?;
    let data = DetailsBody::new(&details, app.service.now());
    let answer = ok(&app, "API key retrieved successfully", data);
    // Its uses change while the key does not, and are told every time.
    tagged(&details.api_key, answer)
}

/// Revoke an API key
///
/// At once and for good, in rotation grace too. It stays in the list.
#[utoipa::path(
    delete,
    path = "/api-keys/{id}",
    operation_id = "revokeApiKey",
    tag = "API keys",
    responses((status = 200, description = "The key then.", body = Success<ApiKeyBody<'_>>)),
    extensions(("x-tenantry-access" = json!("keys:write")))
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    scope: CallerScope,
    key: IdInPath<ApiKeyId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize(&app, Scope::KeysWrite).await?;
    let id = key.or(Missing::ApiKey)?;
    unless_missing(Query::none(query.as_deref()), app.service.api_key(&access, id)).await?;
    let key = app.service.revoke_api_key(&access, id).await?;
    tagged(&key, ok(&app, "API key revoked successfully", ApiKeyBody::from(&key)))
}

/// Give an API key a new text
///
/// `key` in the answer is shown this once. The text before stays good for `graceSeconds`, and one
/// that was in its own grace already ends at once. Without a body the grace is 0.
#[utoipa::path(
    post,
    path = "/api-keys/{id}/rotate",
    operation_id = "rotateApiKey",
    tag = "API keys",
    request_body(content = ref("#/components/schemas/ApiKeyRotation")),
    responses((status = 200, description = "The key then.", body = Success<RotatedBody<'_>>)),
    extensions(("x-tenantry-access" = json!("keys:write")))
)]
pub(crate) async fn rotate(
    State(app): State<App>,
    scope: CallerScope,
    key: IdInPath<ApiKeyId>,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> Answer {
    let access = scope.authorize(&app, Scope::KeysWrite).await?;
    let id = key.or(Missing::ApiKey)?;
    let said = async {
        Query::none(query.as_deref())?;
        Ok::<_, ApiError>(read_rotation(body.read_if_any(&app, Media::Json).await?)?)
    };
    let grace = unless_missing(said.await, app.service.api_key(&access, id)).await?;
    let change = Change::begin(&app, &scope.terms, access, |at, reissued: &ReissuedApiKey| {
        let data = RotatedBody {
            api_key: (&reissued.rotated.api_key).into(),
            grace_ends_at: reissued.rotated.grace_ends_at,
            key: reissued.text.expose(),
        };
        let answer = ok_secret(at, "API key rotated successfully", data);
        tagged(&reissued.rotated.api_key, answer)
    })?;
    change.answer(&app, app.service.rotate_api_key(&change.access, id, grace)).await
}

/// Ask what an API key is worth
///
/// It counts as one call of the key's tenant. Of keys of other tenants the platform's tenant alone
/// learns something; for everybody else they are `UNKNOWN`.
#[utoipa::path(
    post,
    path = "/api-keys/validate",
    operation_id = "validateApiKey",
    tag = "API keys",
    request_body(content = PresentedBody),
    responses((status = 200, description = "What it is worth.", body = Success<ValidationBody<'_>>)),
    extensions(("x-tenantry-access" = json!("keys:read")))
)]
pub(crate) async fn validate(
    State(app): State<App>,
    scope: CallerScope,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> Answer {
    let access = scope.authorize(&app, Scope::KeysRead).await?;
    let said = async {
        Query::none(query.as_deref())?;
        Ok::<_, ApiError>(read_presented(body.unkeyed().read(&app, Media::Json).await?)?)
    };
    let text = unless_missing(said.await, app.service.tenant(&access)).await?;
    let KeyValidation { key, refusal } = app.service.validate_api_key(&access, &text).await?;
    let nothing = Scopes::default();
    let tenant_id = key.as_ref().map(|(tenant, _)| *tenant);
    let key = key.as_ref().map(|(_, presented)| presented);
    let data = ValidationBody {
        valid: refusal.is_none(),
        reason: refusal,
        tenant_id,
        id: key.map(|key| key.id),
        scopes: key.filter(|_| refusal.is_none()).map_or(&nothing, |key| &key.scopes),
        expires_at: key.and_then(|key| key.expires_at),
    };
    ok(&app, "API key validated", data)
}
