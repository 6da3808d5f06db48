//! Tenants.

use async_trait::async_trait;
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
use tokio_postgres::Row;

use crate::PostgresStore;
use crate::books::{Books, Context};
use crate::error::Result;
use crate::pages::{DIALECT, page_of};
use crate::session::{Command, Session};
use crate::sql::{Columns as _, Json, Value, Word, json, json_text, params};

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
impl Tenants for PostgresStore {
    async fn create_tenant(
        &self,
        access: &PlatformAccess,
        new: NewTenant,
    ) -> tenantry_domain::error::Result<Tenant> {
        self.found(access, new).await
    }

    async fn tenant(&self, access: &TenantAccess) -> tenantry_domain::error::Result<Tenant> {
        self.retried(|| async { get(&mut self.database.reader().await?, access.tenant()).await })
            .await
    }

    async fn list_tenants(
        &self,
        _access: &PlatformAccess,
        filter: &TenantFilter,
        page: &PageRequest<Tenant>,
    ) -> tenantry_domain::error::Result<Page<Tenant>> {
        self.retried(|| async {
            let mut session = self.database.snapshot().await?;
            let list = list::tenants(columns!(), filter, DIALECT);
            page_of(&mut session, page, list, None, read).await
        })
        .await
    }

    async fn update_tenant(
        &self,
        access: &TenantAccess,
        patch: TenantPatch,
    ) -> tenantry_domain::error::Result<Tenant> {
        change!(self, access, |books| {
            let before = get(&mut books.session, books.tenant).await?;
            let after = patch.clone().apply(&before, books.at)?;
            access.check_match(&before)?;
            if after != before {
                store(&mut books.session, &after)?;
                let details = difference(&json(&before)?, &json(&after)?);
                books.post(access, deed(Action::TenantUpdated, &after, details))?;
            }
            Ok(after)
        })
    }

    async fn govern_tenant(
        &self,
        access: &TenantAccess,
        act: Governance,
    ) -> tenantry_domain::error::Result<Tenant> {
        change!(self, access, |books| {
            let mut tenant = get(&mut books.session, books.tenant).await?;
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
                let sql = "DELETE FROM expiries WHERE tenant_id = $1";
                books.session.write(sql, params![tenant.id]);
                let sql = "INSERT INTO purges (tenant_id) VALUES ($1)";
                books.session.write(sql, params![tenant.id]);
            } else {
                tenant.status = status;
                tenant.updated_at = books.at;
            }
            let status = if is_delete { DELETED } else { status.as_str() };
            books.session.write_one(
                "UPDATE tenants SET status = $2, updated_at = $3 WHERE tenant_id = $1",
                params![tenant.id, status, books.at],
            );
            Ok(tenant)
        })
    }
}

/// Makes the platform's own tenant, unless it is there.
pub(crate) async fn create_platform(mut session: Session, context: &Context) -> Result<()> {
    let found =
        session.optional("SELECT 1 FROM tenants WHERE tenant_id = $1", params![TenantId::PLATFORM]);
    if found.await?.is_some() {
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
    let mut books = Books::begin(session, context, new.id);
    create(&mut books, &access, new).await?;
    let (mut session, _) = books.finish(None);
    session.commit().await
}

/// Makes a tenant, whose books are begun.
pub(crate) async fn create(
    books: &mut Books,
    access: &TenantAccess,
    new: NewTenant,
) -> Result<Tenant> {
    let tenant = new.into_tenant(books.at);
    if insert(&mut books.session, &tenant).await? == 0 {
        return Err(TAKEN.into());
    }
    let details = json(&tenant)?;
    books.post(access, deed(Action::TenantCreated, &tenant, details))?;
    Ok(tenant)
}

/// The tenant, unless it does not exist (any more).
pub(crate) async fn get(session: &mut Session, tenant: TenantId) -> Result<Tenant> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM tenants WHERE tenant_id = $1 AND status <> 'deleted'"
    );
    let found = session.optional(sql, params![tenant]).await?;
    found.as_ref().map_or_else(|| Err(Error::NotFound(Missing::Tenant).into()), read)
}

/// Asks for a tenant's status.
pub(crate) fn ask_status(tenant: TenantId) -> Command {
    Command::new(
        "SELECT status FROM tenants WHERE tenant_id = $1 AND status <> 'deleted'",
        params![tenant],
    )
}

/// A tenant's status; `None` if it does not exist (any more).
pub(crate) fn read_status(found: &[Row]) -> Result<Option<TenantStatus>> {
    let Some(row) = found.first() else { return Ok(None) };
    Ok(Some(row.try_get::<_, Word<TenantStatus>>(0)?.0))
}

/// Fails unless the tenant exists, by what was found of its status.
pub(crate) fn require(found: &[Row]) -> Result<()> {
    read_status(found)?.map(drop).ok_or_else(|| Error::NotFound(Missing::Tenant).into())
}

fn read(row: &Row) -> Result<Tenant> {
    let name = |text: Option<String>| text.map(Name::from_stored);
    Ok(Tenant {
        id: TenantId::from_uuid(row.try_get(0)?),
        name: Name::from_stored(row.try_get(1)?),
        display_name: name(row.try_get(2)?),
        server_url: row.try_get(3)?,
        realm_name: row.try_get(4)?,
        status: row.try_get::<_, Word<TenantStatus>>(5)?.0,
        settings: row.try_get::<_, Json<_>>(6)?.0,
        subscription: Subscription {
            plan: row.try_get(7)?,
            users_limit: row.number_if_any(8)?,
            expires_at: row.at_if_any(9)?,
        },
        storage_quota: row.number_if_any(10)?.map(Bytes::new),
        created_at: row.at(11)?,
        updated_at: row.at(12)?,
    })
}

/// Inserts a row, unless the id was used before; answers how many that were.
async fn insert(session: &mut Session, tenant: &Tenant) -> Result<u64> {
    let mut values = values(tenant)?;
    values.push(tenant.created_at.into());
    session
        .execute(
            "INSERT INTO tenants (tenant_id, name, name_key, display_name, display_name_key,
                 server_url, realm_name, status, settings, plan, users_limit,
                 subscription_expires_at, storage_quota, updated_at, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
             ON CONFLICT (tenant_id) DO NOTHING",
            values,
        )
        .await
}

fn store(session: &mut Session, tenant: &Tenant) -> Result<()> {
    session.write_one(
        "UPDATE tenants SET name = $2, name_key = $3, display_name = $4, display_name_key = $5,
             server_url = $6, realm_name = $7, status = $8, settings = $9, plan = $10,
             users_limit = $11, subscription_expires_at = $12, storage_quota = $13,
             updated_at = $14
         WHERE tenant_id = $1",
        values(tenant)?,
    );
    Ok(())
}

/// The key, and the columns that can be changed.
fn values(tenant: &Tenant) -> Result<Vec<Value>> {
    let display = tenant.display_name.as_ref();
    Ok(params![
        tenant.id,
        tenant.name.as_str(),
        tenant.name.key(),
        display.map(Name::as_str),
        display.map(Name::key),
        tenant.server_url.as_deref(),
        tenant.realm_name.as_deref(),
        tenant.status.as_str(),
        json_text(&tenant.settings)?,
        tenant.subscription.plan.as_deref(),
        tenant.subscription.users_limit,
        tenant.subscription.expires_at,
        tenant.storage_quota.map(Bytes::get),
        tenant.updated_at,
    ])
}

fn deed(action: Action, tenant: &Tenant, details: serde_json::Value) -> Deed {
    Deed { action, change: Change::None, resource_id: tenant.id.to_string(), details }
}
