//! What is sealed, and the master keys that it is sealed under.

use async_trait::async_trait;
use tenantry_domain::access::TenantAccess;
use tenantry_domain::counts::Change;
use tenantry_domain::credential::Sealed;
use tenantry_domain::id::CredentialId;
use tenantry_domain::idempotency::Mark;
use tenantry_domain::sealing::{MasterKeys, SealedFor, WrappedKey};
use tenantry_store::posting::Deed;
use tenantry_store::{Found, Note, Resealed, Resealing, Seals, Shelf};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::PostgresStore;
use crate::error::Result;
use crate::session::{Command, Session};
use crate::sql::{Columns as _, params};

#[async_trait]
impl Seals for PostgresStore {
    async fn bind_master_key(&self, key_id: &str) -> tenantry_domain::error::Result<String> {
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

    async fn master_keys(&self) -> tenantry_domain::error::Result<MasterKeys> {
        // Both in one statement, so that they belong together.
        let sql = "SELECT master_key_id, key_id, under, sealed, created_at
             FROM installation LEFT JOIN wrapped_keys ON true ORDER BY key_id, under";
        self.read([Command::new(sql, Vec::new())], |[rows]| read_master_keys(&rows)).await
    }

    async fn replace_master_keys(
        &self,
        access: &TenantAccess,
        bound: &str,
        keys: MasterKeys,
        note: Note,
    ) -> tenantry_domain::error::Result<bool> {
        change!(self, access, |books| {
            let session = &mut books.session;
            let sql = "UPDATE installation SET master_key_id = $2
                 WHERE only_row = 1 AND master_key_id = $1";
            if session.execute(sql, params![bound, keys.bound.as_deref()]).await? == 0 {
                return Ok(false);
            }
            session.write("DELETE FROM wrapped_keys", Vec::new());
            for key in &keys.wrapped {
                session.write_one(
                    "INSERT INTO wrapped_keys (key_id, under, sealed, created_at)
                     VALUES ($1, $2, $3, $4)",
                    params![&key.key_id, &key.under, key.sealed.0.clone(), key.created_at],
                );
            }
            let Note { action, resource_id, details } = note.clone();
            books.post(access, Deed { action, change: Change::None, resource_id, details })?;
            Ok(true)
        })
    }

    async fn reseal(
        &self,
        shelf: Shelf,
        limit: u32,
        reseal: Resealing,
    ) -> tenantry_domain::error::Result<Resealed> {
        self.retried(|| async {
            let mut session = self.database.transaction().await?;
            let resealed = seal_anew(&mut session, shelf, limit, &reseal).await?;
            session.commit().await?;
            Ok(resealed)
        })
        .await
    }
}

fn read_master_keys(rows: &[Row]) -> Result<MasterKeys> {
    let mut keys = MasterKeys::default();
    for row in rows {
        keys.bound = row.try_get(0)?;
        if let Some(key_id) = row.try_get(1)? {
            keys.wrapped.push(WrappedKey {
                key_id,
                under: row.try_get(2)?,
                sealed: Sealed(row.try_get(3)?),
                created_at: row.at(4)?,
            });
        }
    }
    Ok(keys)
}

/// Nothing is locked to look at it, so what is sealed anew must be what was found.
async fn seal_anew(
    session: &mut Session,
    shelf: Shelf,
    limit: u32,
    reseal: &Resealing,
) -> Result<Resealed> {
    let [rows] = session.each([ask(shelf, limit)]).await?;
    let found: Vec<Found> = rows.iter().map(|row| read(shelf, row)).collect::<Result<_>>()?;
    let rest = shelf.rest(&found, limit);
    let mut changes = Vec::new();
    for it in &found {
        if let Some(sealed) = reseal(&it.sealed_for, &it.sealed)? {
            changes.extend(put(&it.sealed_for, &it.sealed, sealed));
        }
    }
    let changed = session.several(changes).await?;
    let count = changed.iter().map(|rows| rows.len() as u64).sum();
    Ok(Resealed { count, rest })
}

fn ask(shelf: Shelf, limit: u32) -> Command {
    match shelf {
        Shelf::SigningKeys => {
            Command::new("SELECT kid, sealed FROM signing_keys ORDER BY kid", Vec::new())
        }
        Shelf::Credentials(tenant, after) => Command::new(
            "SELECT credential_id, secret FROM credentials
             WHERE tenant_id = $1 AND credential_id > $2 ORDER BY credential_id LIMIT $3",
            params![tenant, after.map_or(Uuid::nil(), |id| id.as_uuid()), limit],
        ),
        // An answer that is empty was erased.
        Shelf::Answers(tenant, after) => Command::new(
            "SELECT mark_id, request, answer FROM idempotency_marks
             WHERE tenant_id = $1 AND mark_id > $2 AND answer <> '' ORDER BY mark_id LIMIT $3",
            params![tenant, after.map_or_else(Vec::new, |id| id.0.to_vec()), limit],
        ),
    }
}

fn read(shelf: Shelf, row: &Row) -> Result<Found> {
    Ok(match shelf {
        Shelf::SigningKeys => Found {
            sealed_for: SealedFor::SigningKey(row.try_get(0)?),
            sealed: Sealed(row.try_get(1)?),
            until: shelf,
        },
        Shelf::Credentials(tenant, _) => {
            let id = CredentialId::from_uuid(row.try_get(0)?);
            Found {
                sealed_for: SealedFor::Credential(tenant, id),
                sealed: Sealed(row.try_get(1)?),
                until: Shelf::Credentials(tenant, Some(id)),
            }
        }
        Shelf::Answers(tenant, _) => {
            let (id, request) = (row.hash(0)?, row.hash(1)?);
            Found {
                sealed_for: SealedFor::Answer(Mark { tenant, id, request, before: None }),
                sealed: Sealed(row.try_get(2)?),
                until: Shelf::Answers(tenant, Some(id)),
            }
        }
    })
}

/// Answers a row if that was done.
fn put(sealed_for: &SealedFor, found: &Sealed, Sealed(sealed): Sealed) -> Option<Command> {
    let found = found.0.clone();
    match sealed_for {
        SealedFor::SigningKey(kid) => Some(Command::new(
            "UPDATE signing_keys SET sealed = $3 WHERE kid = $1 AND sealed = $2 RETURNING 1",
            params![kid, found, sealed],
        )),
        SealedFor::Credential(tenant, id) => Some(Command::new(
            "UPDATE credentials SET secret = $4
             WHERE tenant_id = $1 AND credential_id = $2 AND secret = $3 RETURNING 1",
            params![*tenant, *id, found, sealed],
        )),
        SealedFor::Answer(mark) => Some(Command::new(
            "UPDATE idempotency_marks SET answer = $4
             WHERE tenant_id = $1 AND mark_id = $2 AND answer = $3 RETURNING 1",
            params![mark.tenant, mark.id, found, sealed],
        )),
        // These are replaced all together.
        SealedFor::MasterKey(_) => None,
    }
}
