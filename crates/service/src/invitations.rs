//! One-time tokens, by which people set their passwords themselves.

use std::net::IpAddr;

use tenantry_domain::access::{Permission, Principal, PrincipalKind, TenantAccess};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::{AuthFailure, Error, Result};
use tenantry_domain::id::UserId;
use tenantry_domain::sign_in::{Invitation, NewPassword};
use tenantry_domain::user::PasswordHash;
use tenantry_security::api_key::{issue_invitation, parse_invitation};
use tenantry_security::password::check_password;
use tenantry_security::secret::SecretText;

use crate::Service;

/// A new one-time token, which is shown now and never again.
#[derive(Debug, Clone)]
pub struct IssuedInvitation {
    /// The token itself.
    pub token: SecretText,
    /// From when on it is no good.
    pub expires_at: Timestamp,
}

impl Service {
    /// Gives a user a one-time token to set its password with.
    pub async fn invite_user(&self, access: &TenantAccess, id: UserId) -> Result<IssuedInvitation> {
        let (token, hash) = issue_invitation(access.tenant(), self.entropy());
        let issue = move |invitation: &Invitation| {
            Ok(IssuedInvitation { token: token.clone(), expires_at: invitation.expires_at })
        };
        let access = access.completed_by(issue.clone());
        issue(&self.store.invite_user(&access, id, hash).await?)
    }

    /// Sets the password of the user who has a one-time token, and ends its sessions.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if the token is no good (any more), or its user is to stay outside.
    pub async fn set_password(
        &self,
        token: &str,
        password: SecretText,
        ip: Option<IpAddr>,
    ) -> Result<()> {
        check_password(&password).map_err(|problem| Error::invalid("password", problem))?;
        let (tenant, token) =
            parse_invitation(token).ok_or(Error::Unauthenticated(AuthFailure::Malformed))?;
        let user = self.store.invited(tenant, token).await?;
        let user = user.ok_or(Error::Unauthenticated(AuthFailure::Revoked))?;
        let principal = Principal { tenant, kind: PrincipalKind::Invited(user), token: None };
        let caller = self.admit(&principal, ip, None).await?;
        let access = caller.authorize(tenant, tenant, Permission::OwnPassword)?;
        let hash = PasswordHash(self.passwords.hash(password).await?);
        self.store.set_password(&access, NewPassword { token, user, hash }).await.map(drop)
    }
}
