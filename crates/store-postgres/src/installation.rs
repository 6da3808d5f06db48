//! What there is once for all tenants.

use std::time::Duration;

use async_trait::async_trait;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::credential::Sealed;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::signing_key::StoredSigningKey;
use tenantry_store::Installation;
use tokio_postgres::Row;

use crate::PostgresStore;
use crate::session::Command;
use crate::sql::{Columns as _, params};

/// Asks for the master key that the installation is bound to.
const BOUND: &str = "SELECT master_key_id FROM installation";

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

    async fn bind_master_key(&self, key_id: &str) -> Result<String> {
        self.retried(|| async {
            let mut session = self.database.transaction().await?;
            let sql = "UPDATE installation SET master_key_id = coalesce(master_key_id, $1)
                 WHERE only_row = 1 RETURNING master_key_id";
            let bound = session.one(sql, params![key_id]).await?.try_get(0)?;
            session.commit().await?;
            Ok(bound)
        })
        .await
    }

    async fn master_key_id(&self) -> Result<Option<String>> {
        self.read([Command::new(BOUND, Vec::new())], |[rows]| {
            Ok(rows.first().map(|row| row.try_get(0)).transpose()?.flatten())
        })
        .await
    }

    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>> {
        let sql = "SELECT kid, algorithm, sealed, created_at FROM signing_keys
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
    })
}
