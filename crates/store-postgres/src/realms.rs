//! External realms. The lock of the platform's ledger keeps whoever changes one from the others.

use async_trait::async_trait;
use tenantry_domain::access::{PlatformAccess, TenantAccess};
use tenantry_domain::counts::Change;
use tenantry_domain::error::{Conflict, Error, Missing};
use tenantry_domain::id::RealmId;
use tenantry_domain::ledger::Action;
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::patch::difference;
use tenantry_domain::realm::{Algorithm, NewRealm, Realm, RealmName, RealmPatch};
use tenantry_domain::realm_rules::ClaimPath;
use tenantry_store::list;
use tenantry_store::posting::Deed;
use tenantry_store::{RealmBy, Realms};
use tokio_postgres::Row;

use crate::PostgresStore;
use crate::books::Books;
use crate::error::{Fault, Result};
use crate::pages::page_of;
use crate::session::{Command, Session};
use crate::sql::{Columns as _, Json, Value, json, json_text, params};

/// In the order of [`read`].
macro_rules! columns {
    () => {
        "realm_id, name, issuer, jwks_uri, audience, algorithms, tenant_claim, roles_claim, \
         role_mapping, leeway_seconds, platform, created_at, updated_at, revision"
    };
}

#[async_trait]
impl Realms for PostgresStore {
    async fn create_realm(
        &self,
        access: &PlatformAccess,
        new: NewRealm,
    ) -> tenantry_domain::error::Result<Realm> {
        let access = &access.installation();
        change!(self, access, |books| {
            let mut realm = new.clone().into_realm(books.at, 0);
            require_unique(&mut books.session, &realm).await?;
            realm.revision = post(books, access, Action::RealmCreated, &realm, json(&realm)?)?;
            let mut values = values(&realm)?;
            values.push(realm.created_at.into());
            books.session.write_one(
                "INSERT INTO realms (realm_id, name, name_key, issuer, jwks_uri, audience,
                     algorithms, tenant_claim, roles_claim, role_mapping, leeway_seconds, platform,
                     updated_at, revision, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
                values,
            );
            Ok(realm)
        })
    }

    async fn realm(
        &self,
        _access: &PlatformAccess,
        name: &RealmName,
    ) -> tenantry_domain::error::Result<Realm> {
        self.read([ask(name)], |[found]| found.first().map_or_else(|| Err(missing()), read)).await
    }

    async fn list_realms(
        &self,
        _access: &PlatformAccess,
        page: &PageRequest<Realm>,
    ) -> tenantry_domain::error::Result<Page<Realm>> {
        self.retried(|| async {
            let mut session = self.database.snapshot().await?;
            page_of(&mut session, page, list::realms(columns!()), None, read).await
        })
        .await
    }

    async fn update_realm(
        &self,
        access: &PlatformAccess,
        name: &RealmName,
        patch: RealmPatch,
    ) -> tenantry_domain::error::Result<Realm> {
        let access = &access.installation();
        change!(self, access, |books| {
            let before = get(&mut books.session, name).await?;
            let mut after = patch.clone().apply(&before, books.at)?;
            require_unique(&mut books.session, &after).await?;
            access.check_match(&before)?;
            if after != before {
                let details = difference(&json(&before)?, &json(&after)?);
                after.revision = post(books, access, Action::RealmUpdated, &after, details)?;
                books.session.write_one(
                    "UPDATE realms SET name = $2, name_key = $3, issuer = $4, jwks_uri = $5,
                         audience = $6, algorithms = $7, tenant_claim = $8, roles_claim = $9,
                         role_mapping = $10, leeway_seconds = $11, platform = $12,
                         updated_at = $13, revision = $14
                     WHERE realm_id = $1",
                    values(&after)?,
                );
            }
            Ok(after)
        })
    }

    async fn delete_realm(
        &self,
        access: &PlatformAccess,
        name: &RealmName,
    ) -> tenantry_domain::error::Result<Realm> {
        let access = &access.installation();
        change!(self, access, |books| {
            let realm = get(&mut books.session, name).await?;
            access.check_match(&realm)?;
            let sql = "DELETE FROM realms WHERE realm_id = $1";
            books.session.write_one(sql, params![realm.id.as_uuid()]);
            post(books, access, Action::RealmDeleted, &realm, json(&realm)?)?;
            Ok(realm)
        })
    }

    async fn find_realm(&self, by: &RealmBy) -> tenantry_domain::error::Result<Option<Realm>> {
        let asked = match by {
            RealmBy::Name(name) => ask(name),
            RealmBy::Issuer(issuer) => {
                let sql = concat!("SELECT ", columns!(), " FROM realms WHERE issuer = $1");
                Command::new(sql, params![issuer])
            }
        };
        self.read([asked], |[found]| found.first().map(read).transpose()).await
    }
}

fn missing() -> Fault {
    Error::NotFound(Missing::Realm).into()
}

fn ask(name: &RealmName) -> Command {
    let sql = concat!("SELECT ", columns!(), " FROM realms WHERE name = $1");
    Command::new(sql, params![name.as_str()])
}

async fn get(session: &mut Session, name: &RealmName) -> Result<Realm> {
    let [found] = session.each([ask(name)]).await?;
    found.first().map_or_else(|| Err(missing()), read)
}

/// Refuses what another realm has already.
async fn require_unique(session: &mut Session, realm: &Realm) -> Result<()> {
    let id = realm.id.as_uuid();
    let [name, issuer] = session
        .each([
            Command::new(
                "SELECT 1 FROM realms WHERE name = $1 AND realm_id <> $2",
                params![realm.name.as_str(), id],
            ),
            Command::new(
                "SELECT 1 FROM realms WHERE issuer = $1 AND realm_id <> $2",
                params![&realm.issuer, id],
            ),
        ])
        .await?;
    for (found, conflict) in [(name, Conflict::RealmName), (issuer, Conflict::Issuer)] {
        if !found.is_empty() {
            return Err(Error::Conflict(conflict).into());
        }
    }
    Ok(())
}

fn read(row: &Row) -> Result<Realm> {
    let algorithms: String = row.try_get(5)?;
    let algorithms: std::result::Result<Vec<Algorithm>, String> =
        algorithms.split_whitespace().map(str::parse).collect();
    Ok(Realm {
        id: RealmId::from_uuid(row.try_get(0)?),
        name: RealmName::from_stored(row.try_get(1)?),
        issuer: row.try_get(2)?,
        jwks_uri: row.try_get(3)?,
        audience: row.try_get(4)?,
        algorithms: algorithms.map_err(Error::internal)?,
        tenant_claim: ClaimPath::from_stored(row.try_get(6)?),
        roles_claim: ClaimPath::from_stored(row.try_get(7)?),
        role_mapping: row.try_get::<_, Option<Json<_>>>(8)?.map(|mapping| mapping.0),
        leeway_seconds: u32::try_from(row.number(9)?).map_err(Error::internal)?,
        platform: row.try_get(10)?,
        created_at: row.at(11)?,
        updated_at: row.at(12)?,
        revision: row.number(13)?,
    })
}

/// The key, and the columns that can be changed.
fn values(realm: &Realm) -> Result<Vec<Value>> {
    let algorithms: Vec<_> = realm.algorithms.iter().map(|it| it.as_str()).collect();
    Ok(params![
        realm.id.as_uuid(),
        realm.name.as_str(),
        realm.name.key(),
        &realm.issuer,
        realm.jwks_uri.as_deref(),
        &realm.audience,
        algorithms.join(" "),
        realm.tenant_claim.as_str(),
        realm.roles_claim.as_str(),
        realm.role_mapping.as_ref().map_or(Ok(Value::Null), json_text)?,
        realm.leeway_seconds,
        realm.platform,
        realm.updated_at,
        realm.revision,
    ])
}

/// Posts an entry; answers its number.
fn post(
    books: &mut Books,
    access: &TenantAccess,
    action: Action,
    realm: &Realm,
    details: serde_json::Value,
) -> Result<u64> {
    let resource_id = realm.name.to_string();
    let deed = Deed { action, change: Change::None, resource_id, details };
    books.post(access, deed).map(|entry| entry.seq)
}
