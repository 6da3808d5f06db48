//! Credentials of the vault.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, RawQuery, State};
use axum::http::request::Parts;
use tenantry_domain::credential::{Credential, IntegrationId};
use tenantry_domain::error::{Error, Missing, Result};
use tenantry_domain::id::CredentialId;
use tenantry_domain::scope::Scope;

use super::change::Change;
use super::credential_bodies::{
    CredentialBody, CredentialParams, CredentialPatchBody, NewCredentialBody, RevealedBody,
    read_new, read_patch, read_query,
};
use super::lists::{CursorParams, OffsetParams, PageBody};
use super::{Answer, unless_missing};
use crate::app::App;
use crate::envelope::{Success, created, ok, ok_secret, tagged, unless_known};
use crate::error::ApiError;
use crate::extract::body::{JsonBody, Media};
use crate::extract::query::Query;
use crate::extract::scope::{CallerScope, in_path};
use crate::router::API;

/// The credential that the path names, if what it says can name one.
#[derive(Debug)]
pub(crate) struct CredentialInPath(Option<(IntegrationId, CredentialId)>);

impl CredentialInPath {
    /// The credential's two names. Something that can be no name is nobody's.
    fn names(self) -> Result<(IntegrationId, CredentialId)> {
        self.0.ok_or(Error::NotFound(Missing::Credential))
    }
}

impl FromRequestParts<App> for CredentialInPath {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Infallible> {
        let integration = in_path::<String>(parts, "integrationId");
        let integration = integration.and_then(|text| IntegrationId::parse(&text).ok());
        Ok(Self(integration.zip(in_path(parts, "id"))))
    }
}

/// Put a credential into the vault
///
/// No answer shows its secret but that of `reveal`.
#[utoipa::path(
    post,
    path = "/credentials",
    operation_id = "createCredential",
    tag = "Credentials",
    request_body(content = NewCredentialBody),
    responses((status = 201, description = "The credential.", body = Success<CredentialBody<'_>>)),
    extensions(("x-tenantry-access" = json!("credentials:write")))
)]
pub(crate) async fn create(
    State(app): State<App>,
    scope: CallerScope,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> Answer {
    let access = scope.authorize(&app, Scope::CredentialsWrite).await?;
    let said = async {
        Query::none(query.as_deref())?;
        Ok::<_, ApiError>(read_new(body.read(&app, Media::Json).await?, app.service.now())?)
    };
    let draft = unless_missing(said.await, app.service.tenant(&access)).await?;
    let change = Change::begin(&app, &scope.terms, access, |at, made: &Credential| {
        let location = format!("{API}/credentials/{}/{}", made.integration_id, made.id);
        let body = CredentialBody::from(made);
        tagged(made, created(at, "Credential created successfully", body, &location))
    })?;
    change.answer(&app, app.service.create_credential(&change.access, draft)).await
}

/// List the credentials
#[utoipa::path(
    get,
    path = "/credentials",
    operation_id = "listCredentials",
    tag = "Credentials",
    params(CredentialParams, OffsetParams, CursorParams),
    responses((status = 200, description = "A page.", body = Success<PageBody<CredentialBody<'_>>>)),
    extensions(("x-tenantry-access" = json!("credentials:read")))
)]
pub(crate) async fn list(
    State(app): State<App>,
    scope: CallerScope,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize(&app, Scope::CredentialsRead).await?;
    let said = read_query(query.as_deref());
    let (filter, request) = unless_missing(said, app.service.tenant(&access)).await?;
    let page = app.service.list_credentials(&access, &filter, &request).await?;
    let items: Vec<_> = page.items.iter().map(CredentialBody::from).collect();
    ok(&app, "Credentials retrieved successfully", PageBody::new(&page, &request, items))
}

/// Read a credential
#[utoipa::path(
    get,
    path = "/credentials/{integrationId}/{id}",
    operation_id = "getCredential",
    tag = "Credentials",
    responses((status = 200, description = "The credential.", body = Success<CredentialBody<'_>>)),
    extensions(("x-tenantry-access" = json!("credentials:read")))
)]
pub(crate) async fn read(
    State(app): State<App>,
    scope: CallerScope,
    credential: CredentialInPath,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize(&app, Scope::CredentialsRead).await?;
    let (integration, id) = credential.names()?;
    let credential = app.service.credential(&access, &integration, id).await?;
    Query::none(query.as_deref())?;
    let body = CredentialBody::from(&credential);
    let answer = ok(&app, "Credential retrieved successfully", body);
    unless_known(&scope.terms, &credential, answer)
}

/// Change a credential
///
/// `metadata` is merged member by member. The type of a credential and its integration stay.
#[utoipa::path(
    patch,
    path = "/credentials/{integrationId}/{id}",
    operation_id = "updateCredential",
    tag = "Credentials",
    request_body(content(
        (CredentialPatchBody = "application/merge-patch+json"),
        (CredentialPatchBody = "application/json")
    )),
    responses((status = 200, description = "The credential then.", body = Success<CredentialBody<'_>>)),
    extensions(("x-tenantry-access" = json!("credentials:write")))
)]
pub(crate) async fn update(
    State(app): State<App>,
    scope: CallerScope,
    credential: CredentialInPath,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> Answer {
    let access = scope.authorize(&app, Scope::CredentialsWrite).await?;
    let (integration, id) = credential.names()?;
    // Its type says which parts of a secret the body may have.
    let stored = app.service.credential(&access, &integration, id).await?;
    Query::none(query.as_deref())?;
    let body = body.read(&app, Media::MergePatch).await?;
    let (patch, secret) = read_patch(body, stored.auth_type, app.service.now())?;
    let credential =
        app.service.update_credential(&access, &integration, id, patch, secret).await?;
    let body = CredentialBody::from(&credential);
    tagged(&credential, ok(&app, "Credential updated successfully", body))
}

/// Delete a credential
#[utoipa::path(
    delete,
    path = "/credentials/{integrationId}/{id}",
    operation_id = "deleteCredential",
    tag = "Credentials",
    responses((status = 200, description = "What it was.", body = Success<CredentialBody<'_>>)),
    extensions(("x-tenantry-access" = json!("credentials:write")))
)]
pub(crate) async fn delete(
    State(app): State<App>,
    scope: CallerScope,
    credential: CredentialInPath,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize(&app, Scope::CredentialsWrite).await?;
    let (integration, id) = credential.names()?;
    let thing = app.service.credential(&access, &integration, id);
    unless_missing(Query::none(query.as_deref()), thing).await?;
    let credential = app.service.delete_credential(&access, &integration, id).await?;
    ok(&app, "Credential deleted successfully", CredentialBody::from(&credential))
}

/// Reveal the secret of a credential
///
/// The audit log says who saw it, before they do.
#[utoipa::path(
    post,
    path = "/credentials/{integrationId}/{id}/reveal",
    operation_id = "revealCredential",
    tag = "Credentials",
    responses((status = 200, description = "The credential.", body = Success<RevealedBody<'_>>)),
    extensions(("x-tenantry-access" = json!("credentials:reveal")))
)]
pub(crate) async fn reveal(
    State(app): State<App>,
    scope: CallerScope,
    credential: CredentialInPath,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize(&app, Scope::CredentialsReveal).await?;
    let (integration, id) = credential.names()?;
    let thing = app.service.credential(&access, &integration, id);
    unless_missing(Query::none(query.as_deref()), thing).await?;
    let revealed = app.service.reveal_credential(&access, &integration, id).await?;
    ok_secret(&app, "Credential revealed successfully", RevealedBody::from(&revealed))
}
