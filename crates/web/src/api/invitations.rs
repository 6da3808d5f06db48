//! One-time tokens, by which people set their passwords themselves.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use serde::Serialize;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::Missing;
use tenantry_domain::id::UserId;
use tenantry_domain::scope::Scope;
use tenantry_service::IssuedInvitation;
use utoipa::ToSchema;

use super::change::Change;
use super::{Answer, unless_missing};
use crate::app::App;
use crate::envelope::{Success, ok_secret};
use crate::extract::query::Query;
use crate::extract::scope::{IdInPath, TenantScope};

/// A one-time token.
#[derive(Serialize, ToSchema)]
#[schema(as = Invitation)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InvitationBody<'a> {
    /// The token itself, for `POST /api/v1/auth/password`. It is shown this once.
    #[schema(pattern = "^tni_[0-9A-Za-z]{72}$")]
    token: &'a str,
    /// From this instant on it is no good.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Give a user a one-time token to set its password with
///
/// It is good for 72 hours and takes the place of one that the user may have. Sending it to the
/// person is up to the caller. Nobody gives one to somebody who has more than they have themselves.
#[utoipa::path(
    post,
    path = "/admin/tenants/{tenantId}/users/{id}/invitations",
    operation_id = "inviteUser",
    tag = "Users",
    responses((status = 201, description = "The token.", body = Success<InvitationBody<'_>>)),
    extensions(("x-tenantry-access" = json!("users:write")))
)]
pub(crate) async fn create(
    State(app): State<App>,
    scope: TenantScope,
    user: IdInPath<UserId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let access = scope.authorize(&app, Scope::UsersWrite).await?;
    let id = user.or(Missing::User)?;
    unless_missing(Query::none(query.as_deref()), app.service.user(&access, id)).await?;
    let change = Change::begin(&app, &scope.terms, access, |at, issued: &IssuedInvitation| {
        let data = InvitationBody { token: issued.token.expose(), expires_at: issued.expires_at };
        // What was made is nowhere to be found: so there is no `Location`.
        let mut response = ok_secret(at, "User invited successfully", data)?;
        *response.status_mut() = StatusCode::CREATED;
        Ok(response)
    })?;
    change.answer(&app, app.service.invite_user(&change.access, id)).await
}
