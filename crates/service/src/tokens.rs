//! Tokens of the built-in realm, issued at the command line.

use tenantry_domain::access::{Role, TenantAccess};
use tenantry_domain::error::{Error, Result};
use tenantry_domain::id::{TenantId, UserId};
use tenantry_domain::ledger::{Action, ActorKind};
use tenantry_security::realm::{IssuedToken, TokenBearer, TokenRequest};
use tenantry_store::Note;

use crate::Service;

impl Service {
    /// Issues a token and notes so in the tenant's ledger. Whoever asks holds the data already,
    /// so any role may be had that fits the tenant and the subject.
    ///
    /// # Errors
    /// `Invalid` for a super admin outside the platform's tenant, or for a subject that does not
    /// hold the role; `NotFound` for an unknown tenant or subject.
    pub async fn issue_token(
        &self,
        tenant: TenantId,
        subject: Option<UserId>,
        role: Role,
        ttl_seconds: u64,
    ) -> Result<IssuedToken> {
        if role == Role::SuperAdmin && tenant != TenantId::PLATFORM {
            return Err(Error::invalid("role", "super_admin exists in the platform's tenant only"));
        }
        let access = TenantAccess::local(tenant, ActorKind::CommandLine, "tenantry token");
        if let Some(id) = subject {
            let user = self.store.user(&access, id).await?;
            if user.roles.highest_in(tenant) < role {
                return Err(Error::invalid("role", format!("is more than {id} holds")));
            }
        }
        let bearer = TokenBearer::Person { id: subject, role };
        let request = TokenRequest { tenant, bearer, session: None, ttl_seconds };
        let token = self.sign(&request).await?;
        let note = Note {
            action: Action::TokenIssued,
            resource_id: token.id.to_string(),
            details: serde_json::json!({
                "subject": subject,
                "role": role,
                "expiresAt": token.expires_at,
            }),
        };
        self.store.record(&access, note).await?;
        Ok(token)
    }
}
