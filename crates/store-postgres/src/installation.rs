//! What there is once for all tenants.

use std::time::Duration;

use async_trait::async_trait;
use tenantry_domain::access::TenantAccess;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Change;
use tenantry_domain::credential::Sealed;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::ledger::Action;
use tenantry_domain::signing_key::StoredSigningKey;
use tenantry_store::Installation;
use tenantry_store::posting::Deed;
use tokio_postgres::Row;

use crate::PostgresStore;
use crate::session::{Command, Session};
use crate::sql::{Columns as _, params};

#[async_trait]
impl Installation for PostgresStore {
    async fn ping(&self) -> Result<()> {
        self.retried(|| async {
            let mut session = self.database.transaction().await?;
            let before = self.context.clock.now();
            // Something real: a server that only reads, or has a full disk, answers other questions too.
            // In one round trip: others want to write the row, and a process can be held up.
            session.write("SET LOCAL synchronous_commit = off", Vec::new());
            let sql = "UPDATE installation SET pinged_at = $1 WHERE only_row = 1";
            session.write(sql, params![before]);
            session.then_commit();
            let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
            let theirs = session.one(sql, Vec::new()).await?.at(0)?;
            let after = self.context.clock.now();
            match self.database.clock_tolerance() {
                Some(tolerance) => same_clock(before, theirs, after, tolerance),
                None => Ok(()),
            }
        })
        .await
    }

    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>> {
        let sql = "SELECT kid, algorithm, sealed, created_at, needed_until FROM signing_keys
             ORDER BY created_at, kid";
        self.read([Command::new(sql, Vec::new())], |[rows]| rows.iter().map(read_key).collect())
            .await
    }

    async fn add_first_signing_key(&self, key: StoredSigningKey) -> Result<()> {
        self.retried(|| async {
            let mut session = self.database.transaction().await?;
            // Of two who bring one at once the second waits here, and finds the first one's.
            session.write("SELECT 1 FROM installation WHERE only_row = 1 FOR UPDATE", Vec::new());
            session.write(
                "INSERT INTO signing_keys (kid, algorithm, sealed, created_at)
                 SELECT $1::text, $2::text, $3::bytea, $4::bigint
                 WHERE NOT EXISTS (SELECT 1 FROM signing_keys)",
                params![&key.kid, &key.algorithm, key.sealed.0.clone(), key.created_at],
            );
            session.commit().await
        })
        .await
    }

    async fn add_signing_key(
        &self,
        access: &TenantAccess,
        key: StoredSigningKey,
        newest: &str,
    ) -> Result<bool> {
        change!(self, access, |books| {
            if newest_key(&mut books.session).await?.as_deref() != Some(newest) {
                return Ok(false);
            }
            books.session.write_one(
                "INSERT INTO signing_keys (kid, algorithm, sealed, created_at)
                 VALUES ($1, $2, $3, $4)",
                params![&key.kid, &key.algorithm, key.sealed.0.clone(), key.created_at],
            );
            let details = serde_json::json!({ "createdAt": key.created_at });
            let (action, change) = (Action::SigningKeyRotated, Change::None);
            books.post(access, Deed { action, change, resource_id: key.kid.clone(), details })?;
            Ok(true)
        })
    }

    async fn keep_signing_key(&self, kid: &str, until: Timestamp) -> Result<bool> {
        self.retried(|| async {
            let mut session = self.database.transaction().await?;
            let sql = "UPDATE signing_keys SET needed_until = greatest(needed_until, $2)
                 WHERE kid = $1";
            let is_there = session.execute(sql, params![kid, until]).await? > 0;
            session.commit().await?;
            Ok(is_there)
        })
        .await
    }

    async fn retire_signing_key(&self, access: &TenantAccess, kid: &str) -> Result<bool> {
        change!(self, access, |books| {
            if newest_key(&mut books.session).await?.as_deref() == Some(kid) {
                return Ok(false);
            }
            let sql = "DELETE FROM signing_keys WHERE kid = $1";
            if books.session.execute(sql, params![kid]).await? == 0 {
                return Ok(false);
            }
            let (action, change) = (Action::SigningKeyRetired, Change::None);
            let (resource_id, details) = (kid.to_owned(), serde_json::json!({}));
            books.post(access, Deed { action, change, resource_id, details })?;
            Ok(true)
        })
    }
}

/// The newest signing key. The lock of the platform's ledger keeps whoever changes one from the
/// others.
async fn newest_key(session: &mut Session) -> crate::error::Result<Option<String>> {
    let sql = "SELECT kid FROM signing_keys ORDER BY created_at DESC, kid DESC LIMIT 1";
    let rows = session.all(sql, Vec::new()).await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
}

/// Fails if the database's clock is further off than that. It showed `theirs` at some time between
/// `before` and `after`, so that a slow answer looks like no difference.
fn same_clock(
    before: Timestamp,
    theirs: Timestamp,
    after: Timestamp,
    tolerance: Duration,
) -> crate::error::Result<()> {
    let (ahead, behind) =
        (before.as_millis() - theirs.as_millis(), after.as_millis() - theirs.as_millis());
    let off = if ahead > 0 { ahead } else { behind.min(0) };
    if u128::from(off.unsigned_abs()) > tolerance.as_millis() {
        return Err(Error::ClockDiffers(off).into());
    }
    Ok(())
}

fn read_key(row: &Row) -> crate::error::Result<StoredSigningKey> {
    Ok(StoredSigningKey {
        kid: row.try_get(0)?,
        algorithm: row.try_get(1)?,
        sealed: Sealed(row.try_get(2)?),
        created_at: row.at(3)?,
        needed_until: row.at_if_any(4)?,
    })
}
