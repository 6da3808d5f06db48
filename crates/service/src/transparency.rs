//! Access transparency: what the platform's people read of a tenant, its audit log tells.

use std::fmt;
use std::sync::Arc;

use quick_cache::sync::Cache;
use tenantry_domain::access::{Authority as _, Principal, TenantAccess};
use tenantry_domain::clock::Hour;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::id::{TenantId, TokenId};
use tenantry_domain::idempotency::{Idempotency, IdempotencyKey, Mark, request_digest};
use tenantry_domain::ledger::{Action, Entry};
use tenantry_domain::sealing::SealedFor;
use tenantry_store::Note;

use crate::Service;

/// Readers of statistics who are remembered at once.
const REMEMBERED: usize = 16_384;

/// Of what the platform's people read of a tenant, and in which hour the last time, it was told: it need
/// not be told again in that hour. The store knows it too, for all processes; this spares it being asked.
pub(crate) struct Told(Cache<(TenantId, Action, Reader), i64>);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Reader {
    Token(TokenId),
    Actor(String),
}

impl Told {
    pub(crate) fn new() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Told").field(&self.0.len()).finish()
    }
}

impl Service {
    /// Has the audit log tell, once for each actor and hour, that a tenant's statistics are read from
    /// outside of it. What cannot be told is not shown.
    pub(crate) async fn tell_of_statistics(
        &self,
        principal: &Principal,
        access: &TenantAccess,
    ) -> Result<()> {
        if !access.is_from_outside() {
            return Ok(());
        }
        let reader = match &principal.token {
            Some(token) => Reader::Token(token.id),
            None => Reader::Actor(access.actor().id.clone()),
        };
        self.tell_once(access, reader, Action::StatisticsRead).await
    }

    /// As [`Service::tell_of_statistics`], of the audit log itself: users and numbers are in it.
    pub(crate) async fn tell_of_audit_log(&self, access: &TenantAccess) -> Result<()> {
        if !access.is_from_outside() {
            return Ok(());
        }
        let reader = Reader::Actor(access.actor().id.clone());
        self.tell_once(access, reader, Action::AuditLogRead).await
    }

    async fn tell_once(&self, access: &TenantAccess, reader: Reader, action: Action) -> Result<()> {
        let tenant = access.tenant();
        let hour = Hour::of(self.now()).index();
        let told = (tenant, action, reader);
        if self.told.0.get(&told) == Some(hour) {
            return Ok(());
        }
        self.know_master_key().await?;
        let key: IdempotencyKey = format!("{hour}").parse().map_err(Error::internal)?;
        let request = request_digest("GET", action.as_str(), &[]);
        let route = format!("access transparency {}", action.as_str());
        let mark = Mark::new(tenant, access.actor(), &route, &key, request);
        // There is nothing to answer again; an answer that is empty would be one that was erased.
        let vault = Arc::clone(&self.vault);
        let once =
            Idempotency::new(mark, move |_: &Entry| vault.seal(&SealedFor::Answer(mark), b"told"));
        let note = Note { action, resource_id: tenant.to_string(), details: serde_json::json!({}) };
        match self.store.record(&access.clone().with_idempotency(once), note).await {
            Ok(_) | Err(Error::Repeated(_)) => {}
            Err(error) => return Err(error),
        }
        self.told.0.insert(told, hour);
        Ok(())
    }

    /// Has the audit log tell that users of a tenant are read from outside of it: one of them, or a
    /// list. What cannot be told is not shown.
    pub(crate) async fn tell_of_users(
        &self,
        access: &TenantAccess,
        resource_id: String,
        details: serde_json::Value,
    ) -> Result<()> {
        if !access.is_from_outside() {
            return Ok(());
        }
        let note = Note { action: Action::UsersRead, resource_id, details };
        self.store.record(access, note).await.map(drop)
    }
}
