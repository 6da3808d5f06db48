//! OAuth clients.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params, params_from_iter};
use tenantry_domain::access::TenantAccess;
use tenantry_domain::api_key::SecretHash;
use tenantry_domain::counts::Change;
use tenantry_domain::error::{Conflict, Error, Missing};
use tenantry_domain::id::{OauthClientId, TenantId};
use tenantry_domain::ledger::Action;
use tenantry_domain::oauth_client::{
    ClientKeys, ClientStatus, ClientType, GrantType, NewOauthClient, OauthClient,
    OauthClientFilter, OauthClientPatch,
};
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::patch::difference;
use tenantry_domain::text::Name;
use tenantry_store::list;
use tenantry_store::posting::Deed;
use tenantry_store::{KeptClient, OauthClients};

use crate::SqliteStore;
use crate::books::{self, Books};
use crate::error::Result;
use crate::pages::page_of;
use crate::sql::{self, At, Id, Json, Value, Word, blob, json, json_text, scopes, tenant_id, text};
use crate::tenants::require;

/// In the order of [`read`].
macro_rules! columns {
    () => {
        "oauth_client_id, client_id, name, client_type, redirect_uris, grant_types, scopes, \
         allowed_origins, ip_allowlist, status, created_at, jwks"
    };
}

#[async_trait]
impl OauthClients for SqliteStore {
    async fn create_oauth_client(
        &self,
        access: &TenantAccess,
        new: NewOauthClient,
    ) -> tenantry_domain::error::Result<OauthClient> {
        self.change(access, move |books, access| {
            let secret_hash = new.secret_hash;
            let client = new.clone().into_client(books.at);
            let secret = secret_hash.map_or(Value::Null, |hash| Value::Blob(hash.0.to_vec()));
            sql::execute(
                books.connection,
                "INSERT INTO oauth_clients (tenant_id, oauth_client_id, name, name_key,
                     redirect_uris, grant_types, scopes, allowed_origins, ip_allowlist, status, jwks,
                     client_id, client_type, created_at, secret_hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
                params_from_iter(values(books.tenant, &client)?.into_iter().chain([
                    text(Some(&client.client_id)),
                    text(Some(client.client_type.as_str())),
                    Value::Integer(client.created_at.as_millis()),
                    secret,
                ])),
            )?;
            let change = Change::OauthClient { before: None, after: Some(client.facts()) };
            post(books, access, Action::OauthClientCreated, &client, change, json(&client)?)?;
            Ok(client)
        })
        .await
    }

    async fn oauth_client(
        &self,
        access: &TenantAccess,
        id: OauthClientId,
    ) -> tenantry_domain::error::Result<OauthClient> {
        self.read(|connection| {
            require(connection, access.tenant())?;
            get(connection, access.tenant(), id)
        })
    }

    async fn list_oauth_clients(
        &self,
        access: &TenantAccess,
        filter: OauthClientFilter,
        page: &PageRequest<OauthClient>,
    ) -> tenantry_domain::error::Result<Page<OauthClient>> {
        let (tenant, page) = (access.tenant(), page.clone());
        let clock = self.context.clock.now();
        self.read_long(move |connection| {
            let (counts, _) = books::counts(connection, tenant, clock)?;
            let list = list::oauth_clients(columns!(), tenant, filter);
            page_of(connection, &page, list, Some(filter.counted(&counts)), read)
        })
        .await
    }

    async fn update_oauth_client(
        &self,
        access: &TenantAccess,
        id: OauthClientId,
        patch: OauthClientPatch,
    ) -> tenantry_domain::error::Result<OauthClient> {
        self.change(access, move |books, access| {
            let before = get(books.connection, books.tenant, id)?;
            before.scopes.check_grant(access)?;
            let after = patch.clone().apply(&before)?;
            after.scopes.check_grant(access)?;
            access.check_match(&before)?;
            if after != before {
                sql::execute(
                    books.connection,
                    "UPDATE oauth_clients SET name = ?3, name_key = ?4, redirect_uris = ?5,
                         grant_types = ?6, scopes = ?7, allowed_origins = ?8, ip_allowlist = ?9,
                         status = ?10, jwks = ?11
                     WHERE tenant_id = ?1 AND oauth_client_id = ?2",
                    params_from_iter(values(books.tenant, &after)?),
                )?;
                let change = Change::OauthClient {
                    before: Some(before.facts()),
                    after: Some(after.facts()),
                };
                let details = difference(&json(&before)?, &json(&after)?);
                post(books, access, Action::OauthClientUpdated, &after, change, details)?;
            }
            Ok(after)
        })
        .await
    }

    async fn rotate_oauth_client_secret(
        &self,
        access: &TenantAccess,
        id: OauthClientId,
        secret_hash: SecretHash,
    ) -> tenantry_domain::error::Result<OauthClient> {
        self.change(access, move |books, access| {
            let client = get(books.connection, books.tenant, id)?;
            client.scopes.check_grant(access)?;
            if !client.has_secret() {
                return Err(Error::Conflict(Conflict::PublicClient).into());
            }
            sql::execute(
                books.connection,
                "UPDATE oauth_clients SET secret_hash = ?3
                 WHERE tenant_id = ?1 AND oauth_client_id = ?2",
                params![tenant_id(books.tenant), Id(id.as_uuid()), secret_hash.0.as_slice()],
            )?;
            let details = serde_json::json!({"clientId": client.client_id, "name": client.name});
            let action = Action::OauthClientSecretRotated;
            post(books, access, action, &client, Change::None, details)?;
            Ok(client)
        })
        .await
    }

    async fn kept_client(
        &self,
        tenant: TenantId,
        client_id: &str,
    ) -> tenantry_domain::error::Result<Option<KeptClient>> {
        self.read(|connection| kept(connection, tenant, client_id))
    }

    async fn delete_oauth_client(
        &self,
        access: &TenantAccess,
        id: OauthClientId,
    ) -> tenantry_domain::error::Result<OauthClient> {
        self.change(access, move |books, access| {
            let client = get(books.connection, books.tenant, id)?;
            access.check_match(&client)?;
            sql::execute(
                books.connection,
                "DELETE FROM oauth_clients WHERE tenant_id = ?1 AND oauth_client_id = ?2",
                params![tenant_id(books.tenant), Id(id.as_uuid())],
            )?;
            let change = Change::OauthClient { before: Some(client.facts()), after: None };
            post(books, access, Action::OauthClientDeleted, &client, change, json(&client)?)?;
            Ok(client)
        })
        .await
    }
}

/// A client with what is kept of its secret.
fn kept(connection: &Connection, tenant: TenantId, client_id: &str) -> Result<Option<KeptClient>> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        ", secret_hash FROM oauth_clients WHERE tenant_id = ?1 AND client_id = ?2"
    );
    sql::optional(connection, sql, params![tenant_id(tenant), client_id], |row| {
        let secret_hash = row.get::<_, Option<[u8; 32]>>(12)?.map(SecretHash);
        Ok(KeptClient { client: read(row)?, secret_hash })
    })
}

fn get(connection: &Connection, tenant: TenantId, id: OauthClientId) -> Result<OauthClient> {
    find(connection, tenant, id)?.ok_or_else(|| Error::NotFound(Missing::OauthClient).into())
}

/// A client, if it is there.
pub(crate) fn find(
    connection: &Connection,
    tenant: TenantId,
    id: OauthClientId,
) -> Result<Option<OauthClient>> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM oauth_clients WHERE tenant_id = ?1 AND oauth_client_id = ?2"
    );
    sql::optional(connection, sql, params![tenant_id(tenant), Id(id.as_uuid())], read)
}

fn read(row: &Row<'_>) -> rusqlite::Result<OauthClient> {
    let grants: String = row.get(5)?;
    let grant_types: std::result::Result<Vec<GrantType>, String> =
        grants.split_whitespace().map(str::parse).collect();
    Ok(OauthClient {
        id: OauthClientId::from_uuid(row.get::<_, Id>(0)?.0),
        client_id: row.get(1)?,
        name: Name::from_stored(row.get(2)?),
        client_type: row.get::<_, Word<ClientType>>(3)?.0,
        redirect_uris: row.get::<_, Json<_>>(4)?.0,
        grant_types: grant_types.map_err(sql::unreadable)?,
        scopes: scopes(row, 6)?,
        allowed_origins: row.get::<_, Json<_>>(7)?.0,
        ip_allowlist: row.get::<_, Json<_>>(8)?.0,
        status: row.get::<_, Word<ClientStatus>>(9)?.0,
        created_at: row.get::<_, At>(10)?.0,
        jwks: row.get::<_, Option<String>>(11)?.map(ClientKeys::from_stored),
    })
}

/// The key, and the columns that can be changed.
fn values(tenant: TenantId, client: &OauthClient) -> Result<[Value; 11]> {
    let grants: Vec<_> = client.grant_types.iter().map(|grant| grant.as_str()).collect();
    Ok([
        blob(tenant.as_uuid()),
        blob(client.id.as_uuid()),
        text(Some(client.name.as_str())),
        Value::Text(client.name.key()),
        json_text(&client.redirect_uris)?,
        Value::Text(grants.join(" ")),
        Value::Text(client.scopes.to_line()),
        json_text(&client.allowed_origins)?,
        json_text(&client.ip_allowlist)?,
        text(Some(client.status.as_str())),
        text(client.jwks.as_ref().map(ClientKeys::as_str)),
    ])
}

fn post(
    books: &mut Books<'_>,
    access: &TenantAccess,
    action: Action,
    client: &OauthClient,
    change: Change,
    details: serde_json::Value,
) -> Result<()> {
    let deed = Deed { action, change, resource_id: client.id.to_string(), details };
    books.post(access, deed).map(drop)
}
