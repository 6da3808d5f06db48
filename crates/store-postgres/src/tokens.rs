//! Tokens that were ended before their time.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tenantry_domain::access::TenantAccess;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Change;
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::Action;
use tenantry_domain::token::EndedToken;
use tenantry_store::Tokens;
use tenantry_store::posting::Deed;
use uuid::Uuid;

use crate::PostgresStore;
use crate::error::Result;
use crate::session::Session;
use crate::sql::params;

#[async_trait]
impl Tokens for PostgresStore {
    async fn end_token(
        &self,
        access: &TenantAccess,
        token: EndedToken,
    ) -> tenantry_domain::error::Result<bool> {
        change!(self, access, |books| {
            let is_new = end(&mut books.session, books.tenant, token.id, token.expires_at).await?;
            if is_new && token.is_told {
                let resource_id = token.id.to_string();
                let (action, change) = (Action::TokenRevoked, Change::None);
                let details = serde_json::json!({ "expiresAt": token.expires_at });
                books.post(access, Deed { action, change, resource_id, details })?;
            }
            Ok(is_new)
        })
    }

    async fn forget_ended_tokens(&self, limit: u32) -> tenantry_domain::error::Result<u32> {
        let now = self.context.clock.now();
        let forget = || async {
            let Some(mut session) = self.turn().await? else { return Ok(0) };
            forget(&mut session, now, limit).await
        };
        self.retried(forget).await
    }
}

/// Removes what has ended by itself, at most this many; answers how many there were. Those of each
/// tenant go in a transaction of their own, as old marks do.
async fn forget(session: &mut Session, now: Timestamp, limit: u32) -> Result<u32> {
    let sql = "SELECT tenant_id, token_id FROM revoked_tokens WHERE expires_at <= $1
         ORDER BY expires_at LIMIT $2";
    let mut forgotten = 0;
    let mut ended = BTreeMap::<Uuid, Vec<Uuid>>::new();
    for row in session.all(sql, params![now, limit]).await? {
        ended.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
        forgotten += 1;
    }
    session.then_commit();
    for (tenant, ids) in ended {
        session.begin("BEGIN");
        session.write("SET LOCAL synchronous_commit = off", Vec::new());
        let sql = "DELETE FROM revoked_tokens WHERE tenant_id = $1 AND token_id = ANY ($2)";
        session.write(sql, params![tenant, ids]);
        session.then_commit();
    }
    session.flush().await?;
    Ok(forgotten)
}

/// Notes that something ends before its time; answers whether that is new.
pub(crate) async fn end(
    session: &mut Session,
    tenant: TenantId,
    id: Uuid,
    expires_at: Timestamp,
) -> Result<bool> {
    let sql = "INSERT INTO revoked_tokens (tenant_id, token_id, expires_at) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING";
    Ok(session.execute(sql, params![tenant, id, expires_at]).await? > 0)
}
