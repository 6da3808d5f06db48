//! What there is once for all tenants.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tenantry_domain::access::TenantAccess;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Change;
use tenantry_domain::credential::Sealed;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::ledger::Action;
use tenantry_domain::signing_key::StoredSigningKey;
use tenantry_store::Installation;
use tenantry_store::posting::Deed;

use crate::SqliteStore;
use crate::sql::{self, At};
use crate::writer::{Durability, Outcome};

#[async_trait]
impl Installation for SqliteStore {
    async fn ping(&self) -> Result<()> {
        self.read(|connection| sql::one(connection, "SELECT 1", [], |_| Ok(())))?;
        let now = self.context.clock.now();
        if let Some(server) = &self.server {
            // It can have to wait, and so could those that are asked beside it.
            let calls = Arc::clone(&server.calls);
            let ping = tokio::task::spawn_blocking(move || calls.ping(now));
            ping.await.map_err(Error::internal)?.map_err(|fault| fault.0)?;
        }
        let work = move |connection: &Connection| ping(connection, now).map(Outcome::Done);
        self.write(Durability::Handed, work).await
    }

    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>> {
        self.read(|connection| {
            sql::all(
                connection,
                "SELECT kid, algorithm, sealed, created_at, needed_until FROM signing_keys
                 ORDER BY created_at, kid",
                [],
                |row| {
                    Ok(StoredSigningKey {
                        kid: row.get(0)?,
                        algorithm: row.get(1)?,
                        sealed: Sealed(row.get(2)?),
                        created_at: row.get::<_, At>(3)?.0,
                        needed_until: row.get::<_, Option<At>>(4)?.map(|at| at.0),
                    })
                },
            )
        })
    }

    async fn add_first_signing_key(&self, key: StoredSigningKey) -> Result<()> {
        let work = move |connection: &Connection| {
            sql::execute(
                connection,
                "INSERT INTO signing_keys (kid, algorithm, sealed, created_at)
                 SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM signing_keys)",
                params![key.kid, key.algorithm, key.sealed.0, At(key.created_at)],
            )?;
            Ok(Outcome::Done(()))
        };
        self.write(Durability::Flushed, work).await
    }

    async fn add_signing_key(
        &self,
        access: &TenantAccess,
        key: StoredSigningKey,
        newest: &str,
    ) -> Result<bool> {
        let newest = newest.to_owned();
        self.change(access, move |books, access| {
            if newest_key(books.connection)?.as_ref() != Some(&newest) {
                return Ok(false);
            }
            sql::execute(
                books.connection,
                "INSERT INTO signing_keys (kid, algorithm, sealed, created_at)
                 VALUES (?1, ?2, ?3, ?4)",
                params![key.kid, key.algorithm, key.sealed.0, At(key.created_at)],
            )?;
            let details = serde_json::json!({ "createdAt": key.created_at });
            let (action, change) = (Action::SigningKeyRotated, Change::None);
            books.post(access, Deed { action, change, resource_id: key.kid.clone(), details })?;
            Ok(true)
        })
        .await
    }

    async fn keep_signing_key(&self, kid: &str, until: Timestamp) -> Result<bool> {
        let kid = kid.to_owned();
        let work = move |connection: &Connection| {
            let sql = "UPDATE signing_keys SET needed_until = max(coalesce(needed_until, ?2), ?2)
                 WHERE kid = ?1";
            let rows = sql::execute(connection, sql, params![kid, At(until)])?;
            Ok(Outcome::Done(rows > 0))
        };
        self.write(Durability::Flushed, work).await
    }

    async fn retire_signing_key(&self, access: &TenantAccess, kid: &str) -> Result<bool> {
        let kid = kid.to_owned();
        self.change(access, move |books, access| {
            if newest_key(books.connection)?.as_ref() == Some(&kid) {
                return Ok(false);
            }
            let sql = "DELETE FROM signing_keys WHERE kid = ?1";
            if sql::execute(books.connection, sql, params![kid])? == 0 {
                return Ok(false);
            }
            let (action, change) = (Action::SigningKeyRetired, Change::None);
            let (resource_id, details) = (kid.clone(), serde_json::json!({}));
            books.post(access, Deed { action, change, resource_id, details })?;
            Ok(true)
        })
        .await
    }
}

/// The newest signing key. Nobody else writes meanwhile.
fn newest_key(connection: &Connection) -> crate::error::Result<Option<String>> {
    let sql = "SELECT kid FROM signing_keys ORDER BY created_at DESC, kid DESC LIMIT 1";
    sql::optional(connection, sql, [], |row| row.get(0))
}

/// Whether a signing key is (still) there.
pub(crate) fn has_key(connection: &Connection, kid: &str) -> crate::error::Result<bool> {
    let sql = "SELECT 1 FROM signing_keys WHERE kid = ?1";
    Ok(sql::optional(connection, sql, [kid], |_| Ok(()))?.is_some())
}

/// The ids of the signing keys.
pub(crate) fn kids(connection: &Connection) -> crate::error::Result<Vec<String>> {
    sql::all(connection, "SELECT kid FROM signing_keys", [], |row| row.get(0))
}

/// Writes something real into a file: an empty transaction succeeds on a full disk, too.
pub(crate) fn ping(connection: &Connection, now: Timestamp) -> crate::error::Result<()> {
    sql::execute(
        connection,
        "INSERT INTO installation (only_row, pinged_at) VALUES (1, ?1)
         ON CONFLICT (only_row) DO UPDATE SET pinged_at = excluded.pinged_at",
        params![At(now)],
    )?;
    Ok(())
}
