//! API keys.

use std::num::NonZeroU32;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params, params_from_iter};
use serde::Serialize;
use tenantry_domain::access::TenantAccess;
use tenantry_domain::api_key::{
    ApiKey, ApiKeyDetails, ApiKeyFilter, KeySecret, LastUse, NewApiKey, PresentedKey,
    RotatedApiKey, Rotation, SecretHash,
};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Change;
use tenantry_domain::error::{Error, Missing};
use tenantry_domain::id::{ApiKeyId, TenantId};
use tenantry_domain::ledger::Action;
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::text::Name;
use tenantry_store::ApiKeys;
use tenantry_store::list;
use tenantry_store::posting::Deed;

use crate::SqliteStore;
use crate::books::{self, Books};
use crate::error::Result;
use crate::pages::page_of;
use crate::sql::{
    self, At, Id, Json, Value, blob, instant, json, json_text, scopes, tenant_id, text,
};
use crate::tenants::require;

/// In the order of [`read`]. The first value of the statement is the tenant.
macro_rules! columns {
    () => {
        "key_id, name, prefix, scopes, expires_at, ip_allowlist, rate_limit, created_at, revoked_at, \
         (SELECT max(used_at) FROM all_api_key_uses u
          WHERE u.tenant_id = ? AND u.key_id = api_keys.key_id)"
    };
}

#[async_trait]
impl ApiKeys for SqliteStore {
    async fn create_api_key(
        &self,
        access: &TenantAccess,
        new: NewApiKey,
    ) -> tenantry_domain::error::Result<ApiKey> {
        self.change(access, move |books, access| {
            let secret_hash = new.secret_hash;
            let key = new.clone().into_api_key(books.at);
            sql::execute(
                books.connection,
                "INSERT INTO api_keys (tenant_id, key_id, name, name_key, prefix, scopes,
                     expires_at, ip_allowlist, rate_limit, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                params_from_iter([
                    blob(books.tenant.as_uuid()),
                    blob(key.id.as_uuid()),
                    text(Some(key.name.as_str())),
                    Value::Text(key.name.key()),
                    text(Some(&key.prefix)),
                    Value::Text(key.scopes.to_line()),
                    instant(key.expires_at),
                    json_text(&key.ip_allowlist)?,
                    key.rate_limit.map_or(Value::Null, |limit| Value::Integer(limit.get().into())),
                    Value::Integer(key.created_at.as_millis()),
                ]),
            )?;
            add_secret(books, &key, secret_hash)?;
            let change = Change::ApiKey { before: None, after: Some(key.facts()) };
            post(books, access, Action::ApiKeyCreated, key.id, &key, change)?;
            Ok(key)
        })
        .await
    }

    async fn api_key(
        &self,
        access: &TenantAccess,
        id: ApiKeyId,
    ) -> tenantry_domain::error::Result<ApiKeyDetails> {
        self.read(|connection| {
            require(connection, access.tenant())?;
            let api_key = get(connection, access.tenant(), id)?;
            Ok(ApiKeyDetails { secrets: secrets(connection, access.tenant(), id)?, api_key })
        })
    }

    async fn list_api_keys(
        &self,
        access: &TenantAccess,
        filter: ApiKeyFilter,
        page: &PageRequest<ApiKey>,
    ) -> tenantry_domain::error::Result<Page<ApiKey>> {
        let (tenant, page) = (access.tenant(), page.clone());
        let clock = self.context.clock.now();
        self.read_long(move |connection| {
            let (counts, at) = books::counts(connection, tenant, clock)?;
            let list = list::api_keys(columns!(), tenant, filter, at);
            page_of(connection, &page, list, Some(filter.counted(&counts)), read)
        })
        .await
    }

    async fn revoke_api_key(
        &self,
        access: &TenantAccess,
        id: ApiKeyId,
    ) -> tenantry_domain::error::Result<ApiKey> {
        self.change(access, move |books, access| {
            let before = get(books.connection, books.tenant, id)?;
            let key = before.clone().revoke(books.at)?;
            access.check_match(&before)?;
            sql::execute(
                books.connection,
                "UPDATE api_keys SET revoked_at = ?3 WHERE tenant_id = ?1 AND key_id = ?2",
                params![tenant_id(books.tenant), Id(id.as_uuid()), At(books.at)],
            )?;
            let change = Change::ApiKey { before: Some(before.facts()), after: Some(key.facts()) };
            post(books, access, Action::ApiKeyRevoked, id, &key, change)?;
            Ok(key)
        })
        .await
    }

    async fn rotate_api_key(
        &self,
        access: &TenantAccess,
        id: ApiKeyId,
        rotation: Rotation,
    ) -> tenantry_domain::error::Result<RotatedApiKey> {
        self.change(access, move |books, access| {
            let key = get(books.connection, books.tenant, id)?;
            let rotated = key.rotate(&rotation, books.at)?;
            end_secrets(books, id, rotated.grace_ends_at)?;
            add_secret(books, &rotated.api_key, rotation.secret_hash)?;
            sql::execute(
                books.connection,
                "UPDATE api_keys SET prefix = ?3 WHERE tenant_id = ?1 AND key_id = ?2",
                params![tenant_id(books.tenant), Id(id.as_uuid()), rotated.api_key.prefix],
            )?;
            // The same key in the same bucket: a rotation moves no count.
            post(books, access, Action::ApiKeyRotated, id, &rotated, Change::None)?;
            Ok(rotated)
        })
        .await
    }
}

/// Ends the secrets of a key: the newest at an instant, and one that was to end already, now.
fn end_secrets(books: &Books<'_>, id: ApiKeyId, newest_ends_at: Timestamp) -> Result<()> {
    sql::execute(
        books.connection,
        "UPDATE api_key_secrets SET ends_at = CASE WHEN ends_at IS NULL THEN ?3 ELSE ?4 END
         WHERE tenant_id = ?1 AND key_id = ?2 AND (ends_at IS NULL OR ends_at > ?4)",
        params![tenant_id(books.tenant), Id(id.as_uuid()), At(newest_ends_at), At(books.at)],
    )?;
    Ok(())
}

fn add_secret(books: &Books<'_>, key: &ApiKey, secret_hash: SecretHash) -> Result<()> {
    sql::execute(
        books.connection,
        "INSERT INTO api_key_secrets (tenant_id, secret_hash, key_id, prefix, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            tenant_id(books.tenant),
            secret_hash.0,
            Id(key.id.as_uuid()),
            key.prefix,
            At(books.at)
        ],
    )?;
    Ok(())
}

/// The texts of a key, the newest first, and when each was last used.
fn secrets(connection: &Connection, tenant: TenantId, id: ApiKeyId) -> Result<Vec<KeySecret>> {
    // SQLite answers the address of the row that has the greatest instant.
    let sql = "SELECT s.prefix, s.created_at, s.ends_at, max(u.used_at), u.used_from
         FROM api_key_secrets s LEFT JOIN all_api_key_uses u
             ON u.tenant_id = ?1 AND u.key_id = ?2 AND u.secret_hash = s.secret_hash
         WHERE s.tenant_id = ?1 AND s.key_id = ?2
         GROUP BY s.secret_hash
         ORDER BY s.ends_at IS NOT NULL, s.created_at DESC, s.ends_at DESC LIMIT ?3";
    let values = params![tenant_id(tenant), Id(id.as_uuid()), KeySecret::SHOWN];
    sql::all(connection, sql, values, |row| {
        let instant =
            |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<At>>(column)?.map(|at| at.0));
        let from = row.get::<_, Option<String>>(4)?.and_then(|address| address.parse().ok());
        Ok(KeySecret {
            prefix: row.get(0)?,
            created_at: row.get::<_, At>(1)?.0,
            ends_at: instant(2)?,
            last_use: instant(3)?.map(|at| LastUse { at, from }),
        })
    })
}

/// What a secret that somebody presents belongs to.
pub(crate) fn presented(
    connection: &Connection,
    tenant: TenantId,
    secret_hash: SecretHash,
) -> Result<Option<PresentedKey>> {
    let sql = "SELECT key_id, name, scopes, expires_at, ip_allowlist, rate_limit,
             revoked_at IS NOT NULL, ends_at
         FROM api_key_secrets JOIN api_keys USING (tenant_id, key_id)
         WHERE tenant_id = ?1 AND secret_hash = ?2";
    sql::optional(connection, sql, params![tenant_id(tenant), secret_hash.0], |row| {
        Ok(PresentedKey {
            id: ApiKeyId::from_uuid(row.get::<_, Id>(0)?.0),
            name: Name::from_stored(row.get(1)?),
            scopes: scopes(row, 2)?,
            expires_at: row.get::<_, Option<At>>(3)?.map(|at| at.0),
            ip_allowlist: row.get::<_, Json<_>>(4)?.0,
            rate_limit: row.get::<_, Option<u32>>(5)?.and_then(NonZeroU32::new),
            is_revoked: row.get(6)?,
            secret_ends_at: row.get::<_, Option<At>>(7)?.map(|at| at.0),
        })
    })
}

fn get(connection: &Connection, tenant: TenantId, id: ApiKeyId) -> Result<ApiKey> {
    let sql = concat!("SELECT ", columns!(), " FROM api_keys WHERE tenant_id = ?1 AND key_id = ?2");
    sql::optional(connection, sql, params![tenant_id(tenant), Id(id.as_uuid())], read)?
        .ok_or_else(|| Error::NotFound(Missing::ApiKey).into())
}

fn read(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    let instant =
        |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<At>>(column)?.map(|at| at.0));
    Ok(ApiKey {
        id: ApiKeyId::from_uuid(row.get::<_, Id>(0)?.0),
        name: Name::from_stored(row.get(1)?),
        prefix: row.get(2)?,
        scopes: scopes(row, 3)?,
        expires_at: instant(4)?,
        ip_allowlist: row.get::<_, Json<_>>(5)?.0,
        rate_limit: row.get::<_, Option<u32>>(6)?.and_then(NonZeroU32::new),
        created_at: row.get::<_, At>(7)?.0,
        revoked_at: instant(8)?,
        last_used_at: instant(9)?,
    })
}

fn post(
    books: &mut Books<'_>,
    access: &TenantAccess,
    action: Action,
    id: ApiKeyId,
    details: &impl Serialize,
    change: Change,
) -> Result<()> {
    let deed = Deed { action, change, resource_id: id.to_string(), details: json(details)? };
    books.post(access, deed).map(drop)
}
