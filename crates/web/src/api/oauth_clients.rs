//! OAuth clients.

use std::str::FromStr as _;

use axum::extract::{RawQuery, State};
use serde::Serialize;
use serde_json::Value;
use tenantry_domain::client_rules::{
    contradictions, grant_types, origins, redirect_uris, usual_grant_type,
};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::{Missing, Result};
use tenantry_domain::id::{OauthClientId, TenantId};
use tenantry_domain::network::{self, Network};
use tenantry_domain::oauth_client::{
    ClientKeys, ClientStatus, ClientType, GrantType, OauthClient, OauthClientFilter,
    OauthClientPatch,
};
use tenantry_domain::page::PageRequest;
use tenantry_domain::scope::{Scope, Scopes};
use tenantry_domain::text::Name;
use tenantry_security::client_assertion::read_client_keys;
use tenantry_security::secret::SecretText;
use tenantry_service::{IssuedOauthClient, OauthClientDraft};
use utoipa::{IntoParams, ToSchema};

use super::change::Change;
use super::lists::{CursorParams, OffsetParams, PageBody};
use super::{Answer, schemas, unless_missing};
use crate::app::App;
use crate::envelope::{Success, created_secret, ok, ok_secret, tagged, unless_known};
use crate::error::ApiError;
use crate::extract::body::{JsonBody, Media};
use crate::extract::members::{Members, string, strings};
use crate::extract::query::Query;
use crate::extract::scope::{CallerScope, IdInPath};
use crate::router::API;

/// An application that gets tokens.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OauthClient)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientBody<'a> {
    #[schema(value_type = String, format = "uuid")]
    id: OauthClientId,
    /// What it presents itself as. It is no secret.
    client_id: &'a str,
    name: &'a str,
    /// Whether it can keep a secret.
    #[schema(schema_with = schemas::client_type)]
    client_type: ClientType,
    /// Where people may be sent back to, compared as exact texts.
    #[schema(schema_with = schemas::redirect_uris)]
    redirect_uris: &'a [String],
    #[schema(schema_with = schemas::grant_types)]
    grant_types: &'a [GrantType],
    #[schema(schema_with = schemas::scopes)]
    scopes: &'a Scopes,
    /// The web origins it runs in.
    #[schema(schema_with = schemas::origins)]
    allowed_origins: &'a [String],
    /// The addresses and networks it may call from; anywhere if empty.
    #[schema(schema_with = schemas::ip_allowlist)]
    ip_allowlist: &'a [Network],
    /// The public keys by which it proves itself; a confidential client without has a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schemas::jwks, required = false)]
    jwks: Option<&'a ClientKeys>,
    /// A disabled one gets no tokens.
    #[schema(schema_with = schemas::client_status)]
    status: ClientStatus,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl<'a> From<&'a OauthClient> for ClientBody<'a> {
    fn from(client: &'a OauthClient) -> Self {
        Self {
            id: client.id,
            client_id: &client.client_id,
            name: client.name.as_str(),
            client_type: client.client_type,
            redirect_uris: &client.redirect_uris,
            grant_types: &client.grant_types,
            scopes: &client.scopes,
            allowed_origins: &client.allowed_origins,
            ip_allowlist: &client.ip_allowlist,
            jwks: client.jwks.as_ref(),
            status: client.status,
            created_at: client.created_at,
        }
    }
}

/// A client with a new secret, and the one time that this is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = IssuedOauthClient)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IssuedBody<'a> {
    #[serde(flatten)]
    client: ClientBody<'a>,
    /// The secret of a confidential client. It is shown now and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    client_secret: Option<&'a str>,
}

impl<'a> From<&'a IssuedOauthClient> for IssuedBody<'a> {
    fn from(issued: &'a IssuedOauthClient) -> Self {
        Self {
            client: (&issued.client).into(),
            client_secret: issued.secret.as_ref().map(SecretText::expose),
        }
    }
}

/// An OAuth client to be made.
#[derive(ToSchema)]
#[schema(as = NewOauthClient)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "this is how the document tells it; `read_new` reads it")]
pub(super) struct NewClientBody {
    #[schema(schema_with = schemas::name)]
    name: String,
    /// `confidential` unless given; it does not change.
    #[schema(schema_with = schemas::client_type, required = false)]
    client_type: Option<String>,
    /// At least one for `authorization_code`.
    #[schema(schema_with = schemas::redirect_uris, required = false)]
    redirect_uris: Option<Vec<String>>,
    /// Unless given: `authorization_code` for a client that is public or has redirect URIs, else
    /// `client_credentials`. The latter is for confidential clients alone, and `refresh_token` goes
    /// beside `authorization_code` alone.
    #[schema(schema_with = schemas::grant_types, required = false)]
    grant_types: Option<Vec<String>>,
    /// None unless given. `usage:write:any` is for clients of the platform's tenant alone.
    #[schema(schema_with = schemas::scopes, required = false)]
    scopes: Option<Vec<String>>,
    #[schema(schema_with = schemas::origins, required = false)]
    allowed_origins: Option<Vec<String>>,
    /// Anywhere unless given.
    #[schema(schema_with = schemas::ip_allowlist, required = false)]
    ip_allowlist: Option<Vec<String>>,
    /// The public keys (RFC 7517) by which a confidential client proves itself, in place of a secret.
    #[schema(schema_with = schemas::jwks, required = false)]
    jwks: Option<Value>,
}

/// A change of an OAuth client: a merge patch (RFC 7396). What comes of it must fit together.
#[derive(ToSchema)]
#[schema(as = OauthClientPatch)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "this is how the document tells it; `read_patch` reads it")]
pub(super) struct ClientPatchBody {
    #[schema(schema_with = schemas::name, required = false)]
    name: Option<String>,
    #[schema(schema_with = schemas::redirect_uris, required = false)]
    redirect_uris: Option<Vec<String>>,
    #[schema(schema_with = schemas::grant_types, required = false)]
    grant_types: Option<Vec<String>>,
    #[schema(schema_with = schemas::scopes, required = false)]
    scopes: Option<Vec<String>>,
    #[schema(schema_with = schemas::origins, required = false)]
    allowed_origins: Option<Vec<String>>,
    #[schema(schema_with = schemas::ip_allowlist, required = false)]
    ip_allowlist: Option<Vec<String>>,
    /// Other keys, for a client that has keys.
    #[schema(schema_with = schemas::jwks, required = false)]
    jwks: Option<Value>,
    #[schema(schema_with = schemas::client_status, required = false)]
    status: Option<String>,
}

/// Which OAuth clients to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "this is how the document tells it; `read_query` reads it")]
pub(super) struct ClientParams {
    /// Those in this state.
    #[param(inline, value_type = Option<schemas::of::ClientStatus>)]
    status: Option<String>,
    /// What to sort by, with `-` before it to turn the order round.
    #[param(inline, value_type = Option<schemas::of::ClientSort>)]
    sort: Option<String>,
}

/// Reads the scopes of a client of a tenant.
fn read_scopes(tenant: TenantId) -> impl FnOnce(Value) -> Result<Scopes, String> {
    strings(move |names| {
        let scopes = Scopes::parse(names.iter().copied())?;
        scopes.check_tenant(tenant).map(|()| scopes)
    })
}

fn read_networks(texts: &[&str]) -> Result<Vec<Network>, String> {
    network::allowlist(texts.iter().copied())
}

pub(super) fn read_new(mut body: Members, tenant: TenantId) -> Result<OauthClientDraft> {
    let name = body.required("name", string(Name::parse));
    let read_type = string(ClientType::from_str);
    let client_type = body.given("clientType", read_type).unwrap_or(ClientType::Confidential);
    let uris_given = body.has("redirectUris");
    let redirect_uris = body.given("redirectUris", strings(redirect_uris));
    let grants_given = body.has("grantTypes");
    let grant_types = body.given("grantTypes", strings(grant_types));
    let scopes = body.given("scopes", read_scopes(tenant)).unwrap_or_default();
    let allowed_origins = body.given("allowedOrigins", strings(origins)).unwrap_or_default();
    let ip_allowlist = body.given("ipAllowlist", strings(read_networks)).unwrap_or_default();

    let jwks = body.given("jwks", |set| read_client_keys(&set));
    if jwks.is_some() && client_type == ClientType::Public {
        body.problem("jwks", "must not be given for a public client");
    }

    // What could not be read cannot contradict anything.
    let readable = uris_given == redirect_uris.is_some() && grants_given == grant_types.is_some();
    let redirect_uris = redirect_uris.unwrap_or_default();
    let grant_types =
        grant_types.unwrap_or_else(|| vec![usual_grant_type(client_type, &redirect_uris)]);
    if readable {
        for wrong in contradictions(client_type, &redirect_uris, &grant_types) {
            body.problem(&wrong.field, &wrong.problem);
        }
    }
    body.build(name.map(|name| OauthClientDraft {
        name,
        client_type,
        redirect_uris,
        grant_types,
        scopes,
        allowed_origins,
        ip_allowlist,
        jwks,
    }))
}

pub(super) fn read_patch(mut body: Members, tenant: TenantId) -> Result<OauthClientPatch> {
    let patch = OauthClientPatch {
        name: body.given("name", string(Name::parse)),
        redirect_uris: body.given("redirectUris", strings(redirect_uris)),
        grant_types: body.given("grantTypes", strings(grant_types)),
        scopes: body.given("scopes", read_scopes(tenant)),
        allowed_origins: body.given("allowedOrigins", strings(origins)),
        ip_allowlist: body.given("ipAllowlist", strings(read_networks)),
        jwks: body.given("jwks", |set| read_client_keys(&set)),
        status: body.given("status", string(ClientStatus::from_str)),
    };
    body.build(Some(patch))
}

pub(crate) fn read_query(
    raw: Option<&str>,
) -> Result<(OauthClientFilter, PageRequest<OauthClient>)> {
    let mut query = Query::parse(raw);
    let filter = OauthClientFilter { status: query.take("status", ClientStatus::from_str) };
    let page = query.page();
    query.finish()?;
    Ok((filter, page))
}

/// Make an OAuth client
///
/// `clientSecret` in the answer is shown this once, and only a confidential client has one. Nobody
/// gives a scope that they do not have themselves.
#[utoipa::path(
    post,
    path = "/oauth-clients",
    operation_id = "createOauthClient",
    tag = "OAuth clients",
    request_body(content = NewClientBody),
    responses((status = 201, description = "The client.", body = Success<IssuedBody<'_>>)),
    extensions(("x-tenantry-access" = json!("clients:write")))
)]
pub(crate) async fn create(
    State(app): State<App>,
    scope: CallerScope,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> Answer {
    let access = scope.authorize(&app, Scope::ClientsWrite).await?;
    let said = async {
        Query::none(query.as_deref())?;
        Ok::<_, ApiError>(read_new(body.read(&app, Media::Json).await?, access.tenant())?)
    };
    let draft = unless_missing(said.await, app.service.tenant(&access)).await?;
    let change = Change::begin(&app, &scope.terms, access, |at, issued: &IssuedOauthClient| {
        let location = format!("{API}/oauth-clients/{}", issued.client.id);
        let message = "OAuth client created successfully";
        let answer = created_secret(at, message, IssuedBody::from(issued), &location);
        tagged(&issued.client, answer)
    })?;
    change.answer(&app, app.service.create_oauth_client(&change.access, draft)).await
}

/// List the OAuth clients
#[utoipa::path(
    get,
    path = "/oauth-clients",
    operation_id = "listOauthClients",
    tag = "OAuth clients",
    params(ClientParams, OffsetParams, CursorParams),
    responses((status = 200, description = "A page.", body = Success<PageBody<ClientBody<'_>>>)),
    extensions(("x-tenantry-access" = json!("clients:read")))
)]
pub(crate) async fn list(
    State(app): State<App>,
    scope: CallerScope,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize(&app, Scope::ClientsRead).await?;
    let said = read_query(query.as_deref());
    let (filter, request) = unless_missing(said, app.service.tenant(&access)).await?;
    let page = app.service.list_oauth_clients(&access, filter, &request).await?;
    let items: Vec<_> = page.items.iter().map(ClientBody::from).collect();
    ok(&app, "OAuth clients retrieved successfully", PageBody::new(&page, &request, items))
}

/// Read an OAuth client
#[utoipa::path(
    get,
    path = "/oauth-clients/{id}",
    operation_id = "getOauthClient",
    tag = "OAuth clients",
    responses((status = 200, description = "The client.", body = Success<ClientBody<'_>>)),
    extensions(("x-tenantry-access" = json!("clients:read")))
)]
pub(crate) async fn read(
    State(app): State<App>,
    scope: CallerScope,
    client: IdInPath<OauthClientId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize(&app, Scope::ClientsRead).await?;
    let client = app.service.oauth_client(&access, client.or(Missing::OauthClient)?).await?;
    Query::none(query.as_deref())?;
    let answer = ok(&app, "OAuth client retrieved successfully", ClientBody::from(&client));
    unless_known(&scope.terms, &client, answer)
}

/// Change an OAuth client
///
/// `status` disables it and makes it active again. Nobody gives a scope that they do not have
/// themselves.
#[utoipa::path(
    patch,
    path = "/oauth-clients/{id}",
    operation_id = "updateOauthClient",
    tag = "OAuth clients",
    request_body(content(
        (ClientPatchBody = "application/merge-patch+json"),
        (ClientPatchBody = "application/json")
    )),
    responses((status = 200, description = "The client then.", body = Success<ClientBody<'_>>)),
    extensions(("x-tenantry-access" = json!("clients:write")))
)]
pub(crate) async fn update(
    State(app): State<App>,
    scope: CallerScope,
    client: IdInPath<OauthClientId>,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> Answer {
    let access = scope.authorize(&app, Scope::ClientsWrite).await?;
    let id = client.or(Missing::OauthClient)?;
    let said = async {
        Query::none(query.as_deref())?;
        Ok::<_, ApiError>(read_patch(body.read(&app, Media::MergePatch).await?, access.tenant())?)
    };
    let patch = unless_missing(said.await, app.service.oauth_client(&access, id)).await?;
    let client = app.service.update_oauth_client(&access, id, patch).await?;
    tagged(&client, ok(&app, "OAuth client updated successfully", ClientBody::from(&client)))
}

/// Delete an OAuth client
#[utoipa::path(
    delete,
    path = "/oauth-clients/{id}",
    operation_id = "deleteOauthClient",
    tag = "OAuth clients",
    responses((status = 200, description = "What it was.", body = Success<ClientBody<'_>>)),
    extensions(("x-tenantry-access" = json!("clients:write")))
)]
pub(crate) async fn delete(
    State(app): State<App>,
    scope: CallerScope,
    client: IdInPath<OauthClientId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize(&app, Scope::ClientsWrite).await?;
    let id = client.or(Missing::OauthClient)?;
    unless_missing(Query::none(query.as_deref()), app.service.oauth_client(&access, id)).await?;
    let client = app.service.delete_oauth_client(&access, id).await?;
    ok(&app, "OAuth client deleted successfully", ClientBody::from(&client))
}

/// Give an OAuth client a new secret
///
/// `clientSecret` in the answer is shown this once. The secret before is no good from now on.
#[utoipa::path(
    post,
    path = "/oauth-clients/{id}/rotate-secret",
    operation_id = "rotateOauthClientSecret",
    tag = "OAuth clients",
    responses((status = 200, description = "The client.", body = Success<IssuedBody<'_>>)),
    extensions(("x-tenantry-access" = json!("clients:write")))
)]
pub(crate) async fn rotate_secret(
    State(app): State<App>,
    scope: CallerScope,
    client: IdInPath<OauthClientId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize(&app, Scope::ClientsWrite).await?;
    let id = client.or(Missing::OauthClient)?;
    unless_missing(Query::none(query.as_deref()), app.service.oauth_client(&access, id)).await?;
    let change = Change::begin(&app, &scope.terms, access, |at, issued: &IssuedOauthClient| {
        let message = "OAuth client secret rotated successfully";
        tagged(&issued.client, ok_secret(at, message, IssuedBody::from(issued)))
    })?;
    change.answer(&app, app.service.rotate_oauth_client_secret(&change.access, id)).await
}
