//! Tenants.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params, params_from_iter};
use tenantry_domain::access::{PlatformAccess, TenantAccess};
use tenantry_domain::counts::Change;
use tenantry_domain::error::{Error, Missing};
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::{Action, ActorKind};
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::patch::difference;
use tenantry_domain::tenant::{
    Governance, NewTenant, Subscription, TAKEN, Tenant, TenantFilter, TenantPatch, TenantStatus,
};
use tenantry_domain::text::Name;
use tenantry_domain::usage::Bytes;
use tenantry_store::Tenants;
use tenantry_store::list;
use tenantry_store::posting::Deed;

use crate::SqliteStore;
use crate::books::{Books, Context};
use crate::error::Result;
use crate::marks::once;
use crate::pages::{DIALECT, page_of};
use crate::purge;
use crate::sql::{
    self, At, Id, Json, Number, Value, Word, blob, instant, json, json_text, number, tenant_id,
    text,
};
use crate::statistician::confirm;

use crate::writer::{Durability, Outcome};

/// In the order of [`read`].
macro_rules! columns {
    () => {
        "tenant_id, name, display_name, server_url, realm_name, status, settings, plan, \
         users_limit, subscription_expires_at, storage_quota, created_at, updated_at"
    };
}

/// The status of a tenant that is gone.
const DELETED: &str = "deleted";

#[async_trait]
impl Tenants for SqliteStore {
    async fn create_tenant(
        &self,
        access: &PlatformAccess,
        new: NewTenant,
    ) -> tenantry_domain::error::Result<Tenant> {
        let (context, access) = (self.context.clone(), access.tenant(new.id));
        let work = move |connection: &Connection| {
            confirm(connection, &context, &access)?;
            once(connection, &context, access.idempotency(), || {
                let tenant = create(connection, &context, &access, new.clone())?;
                Ok((Outcome::Done(tenant), None))
            })
        };
        self.write(Durability::Flushed, work).await
    }

    async fn tenant(&self, access: &TenantAccess) -> tenantry_domain::error::Result<Tenant> {
        self.read(|connection| get(connection, access.tenant()))
    }

    async fn list_tenants(
        &self,
        _access: &PlatformAccess,
        filter: &TenantFilter,
        page: &PageRequest<Tenant>,
    ) -> tenantry_domain::error::Result<Page<Tenant>> {
        let (filter, page) = (filter.clone(), page.clone());
        self.read_long(move |connection| {
            let list = list::tenants(columns!(), &filter, DIALECT);
            page_of(connection, &page, list, None, read)
        })
        .await
    }

    async fn update_tenant(
        &self,
        access: &TenantAccess,
        patch: TenantPatch,
    ) -> tenantry_domain::error::Result<Tenant> {
        self.change(access, move |books, access| {
            let before = get(books.connection, books.tenant)?;
            let after = patch.clone().apply(&before, books.at)?;
            access.check_match(&before)?;
            if after != before {
                store(books.connection, &after)?;
                let details = difference(&json(&before)?, &json(&after)?);
                books.post(access, deed(Action::TenantUpdated, &after, details))?;
            }
            Ok(after)
        })
        .await
    }

    async fn govern_tenant(
        &self,
        access: &TenantAccess,
        act: Governance,
    ) -> tenantry_domain::error::Result<Tenant> {
        self.change(access, move |books, access| {
            let mut tenant = get(books.connection, books.tenant)?;
            access.check_match(&tenant)?;
            let (action, status) = match act {
                Governance::Suspend => (Action::TenantSuspended, TenantStatus::Suspended),
                Governance::Activate => (Action::TenantActivated, TenantStatus::Active),
                Governance::Delete => (Action::TenantDeleted, tenant.status),
            };
            let is_delete = act == Governance::Delete;
            if tenant.status == status && !is_delete {
                return Ok(tenant);
            }
            books.post(access, deed(action, &tenant, serde_json::json!({})))?;
            if is_delete {
                // Time no longer passes for it.
                sql::execute(
                    books.connection,
                    "DELETE FROM expiries WHERE tenant_id = ?1",
                    params![tenant_id(tenant.id)],
                )?;
                purge::schedule(books.connection, tenant.id)?;
            } else {
                tenant.status = status;
                tenant.updated_at = books.at;
            }
            sql::execute(
                books.connection,
                "UPDATE tenants SET status = ?2, updated_at = ?3 WHERE tenant_id = ?1",
                params![
                    tenant_id(tenant.id),
                    if is_delete { DELETED } else { status.as_str() },
                    At(books.at)
                ],
            )?;
            Ok(tenant)
        })
        .await
    }
}

/// Makes the platform's own tenant, unless it is there.
pub(crate) fn create_platform(connection: &Connection, context: &Context) -> Result<()> {
    if status(connection, TenantId::PLATFORM)?.is_some() {
        return Ok(());
    }
    let access = PlatformAccess::local(ActorKind::System, "migration").tenant(TenantId::PLATFORM);
    let name = Name::parse("Platform").map_err(Error::internal)?;
    let new = NewTenant {
        id: TenantId::PLATFORM,
        name,
        display_name: None,
        server_url: None,
        realm_name: None,
        settings: serde_json::Map::new(),
        subscription: Subscription::default(),
        storage_quota: None,
    };
    create(connection, context, &access, new).map(drop)
}

fn create(
    connection: &Connection,
    context: &Context,
    access: &TenantAccess,
    new: NewTenant,
) -> Result<Tenant> {
    let used = sql::optional(
        connection,
        "SELECT 1 FROM tenants WHERE tenant_id = ?1",
        params![tenant_id(new.id)],
        |_| Ok(()),
    )?;
    if used.is_some() {
        return Err(TAKEN.into());
    }
    let mut books = Books::begin(connection, context, new.id)?;
    let tenant = new.into_tenant(books.at);
    insert(connection, &tenant)?;
    let details = json(&tenant)?;
    books.post(access, deed(Action::TenantCreated, &tenant, details))?;
    books.close()?;
    Ok(tenant)
}

/// The tenant, unless it does not exist (any more).
pub(crate) fn get(connection: &Connection, tenant: TenantId) -> Result<Tenant> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM tenants WHERE tenant_id = ?1 AND status <> 'deleted'"
    );
    sql::optional(connection, sql, params![tenant_id(tenant)], read)?
        .ok_or_else(|| Error::NotFound(Missing::Tenant).into())
}

/// Fails unless the tenant exists: before anything of it is read.
pub(crate) fn require(connection: &Connection, tenant: TenantId) -> Result<()> {
    status(connection, tenant)?.map(drop).ok_or_else(|| Error::NotFound(Missing::Tenant).into())
}

/// The tenant's status; `None` if it does not exist (any more).
pub(crate) fn status(connection: &Connection, tenant: TenantId) -> Result<Option<TenantStatus>> {
    sql::optional(
        connection,
        "SELECT status FROM tenants WHERE tenant_id = ?1 AND status <> 'deleted'",
        params![tenant_id(tenant)],
        |row| Ok(row.get::<_, Word<TenantStatus>>(0)?.0),
    )
}

/// The realm that a tenant names, if it names one.
pub(crate) fn realm_name(connection: &Connection, tenant: TenantId) -> Result<Option<String>> {
    let sql = "SELECT realm_name FROM tenants WHERE tenant_id = ?1";
    let name = sql::optional(connection, sql, params![tenant_id(tenant)], |row| row.get(0))?;
    Ok(name.flatten())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Tenant> {
    let name = |text: Option<String>| text.map(Name::from_stored);
    Ok(Tenant {
        id: TenantId::from_uuid(row.get::<_, Id>(0)?.0),
        name: Name::from_stored(row.get(1)?),
        display_name: name(row.get(2)?),
        server_url: row.get(3)?,
        realm_name: row.get(4)?,
        status: row.get::<_, Word<TenantStatus>>(5)?.0,
        settings: row.get::<_, Json<_>>(6)?.0,
        subscription: Subscription {
            plan: row.get(7)?,
            users_limit: row.get::<_, Option<Number>>(8)?.map(|number| number.0),
            expires_at: row.get::<_, Option<At>>(9)?.map(|at| at.0),
        },
        storage_quota: row.get::<_, Option<Number>>(10)?.map(|number| Bytes::new(number.0)),
        created_at: row.get::<_, At>(11)?.0,
        updated_at: row.get::<_, At>(12)?.0,
    })
}

fn insert(connection: &Connection, tenant: &Tenant) -> Result<()> {
    sql::execute(
        connection,
        "INSERT INTO tenants (tenant_id, name, name_key, display_name, display_name_key,
             server_url, realm_name, status, settings, plan, users_limit,
             subscription_expires_at, storage_quota, updated_at, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        params_from_iter(
            values(tenant)?.into_iter().chain([Value::Integer(tenant.created_at.as_millis())]),
        ),
    )?;
    Ok(())
}

fn store(connection: &Connection, tenant: &Tenant) -> Result<()> {
    sql::execute(
        connection,
        "UPDATE tenants SET name = ?2, name_key = ?3, display_name = ?4, display_name_key = ?5,
             server_url = ?6, realm_name = ?7, status = ?8, settings = ?9, plan = ?10,
             users_limit = ?11, subscription_expires_at = ?12, storage_quota = ?13,
             updated_at = ?14
         WHERE tenant_id = ?1",
        params_from_iter(values(tenant)?),
    )?;
    Ok(())
}

/// The key, and the columns that can be changed.
fn values(tenant: &Tenant) -> Result<[Value; 14]> {
    let display = tenant.display_name.as_ref();
    Ok([
        blob(tenant.id.as_uuid()),
        text(Some(tenant.name.as_str())),
        Value::Text(tenant.name.key()),
        text(display.map(Name::as_str)),
        text(display.map(Name::key).as_deref()),
        text(tenant.server_url.as_deref()),
        text(tenant.realm_name.as_deref()),
        text(Some(tenant.status.as_str())),
        json_text(&tenant.settings)?,
        text(tenant.subscription.plan.as_deref()),
        tenant.subscription.users_limit.map_or(Ok(Value::Null), number)?,
        instant(tenant.subscription.expires_at),
        tenant.storage_quota.map_or(Ok(Value::Null), |quota| number(quota.get()))?,
        Value::Integer(tenant.updated_at.as_millis()),
    ])
}

fn deed(action: Action, tenant: &Tenant, details: serde_json::Value) -> Deed {
    Deed { action, change: Change::None, resource_id: tenant.id.to_string(), details }
}
