//! API keys.

use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use tenantry_domain::access::{Bearer, TenantAccess};
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
use tokio_postgres::Row;

use crate::PostgresStore;
use crate::books::Books;
use crate::error::{Fault, Result};
use crate::pages::page_of;
use crate::session::{Command, Session};
use crate::sql::{Columns as _, Json, ScopeLine, json, json_text, params};
use crate::standing::Standing;
use crate::tenants::{ask_status, require};

/// In the order of [`read`]; `$tenant` stands for the tenant.
macro_rules! columns {
    ($tenant:literal) => {
        concat!(
            "key_id, name, prefix, scopes, expires_at, ip_allowlist, rate_limit, created_at, \
             revoked_at, (SELECT max(used_at) FROM api_key_uses u WHERE u.tenant_id = ",
            $tenant,
            " AND u.key_id = api_keys.key_id)"
        )
    };
}

#[async_trait]
impl ApiKeys for PostgresStore {
    async fn create_api_key(
        &self,
        access: &TenantAccess,
        new: NewApiKey,
    ) -> tenantry_domain::error::Result<ApiKey> {
        change!(self, access, |books| {
            let secret_hash = new.secret_hash;
            let key = new.clone().into_api_key(books.at);
            books.session.write_one(
                "INSERT INTO api_keys (tenant_id, key_id, name, name_key, prefix, scopes,
                     expires_at, ip_allowlist, rate_limit, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                params![
                    books.tenant,
                    key.id,
                    key.name.as_str(),
                    key.name.key(),
                    &key.prefix,
                    key.scopes.to_line(),
                    key.expires_at,
                    json_text(&key.ip_allowlist)?,
                    key.rate_limit.map(|limit| i64::from(limit.get())),
                    key.created_at,
                ],
            );
            add_secret(books, &key, secret_hash);
            let change = Change::ApiKey { before: None, after: Some(key.facts()) };
            post(books, access, Action::ApiKeyCreated, key.id, &key, change)?;
            Ok(key)
        })
    }

    async fn api_key(
        &self,
        access: &TenantAccess,
        id: ApiKeyId,
    ) -> tenantry_domain::error::Result<ApiKeyDetails> {
        let tenant = access.tenant();
        let asked = [ask_status(tenant), ask(tenant, id), ask_secrets(tenant, id)];
        self.read(asked, |[tenant, found, secrets]| {
            require(&tenant)?;
            let api_key = found.first().map_or_else(|| Err(missing()), read)?;
            let secrets = secrets.iter().map(read_secret).collect::<Result<_>>()?;
            Ok(ApiKeyDetails { api_key, secrets })
        })
        .await
    }

    async fn list_api_keys(
        &self,
        access: &TenantAccess,
        filter: ApiKeyFilter,
        page: &PageRequest<ApiKey>,
    ) -> tenantry_domain::error::Result<Page<ApiKey>> {
        let (tenant, clock) = (access.tenant(), self.context.clock.now());
        self.retried(|| async {
            let mut opened = self.database.snapshot().await?;
            let session = &mut opened;
            let standing = Standing::of(session, tenant, clock).await?;
            let list = list::api_keys(columns!("?"), tenant, filter, standing.at);
            let total = Some(filter.counted(&standing.counts));
            page_of(session, page, list, total, read).await
        })
        .await
    }

    async fn revoke_api_key(
        &self,
        access: &TenantAccess,
        id: ApiKeyId,
    ) -> tenantry_domain::error::Result<ApiKey> {
        change!(self, access, |books| {
            let before = get(&mut books.session, books.tenant, id).await?;
            let key = before.clone().revoke(books.at)?;
            access.check_match(&before)?;
            books.session.write_one(
                "UPDATE api_keys SET revoked_at = $3 WHERE tenant_id = $1 AND key_id = $2",
                params![books.tenant, id, books.at],
            );
            let change = Change::ApiKey { before: Some(before.facts()), after: Some(key.facts()) };
            post(books, access, Action::ApiKeyRevoked, id, &key, change)?;
            Ok(key)
        })
    }

    async fn rotate_api_key(
        &self,
        access: &TenantAccess,
        id: ApiKeyId,
        rotation: Rotation,
    ) -> tenantry_domain::error::Result<RotatedApiKey> {
        change!(self, access, |books| {
            let key = get(&mut books.session, books.tenant, id).await?;
            let rotated = key.rotate(&rotation, books.at)?;
            end_secrets(books, id, rotated.grace_ends_at);
            add_secret(books, &rotated.api_key, rotation.secret_hash);
            books.session.write_one(
                "UPDATE api_keys SET prefix = $3 WHERE tenant_id = $1 AND key_id = $2",
                params![books.tenant, id, &rotated.api_key.prefix],
            );
            // The same key in the same bucket: a rotation moves no count.
            post(books, access, Action::ApiKeyRotated, id, &rotated, Change::None)?;
            Ok(rotated)
        })
    }
}

/// Asks what a secret belongs to, and for the state and the instant of its tenant.
pub(crate) fn ask_presented(tenant: TenantId, secret: SecretHash) -> Command {
    let sql = "SELECT t.status,
             (SELECT at FROM ledger_heads WHERE tenant_id = $1),
             (SELECT max(last_call_at) FROM usage_heartbeats WHERE tenant_id = $1),
             k.key_id, k.name, k.scopes, k.expires_at, k.ip_allowlist, k.rate_limit, k.is_revoked,
             k.ends_at
         FROM (SELECT status FROM tenants WHERE tenant_id = $1 AND status <> 'deleted') t
             LEFT JOIN (
                 SELECT key_id, name, scopes, expires_at, ip_allowlist, rate_limit,
                     revoked_at IS NOT NULL AS is_revoked, ends_at
                 FROM api_key_secrets s JOIN api_keys USING (tenant_id, key_id)
                 WHERE s.tenant_id = $1 AND api_keys.tenant_id = $1 AND secret_hash = $2
             ) k ON true";
    Command::new(sql, params![tenant, secret.0])
}

/// What was found of a secret.
pub(crate) fn read_presented(row: &Row, clock: Timestamp) -> Result<Option<Bearer>> {
    let Some(id) = row.try_get(3)? else { return Ok(None) };
    let key = PresentedKey {
        id: ApiKeyId::from_uuid(id),
        name: Name::from_stored(row.try_get(4)?),
        scopes: row.try_get::<_, ScopeLine>(5)?.0,
        expires_at: row.at_if_any(6)?,
        ip_allowlist: row.try_get::<_, Json<_>>(7)?.0,
        rate_limit: rate_limit(row, 8)?,
        is_revoked: row.try_get(9)?,
        secret_ends_at: row.at_if_any(10)?,
    };
    let newest = row.at_if_any(1)?.max(row.at_if_any(2)?);
    let at = newest.map_or(clock, |newest| newest.max(clock));
    Ok(Some(Bearer::ApiKey { key: Arc::new(key), at }))
}

/// Ends the secrets of a key: the newest at an instant, and one that was to end already, now.
fn end_secrets(books: &mut Books, id: ApiKeyId, newest_ends_at: Timestamp) {
    books.session.write(
        "UPDATE api_key_secrets SET ends_at = CASE WHEN ends_at IS NULL THEN $3 ELSE $4 END
         WHERE tenant_id = $1 AND key_id = $2 AND (ends_at IS NULL OR ends_at > $4)",
        params![books.tenant, id, newest_ends_at, books.at],
    );
}

fn add_secret(books: &mut Books, key: &ApiKey, secret_hash: SecretHash) {
    books.session.write_one(
        "INSERT INTO api_key_secrets (tenant_id, secret_hash, key_id, prefix, created_at)
         VALUES ($1, $2, $3, $4, $5)",
        params![books.tenant, secret_hash.0, key.id, &key.prefix, books.at],
    );
}

/// Asks for the texts of a key, the newest first, and when each was last used.
fn ask_secrets(tenant: TenantId, id: ApiKeyId) -> Command {
    let sql = "SELECT s.prefix, s.created_at, s.ends_at, u.used_at, u.used_from
         FROM api_key_secrets s LEFT JOIN (
                 SELECT DISTINCT ON (secret_hash) secret_hash, used_at, used_from FROM api_key_uses
                 WHERE tenant_id = $1 AND key_id = $2 ORDER BY secret_hash, used_at DESC
             ) u ON u.secret_hash = s.secret_hash
         WHERE s.tenant_id = $1 AND s.key_id = $2
         ORDER BY s.ends_at IS NOT NULL, s.created_at DESC, s.ends_at DESC LIMIT $3";
    Command::new(sql, params![tenant, id, i64::from(KeySecret::SHOWN)])
}

fn read_secret(row: &Row) -> Result<KeySecret> {
    let from = row.try_get::<_, Option<String>>(4)?.and_then(|address| address.parse().ok());
    Ok(KeySecret {
        prefix: row.try_get(0)?,
        created_at: row.at(1)?,
        ends_at: row.at_if_any(2)?,
        last_use: row.at_if_any(3)?.map(|at| LastUse { at, from }),
    })
}

fn rate_limit(row: &Row, column: usize) -> Result<Option<NonZeroU32>> {
    let limit: Option<i64> = row.try_get(column)?;
    Ok(limit.and_then(|limit| u32::try_from(limit).ok()).and_then(NonZeroU32::new))
}

fn missing() -> Fault {
    Error::NotFound(Missing::ApiKey).into()
}

fn ask(tenant: TenantId, id: ApiKeyId) -> Command {
    let sql =
        concat!("SELECT ", columns!("$1"), " FROM api_keys WHERE tenant_id = $1 AND key_id = $2");
    Command::new(sql, params![tenant, id])
}

async fn get(session: &mut Session, tenant: TenantId, id: ApiKeyId) -> Result<ApiKey> {
    let [found] = session.each([ask(tenant, id)]).await?;
    found.first().map_or_else(|| Err(missing()), read)
}

fn read(row: &Row) -> Result<ApiKey> {
    Ok(ApiKey {
        id: ApiKeyId::from_uuid(row.try_get(0)?),
        name: Name::from_stored(row.try_get(1)?),
        prefix: row.try_get(2)?,
        scopes: row.try_get::<_, ScopeLine>(3)?.0,
        expires_at: row.at_if_any(4)?,
        ip_allowlist: row.try_get::<_, Json<_>>(5)?.0,
        rate_limit: rate_limit(row, 6)?,
        created_at: row.at(7)?,
        revoked_at: row.at_if_any(8)?,
        last_used_at: row.at_if_any(9)?,
    })
}

fn post(
    books: &mut Books,
    access: &TenantAccess,
    action: Action,
    id: ApiKeyId,
    details: &impl Serialize,
    change: Change,
) -> Result<()> {
    let deed = Deed { action, change, resource_id: id.to_string(), details: json(details)? };
    books.post(access, deed).map(drop)
}
