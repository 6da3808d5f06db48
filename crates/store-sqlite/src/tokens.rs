//! Tokens that were ended before their time.

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tenantry_domain::access::{TenantAccess, TokenIds};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Change;
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::Action;
use tenantry_domain::token::EndedToken;
use tenantry_store::Tokens;
use tenantry_store::posting::Deed;
use uuid::Uuid;

use crate::SqliteStore;
use crate::error::Result;
use crate::sql::{self, At, Id, tenant_id};
use crate::writer::{Durability, Outcome};

#[async_trait]
impl Tokens for SqliteStore {
    async fn end_token(
        &self,
        access: &TenantAccess,
        token: EndedToken,
    ) -> tenantry_domain::error::Result<bool> {
        self.change(access, move |books, access| {
            let is_new = end(books.connection, books.tenant, token.id, token.expires_at)?;
            if is_new && token.is_told {
                let resource_id = token.id.to_string();
                let (action, change) = (Action::TokenRevoked, Change::None);
                let details = serde_json::json!({ "expiresAt": token.expires_at });
                books.post(access, Deed { action, change, resource_id, details })?;
            }
            Ok(is_new)
        })
        .await
    }

    async fn forget_ended_tokens(&self, limit: u32) -> tenantry_domain::error::Result<u32> {
        let now = At(self.context.clock.now());
        // Mostly there is nothing to do, and then the writer is left alone.
        let due = "SELECT 1 FROM revoked_tokens WHERE expires_at <= ?1 LIMIT 1";
        if !self.read(|connection| sql::exists(connection, due, [now]))? {
            return Ok(0);
        }
        let work = move |connection: &Connection| {
            let sql = "DELETE FROM revoked_tokens WHERE (tenant_id, token_id) IN
                 (SELECT tenant_id, token_id FROM revoked_tokens WHERE expires_at <= ?1 LIMIT ?2)";
            let rows = sql::execute(connection, sql, params![now, limit])?;
            Ok(Outcome::Done(u32::try_from(rows).unwrap_or(u32::MAX)))
        };
        self.write(Durability::Flushed, work).await
    }
}

/// Notes that something ends before its time; answers whether that is new.
pub(crate) fn end(
    connection: &Connection,
    tenant: TenantId,
    id: Uuid,
    expires_at: Timestamp,
) -> Result<bool> {
    let sql = "INSERT INTO revoked_tokens (tenant_id, token_id, expires_at) VALUES (?1, ?2, ?3)
         ON CONFLICT DO NOTHING";
    Ok(sql::execute(connection, sql, params![tenant_id(tenant), Id(id), At(expires_at)])? > 0)
}

/// Whether a token, or its session, was ended before its time.
pub(crate) fn is_ended(
    connection: &Connection,
    tenant: TenantId,
    token: &TokenIds,
) -> Result<bool> {
    let sql = "SELECT 1 FROM revoked_tokens WHERE tenant_id = ?1 AND token_id IN (?2, ?3)";
    let session = token.session.map(|session| Id(session.as_uuid()));
    let values = params![tenant_id(tenant), Id(token.id.as_uuid()), session];
    Ok(sql::optional(connection, sql, values, |_| Ok(()))?.is_some())
}

/// Whether anything of a tenant was ended before its time of late.
pub(crate) fn has_ended(connection: &Connection, tenant: TenantId) -> Result<bool> {
    let sql = "SELECT 1 FROM revoked_tokens WHERE tenant_id = ?1 LIMIT 1";
    Ok(sql::optional(connection, sql, params![tenant_id(tenant)], |_| Ok(()))?.is_some())
}
