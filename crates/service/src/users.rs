//! Users.

use tenantry_domain::access::TenantAccess;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::id::UserId;
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::text::{Email, Name};
use tenantry_domain::user::{
    Erased, ExternalId, NewUser, PasswordHash, User, UserFilter, UserPatch, UserRoles, UserStatus,
    Warned,
};
use tenantry_security::password::check_password;
use tenantry_security::secret::SecretText;

use crate::Service;

/// A user to be made, as the caller describes it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the field of `User` of the same name")]
pub struct UserDraft {
    pub external_id: Option<ExternalId>,
    pub email: Email,
    pub name: Option<Name>,
    pub status: UserStatus,
    pub roles: UserRoles,
    /// What it signs in with, if it does so here.
    pub password: Option<SecretText>,
}

impl Service {
    /// Makes a user.
    pub async fn create_user(&self, access: &TenantAccess, draft: UserDraft) -> Result<User> {
        draft.roles.beside(draft.external_id.as_ref()).check_grant(access)?;
        let password_hash = match draft.password {
            None => None,
            Some(password) => {
                check_password(&password).map_err(|problem| Error::invalid("password", problem))?;
                Some(PasswordHash(self.passwords.hash(password).await?))
            }
        };
        let new = NewUser {
            id: UserId::generate(self.now(), self.entropy()),
            external_id: draft.external_id,
            email: draft.email,
            name: draft.name,
            status: draft.status,
            roles: draft.roles,
            password_hash,
        };
        self.store.create_user(access, new).await
    }

    /// A user, for whoever only wants to know whether it is there.
    pub async fn user(&self, access: &TenantAccess, id: UserId) -> Result<User> {
        self.store.user(access, id).await
    }

    /// A user, to be shown: if to somebody of the platform, the tenant's audit log tells so.
    pub async fn read_user(&self, access: &TenantAccess, id: UserId) -> Result<User> {
        let user = self.store.user(access, id).await?;
        self.tell_of_users(access, id.to_string(), serde_json::json!({})).await?;
        Ok(user)
    }

    /// A page of the users, to be shown, as [`Service::read_user`].
    pub async fn list_users(
        &self,
        access: &TenantAccess,
        filter: &UserFilter,
        page: &PageRequest<User>,
    ) -> Result<Page<User>> {
        let users = self.store.list_users(access, filter, page).await?;
        let details = serde_json::json!({ "shown": users.items.len() });
        self.tell_of_users(access, String::new(), details).await?;
        Ok(users)
    }

    /// Changes a user. If nothing of it is changed it is only shown, as by [`Service::read_user`].
    pub async fn update_user(
        &self,
        access: &TenantAccess,
        id: UserId,
        patch: UserPatch,
    ) -> Result<Warned<User>> {
        if !access.is_from_outside() {
            return self.store.update_user(access, id, patch).await;
        }
        let before = self.store.user(access, id).await?;
        let after = self.store.update_user(access, id, patch).await?;
        if after.value == before {
            self.tell_of_users(access, id.to_string(), serde_json::json!({})).await?;
        }
        Ok(after)
    }

    /// Removes a user; answers what it was.
    pub async fn delete_user(&self, access: &TenantAccess, id: UserId) -> Result<Warned<User>> {
        self.store.delete_user(access, id).await
    }

    /// Removes a user, if it is still there, and everything personal that the tenant's ledger
    /// tells of it.
    pub async fn erase_user(&self, access: &TenantAccess, id: UserId) -> Result<Warned<Erased>> {
        self.store.erase_user(access, id).await
    }
}
