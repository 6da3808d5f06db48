//! What is sealed, and the master keys that it is sealed under.

use async_trait::async_trait;
use rusqlite::types::ToSql;
use rusqlite::{Connection, Row, params};
use tenantry_domain::access::TenantAccess;
use tenantry_domain::counts::Change;
use tenantry_domain::credential::Sealed;
use tenantry_domain::id::CredentialId;
use tenantry_domain::idempotency::Mark;
use tenantry_domain::ledger::Hash;
use tenantry_domain::sealing::{MasterKeys, SealedFor, WrappedKey};
use tenantry_store::posting::Deed;
use tenantry_store::{Found, Note, Resealed, Resealing, Seals, Shelf};

use crate::SqliteStore;
use crate::error::Result;
use crate::sql::{self, At, Fixed, Id, tenant_id};
use crate::writer::{Durability, Outcome};

#[async_trait]
impl Seals for SqliteStore {
    async fn bind_master_key(&self, key_id: &str) -> tenantry_domain::error::Result<String> {
        let key_id = key_id.to_owned();
        let work = move |connection: &Connection| {
            sql::execute(
                connection,
                "INSERT INTO installation (only_row, master_key_id) VALUES (1, ?1)
                 ON CONFLICT (only_row) DO UPDATE SET
                     master_key_id = coalesce(installation.master_key_id, excluded.master_key_id)",
                params![key_id],
            )?;
            let bound = bound_key(connection)?.unwrap_or_default();
            Ok(Outcome::Done(bound))
        };
        self.write(Durability::Flushed, work).await
    }

    async fn master_keys(&self) -> tenantry_domain::error::Result<MasterKeys> {
        self.read(master_keys)
    }

    async fn replace_master_keys(
        &self,
        access: &TenantAccess,
        bound: &str,
        keys: MasterKeys,
        note: Note,
    ) -> tenantry_domain::error::Result<bool> {
        let bound = bound.to_owned();
        self.change(access, move |books, access| {
            if bound_key(books.connection)?.as_ref() != Some(&bound) {
                return Ok(false);
            }
            keep(books.connection, &keys)?;
            let Note { action, resource_id, details } = note.clone();
            let change = Change::None;
            books.post(access, Deed { action, change, resource_id, details })?;
            Ok(true)
        })
        .await
    }

    async fn reseal(
        &self,
        shelf: Shelf,
        limit: u32,
        reseal: Resealing,
    ) -> tenantry_domain::error::Result<Resealed> {
        // Looked at beside the writer, which is asked only for what is to be written: so what is sealed anew
        // must be what was found.
        let look = move |connection: &Connection| look(connection, shelf, limit);
        let found = self.read_long(look).await?;
        let rest = shelf.rest(&found, limit);
        let mut changes = Vec::new();
        for it in found {
            if let Some(sealed) = reseal(&it.sealed_for, &it.sealed)? {
                changes.push((it, sealed));
            }
        }
        if changes.is_empty() {
            return Ok(Resealed { count: 0, rest });
        }
        let work = move |connection: &Connection| {
            let mut count = 0;
            for (found, sealed) in &changes {
                count += put(connection, found, sealed)? as u64;
            }
            Ok(Outcome::Done(Resealed { count, rest }))
        };
        self.write(Durability::Flushed, work).await
    }
}

pub(crate) fn bound_key(connection: &Connection) -> Result<Option<String>> {
    let key_id =
        sql::optional(connection, "SELECT master_key_id FROM installation", [], |row| row.get(0))?;
    Ok(key_id.flatten())
}

/// Both in one statement, so that they belong together.
fn master_keys(connection: &Connection) -> Result<MasterKeys> {
    let sql = "SELECT master_key_id, key_id, under, sealed, created_at
         FROM installation LEFT JOIN wrapped_keys ON true ORDER BY key_id, under";
    let rows = sql::all(connection, sql, [], |row| {
        let wrapped = match row.get(1)? {
            Some(key_id) => Some(WrappedKey {
                key_id,
                under: row.get(2)?,
                sealed: Sealed(row.get(3)?),
                created_at: row.get::<_, At>(4)?.0,
            }),
            None => None,
        };
        Ok((row.get(0)?, wrapped))
    })?;
    let mut keys = MasterKeys::default();
    for (bound, wrapped) in rows {
        keys.bound = bound;
        keys.wrapped.extend(wrapped);
    }
    Ok(keys)
}

fn keep(connection: &Connection, keys: &MasterKeys) -> Result<()> {
    sql::execute(connection, "UPDATE installation SET master_key_id = ?1", [&keys.bound])?;
    sql::execute(connection, "DELETE FROM wrapped_keys", [])?;
    for key in &keys.wrapped {
        sql::execute(
            connection,
            "INSERT INTO wrapped_keys (key_id, under, sealed, created_at) VALUES (?1, ?2, ?3, ?4)",
            params![key.key_id, key.under, key.sealed.0, At(key.created_at)],
        )?;
    }
    Ok(())
}

fn look(connection: &Connection, shelf: Shelf, limit: u32) -> Result<Vec<Found>> {
    let find = |sql, values: &[&dyn ToSql], read: &dyn Fn(&Row<'_>) -> rusqlite::Result<Found>| {
        sql::all(connection, sql, values, |row| read(row))
    };
    match shelf {
        Shelf::SigningKeys => {
            find("SELECT kid, sealed FROM signing_keys ORDER BY kid", &[], &|row| {
                let (sealed_for, sealed) =
                    (SealedFor::SigningKey(row.get(0)?), Sealed(row.get(1)?));
                Ok(Found { sealed_for, sealed, until: shelf })
            })
        }
        Shelf::Credentials(tenant, after) => {
            let sql = "SELECT credential_id, secret FROM credentials
                 WHERE tenant_id = ?1 AND credential_id > ?2 ORDER BY credential_id LIMIT ?3";
            let after = after.map_or_else(Vec::new, |id| id.as_uuid().as_bytes().to_vec());
            find(sql, &[&tenant_id(tenant), &after, &limit], &|row| {
                let id = CredentialId::from_uuid(row.get::<_, Id>(0)?.0);
                let sealed_for = SealedFor::Credential(tenant, id);
                let until = Shelf::Credentials(tenant, Some(id));
                Ok(Found { sealed_for, sealed: Sealed(row.get(1)?), until })
            })
        }
        // An answer that is empty was erased.
        Shelf::Answers(tenant, after) => {
            let sql = "SELECT mark_id, request, answer FROM idempotency_marks
                 WHERE tenant_id = ?1 AND mark_id > ?2 AND answer <> x'' ORDER BY mark_id LIMIT ?3";
            let after = after.map_or_else(Vec::new, |id| id.0.to_vec());
            find(sql, &[&tenant_id(tenant), &after, &limit], &|row| {
                let [id, request] = [row.get(0)?, row.get(1)?].map(|it: Fixed<32>| Hash(it.0));
                let sealed_for = SealedFor::Answer(Mark { tenant, id, request, before: None });
                let until = Shelf::Answers(tenant, Some(id));
                Ok(Found { sealed_for, sealed: Sealed(row.get(2)?), until })
            })
        }
    }
}

/// Answers how many rows that was.
fn put(connection: &Connection, found: &Found, Sealed(sealed): &Sealed) -> Result<usize> {
    let before = &found.sealed.0;
    match &found.sealed_for {
        SealedFor::SigningKey(kid) => {
            let sql = "UPDATE signing_keys SET sealed = ?3 WHERE kid = ?1 AND sealed = ?2";
            sql::execute(connection, sql, params![kid, before, sealed])
        }
        SealedFor::Credential(tenant, id) => {
            let sql = "UPDATE credentials SET secret = ?4
                 WHERE tenant_id = ?1 AND credential_id = ?2 AND secret = ?3";
            let (tenant, id) = (tenant_id(*tenant), Id(id.as_uuid()));
            sql::execute(connection, sql, params![tenant, id, before, sealed])
        }
        SealedFor::Answer(mark) => {
            let sql = "UPDATE idempotency_marks SET answer = ?4
                 WHERE tenant_id = ?1 AND mark_id = ?2 AND answer = ?3";
            sql::execute(
                connection,
                sql,
                params![tenant_id(mark.tenant), mark.id.0, before, sealed],
            )
        }
        // These are replaced all together.
        SealedFor::MasterKey(_) => Ok(0),
    }
}
