//! API keys.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use tenantry_domain::access::{Bearer, TenantAccess};
use tenantry_domain::api_key::{
    ApiKey, ApiKeyFilter, ApiKeyStatus, NewApiKey, PresentedKey, RotatedApiKey, Rotation,
    SecretHash,
};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Change;
use tenantry_domain::error::{Conflict, Error, Missing};
use tenantry_domain::id::{ApiKeyId, TenantId};
use tenantry_domain::ledger::Action;
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::text::Name;
use tenantry_store::ApiKeys;
use tenantry_store::list;
use tenantry_store::posting::Deed;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::books::Books;
use crate::error::{Fault, Result};
use crate::pages::page_of;
use crate::session::{Command, Session};
use crate::sql::{Columns as _, Json, ScopeLine, json, json_text, params};
use crate::standing::Standing;
use crate::tenants::{ask_status, require};
use crate::{PostgresStore, reading};

/// In the order of [`read`].
macro_rules! columns {
    () => {
        "key_id, name, prefix, scopes, expires_at, ip_allowlist, created_at, last_used_at, \
         revoked_at"
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
                     expires_at, ip_allowlist, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                params![
                    books.tenant,
                    key.id,
                    key.name.as_str(),
                    key.name.key(),
                    &key.prefix,
                    key.scopes.to_line(),
                    key.expires_at,
                    json_text(&key.ip_allowlist)?,
                    key.created_at,
                ],
            );
            add_secret(books, key.id, secret_hash);
            let change = Change::ApiKey { before: None, after: Some(key.facts()) };
            post(books, access, Action::ApiKeyCreated, key.id, &key, change)?;
            Ok(key)
        })
    }

    async fn api_key(
        &self,
        access: &TenantAccess,
        id: ApiKeyId,
    ) -> tenantry_domain::error::Result<ApiKey> {
        let asked = [ask_status(access.tenant()), ask(access.tenant(), id)];
        self.read(asked, |[tenant, found]| {
            require(&tenant)?;
            found.first().map_or_else(|| Err(missing()), read)
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
        reading(async {
            let mut opened = self.database.snapshot().await?;
            let session = &mut opened;
            let standing = Standing::of(session, tenant, clock).await?;
            let list = list::api_keys(columns!(), tenant, filter, standing.at);
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
            let mut key = get(&mut books.session, books.tenant, id).await?;
            if key.revoked_at.is_some() {
                return Err(Error::Conflict(Conflict::AlreadyRevoked).into());
            }
            access.check_match(&key)?;
            let before = key.facts();
            key.revoked_at = Some(books.at);
            books.session.write_one(
                "UPDATE api_keys SET revoked_at = $3 WHERE tenant_id = $1 AND key_id = $2",
                params![books.tenant, id, books.at],
            );
            let change = Change::ApiKey { before: Some(before), after: Some(key.facts()) };
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
            let mut key = get(&mut books.session, books.tenant, id).await?;
            match key.status(books.at) {
                ApiKeyStatus::Active => {}
                ApiKeyStatus::Revoked => {
                    return Err(Error::Conflict(Conflict::AlreadyRevoked).into());
                }
                ApiKeyStatus::Expired => {
                    return Err(Error::Conflict(Conflict::ApiKeyExpired).into());
                }
            }
            let grace = i64::from(rotation.grace_seconds) * 1_000;
            let grace_ends_at = books.at.plus_millis(grace);
            end_secrets(books, id, grace_ends_at);
            add_secret(books, id, rotation.secret_hash);
            key.prefix.clone_from(&rotation.prefix);
            books.session.write_one(
                "UPDATE api_keys SET prefix = $3 WHERE tenant_id = $1 AND key_id = $2",
                params![books.tenant, id, &key.prefix],
            );
            let rotated = RotatedApiKey { api_key: key, grace_ends_at };
            // The same key in the same bucket: a rotation moves no count.
            post(books, access, Action::ApiKeyRotated, id, &rotated, Change::None)?;
            Ok(rotated)
        })
    }
}

/// Asks what a secret belongs to, and for the state and the instant of its tenant.
pub(crate) fn ask_presented(tenant: TenantId, secret: SecretHash) -> Command {
    let sql = concat!(
        "SELECT ",
        columns!(),
        ", ends_at, t.status,
             (SELECT at FROM ledger_heads WHERE tenant_id = $1),
             (SELECT max(last_call_at) FROM usage_heartbeats WHERE tenant_id = $1)
         FROM (SELECT status FROM tenants WHERE tenant_id = $1 AND status <> 'deleted') t
             LEFT JOIN (
                 SELECT ",
        columns!(),
        ", ends_at FROM api_key_secrets s JOIN api_keys USING (tenant_id, key_id)
                 WHERE s.tenant_id = $1 AND api_keys.tenant_id = $1 AND secret_hash = $2
             ) k ON true"
    );
    Command::new(sql, params![tenant, secret.0])
}

/// Where [`ask_presented`] has the state of the tenant.
pub(crate) const TENANT_STATUS: usize = 10;

/// What was found of a secret.
pub(crate) fn read_presented(row: &Row, clock: Timestamp) -> Result<Option<Bearer>> {
    if row.try_get::<_, Option<Uuid>>(0)?.is_none() {
        return Ok(None);
    }
    let key = PresentedKey { api_key: read(row)?, secret_ends_at: row.at_if_any(9)? };
    let newest = row.at_if_any(11)?.max(row.at_if_any(12)?);
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

fn add_secret(books: &mut Books, id: ApiKeyId, secret_hash: SecretHash) {
    books.session.write_one(
        "INSERT INTO api_key_secrets (tenant_id, secret_hash, key_id) VALUES ($1, $2, $3)",
        params![books.tenant, secret_hash.0, id],
    );
}

fn missing() -> Fault {
    Error::NotFound(Missing::ApiKey).into()
}

fn ask(tenant: TenantId, id: ApiKeyId) -> Command {
    let sql = concat!("SELECT ", columns!(), " FROM api_keys WHERE tenant_id = $1 AND key_id = $2");
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
        created_at: row.at(6)?,
        last_used_at: row.at_if_any(7)?,
        revoked_at: row.at_if_any(8)?,
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
