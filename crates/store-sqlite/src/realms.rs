//! External realms.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params, params_from_iter};
use tenantry_domain::access::{PlatformAccess, TenantAccess};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::counts::Change;
use tenantry_domain::error::{Conflict, Error, Missing};
use tenantry_domain::id::RealmId;
use tenantry_domain::ledger::Action;
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::patch::difference;
use tenantry_domain::realm::{Algorithm, NewRealm, Realm, RealmName, RealmPatch, RealmStanding};
use tenantry_domain::realm_rules::ClaimPath;
use tenantry_store::list;
use tenantry_store::posting::Deed;
use tenantry_store::{RealmBy, Realms};

use crate::SqliteStore;
use crate::books::Books;
use crate::error::Result;
use crate::pages::page_of;
use crate::sql::{self, At, Id, Json, Number, Value, blob, json, json_text, number, text};

/// In the order of [`read`].
macro_rules! columns {
    () => {
        "realm_id, name, issuer, jwks_uri, audience, algorithms, tenant_claim, roles_claim, \
         role_mapping, leeway_seconds, platform, created_at, updated_at, revision"
    };
}

#[async_trait]
impl Realms for SqliteStore {
    async fn create_realm(
        &self,
        access: &PlatformAccess,
        new: NewRealm,
    ) -> tenantry_domain::error::Result<Realm> {
        self.change(&access.installation(), move |books, access| {
            let mut realm = new.clone().into_realm(books.at, 0);
            require_unique(books.connection, &realm)?;
            realm.revision = post(books, access, Action::RealmCreated, &realm, json(&realm)?)?;
            sql::execute(
                books.connection,
                "INSERT INTO realms (realm_id, name, name_key, issuer, jwks_uri, audience,
                     algorithms, tenant_claim, roles_claim, role_mapping, leeway_seconds, platform,
                     updated_at, revision, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
                params_from_iter(values(&realm)?.into_iter().chain([instant(realm.created_at)])),
            )?;
            Ok(realm)
        })
        .await
    }

    async fn realm(
        &self,
        _access: &PlatformAccess,
        name: &RealmName,
    ) -> tenantry_domain::error::Result<Realm> {
        self.read(|connection| get(connection, name))
    }

    async fn list_realms(
        &self,
        _access: &PlatformAccess,
        page: &PageRequest<Realm>,
    ) -> tenantry_domain::error::Result<Page<Realm>> {
        let page = page.clone();
        self.read_long(move |connection| {
            page_of(connection, &page, list::realms(columns!()), None, read)
        })
        .await
    }

    async fn update_realm(
        &self,
        access: &PlatformAccess,
        name: &RealmName,
        patch: RealmPatch,
    ) -> tenantry_domain::error::Result<Realm> {
        let name = name.clone();
        self.change(&access.installation(), move |books, access| {
            let before = get(books.connection, &name)?;
            let mut after = patch.clone().apply(&before, books.at)?;
            require_unique(books.connection, &after)?;
            access.check_match(&before)?;
            if after != before {
                let details = difference(&json(&before)?, &json(&after)?);
                after.revision = post(books, access, Action::RealmUpdated, &after, details)?;
                sql::execute(
                    books.connection,
                    "UPDATE realms SET name = ?2, name_key = ?3, issuer = ?4, jwks_uri = ?5,
                         audience = ?6, algorithms = ?7, tenant_claim = ?8, roles_claim = ?9,
                         role_mapping = ?10, leeway_seconds = ?11, platform = ?12,
                         updated_at = ?13, revision = ?14
                     WHERE realm_id = ?1",
                    params_from_iter(values(&after)?),
                )?;
            }
            Ok(after)
        })
        .await
    }

    async fn delete_realm(
        &self,
        access: &PlatformAccess,
        name: &RealmName,
    ) -> tenantry_domain::error::Result<Realm> {
        let name = name.clone();
        self.change(&access.installation(), move |books, access| {
            let realm = get(books.connection, &name)?;
            access.check_match(&realm)?;
            sql::execute(
                books.connection,
                "DELETE FROM realms WHERE realm_id = ?1",
                params![Id(realm.id.as_uuid())],
            )?;
            post(books, access, Action::RealmDeleted, &realm, json(&realm)?)?;
            Ok(realm)
        })
        .await
    }

    async fn find_realm(&self, by: &RealmBy) -> tenantry_domain::error::Result<Option<Realm>> {
        self.read(|connection| match by {
            RealmBy::Name(name) => find(connection, name),
            RealmBy::Issuer(issuer) => {
                let sql = concat!("SELECT ", columns!(), " FROM realms WHERE issuer = ?1");
                sql::optional(connection, sql, params![issuer], read)
            }
        })
    }
}

fn get(connection: &Connection, name: &RealmName) -> Result<Realm> {
    find(connection, name)?.ok_or_else(|| Error::NotFound(Missing::Realm).into())
}

fn find(connection: &Connection, name: &RealmName) -> Result<Option<Realm>> {
    let sql = concat!("SELECT ", columns!(), " FROM realms WHERE name = ?1");
    sql::optional(connection, sql, params![name.as_str()], read)
}

/// What matters of a realm on every request; `None` if there is no such realm (any more).
pub(crate) fn standing(connection: &Connection, name: &str) -> Result<Option<RealmStanding>> {
    let sql = "SELECT revision, platform FROM realms WHERE name = ?1";
    sql::optional(connection, sql, params![name], |row| {
        Ok(RealmStanding { revision: row.get::<_, Number>(0)?.0, platform: row.get(1)? })
    })
}

/// Refuses what another realm has already. Nobody else writes meanwhile.
fn require_unique(connection: &Connection, realm: &Realm) -> Result<()> {
    let others = [
        ("SELECT 1 FROM realms WHERE name = ?1 AND realm_id <> ?2", realm.name.as_str()),
        ("SELECT 1 FROM realms WHERE issuer = ?1 AND realm_id <> ?2", &realm.issuer),
    ];
    for ((sql, value), conflict) in others.into_iter().zip([Conflict::RealmName, Conflict::Issuer])
    {
        let params = params![value, Id(realm.id.as_uuid())];
        if sql::optional(connection, sql, params, |_| Ok(()))?.is_some() {
            return Err(Error::Conflict(conflict).into());
        }
    }
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Realm> {
    let algorithms: String = row.get(5)?;
    let algorithms: std::result::Result<Vec<Algorithm>, String> =
        algorithms.split_whitespace().map(str::parse).collect();
    Ok(Realm {
        id: RealmId::from_uuid(row.get::<_, Id>(0)?.0),
        name: RealmName::from_stored(row.get(1)?),
        issuer: row.get(2)?,
        jwks_uri: row.get(3)?,
        audience: row.get(4)?,
        algorithms: algorithms.map_err(sql::unreadable)?,
        tenant_claim: ClaimPath::from_stored(row.get(6)?),
        roles_claim: ClaimPath::from_stored(row.get(7)?),
        role_mapping: row.get::<_, Option<Json<_>>>(8)?.map(|mapping| mapping.0),
        leeway_seconds: row.get(9)?,
        platform: row.get(10)?,
        created_at: row.get::<_, At>(11)?.0,
        updated_at: row.get::<_, At>(12)?.0,
        revision: row.get::<_, Number>(13)?.0,
    })
}

/// The key, and the columns that can be changed.
fn values(realm: &Realm) -> Result<[Value; 14]> {
    let algorithms: Vec<_> = realm.algorithms.iter().map(|it| it.as_str()).collect();
    Ok([
        blob(realm.id.as_uuid()),
        text(Some(realm.name.as_str())),
        Value::Text(realm.name.key()),
        text(Some(&realm.issuer)),
        text(realm.jwks_uri.as_deref()),
        text(Some(&realm.audience)),
        Value::Text(algorithms.join(" ")),
        text(Some(realm.tenant_claim.as_str())),
        text(Some(realm.roles_claim.as_str())),
        realm.role_mapping.as_ref().map_or(Ok(Value::Null), json_text)?,
        Value::Integer(i64::from(realm.leeway_seconds)),
        realm.platform.into(),
        instant(realm.updated_at),
        number(realm.revision)?,
    ])
}

fn instant(at: Timestamp) -> Value {
    Value::Integer(at.as_millis())
}

/// Posts an entry; answers its number.
fn post(
    books: &mut Books<'_>,
    access: &TenantAccess,
    action: Action,
    realm: &Realm,
    details: serde_json::Value,
) -> Result<u64> {
    let resource_id = realm.name.to_string();
    let deed = Deed { action, change: Change::None, resource_id, details };
    books.post(access, deed).map(|entry| entry.seq)
}
