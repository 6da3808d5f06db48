//! OAuth clients.

use async_trait::async_trait;
use tenantry_domain::access::{TenantAccess, TokenIds};
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
use tokio_postgres::Row;
use uuid::Uuid;

use crate::PostgresStore;
use crate::books::Books;
use crate::error::{Fault, Result};
use crate::pages::page_of;
use crate::session::{Command, Session};
use crate::sql::{Columns as _, Json, ScopeLine, Value, Word, json, json_text, params};
use crate::standing::Standing;
use crate::statistician::{ids, is_ended};
use crate::tenants::{ask_status, require};

/// In the order of [`read`].
macro_rules! columns {
    () => {
        "oauth_client_id, client_id, name, client_type, redirect_uris, grant_types, scopes, \
         allowed_origins, ip_allowlist, status, created_at, jwks"
    };
}

#[async_trait]
impl OauthClients for PostgresStore {
    async fn create_oauth_client(
        &self,
        access: &TenantAccess,
        new: NewOauthClient,
    ) -> tenantry_domain::error::Result<OauthClient> {
        change!(self, access, |books| {
            let secret_hash = new.secret_hash;
            let client = new.clone().into_client(books.at);
            let mut values = values(books.tenant, &client)?;
            values.extend(params![
                &client.client_id,
                client.client_type.as_str(),
                client.created_at,
                secret_hash.map(|hash| hash.0),
            ]);
            books.session.write_one(
                "INSERT INTO oauth_clients (tenant_id, oauth_client_id, name, name_key,
                     redirect_uris, grant_types, scopes, allowed_origins, ip_allowlist, status, jwks,
                     client_id, client_type, created_at, secret_hash)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
                values,
            );
            let change = Change::OauthClient { before: None, after: Some(client.facts()) };
            post(books, access, Action::OauthClientCreated, &client, change, json(&client)?)?;
            Ok(client)
        })
    }

    async fn oauth_client(
        &self,
        access: &TenantAccess,
        id: OauthClientId,
    ) -> tenantry_domain::error::Result<OauthClient> {
        let asked = [ask_status(access.tenant()), ask(access.tenant(), id)];
        self.read(asked, |[tenant, found]| {
            require(&tenant)?;
            found.first().map_or_else(|| Err(missing()), read)
        })
        .await
    }

    async fn list_oauth_clients(
        &self,
        access: &TenantAccess,
        filter: OauthClientFilter,
        page: &PageRequest<OauthClient>,
    ) -> tenantry_domain::error::Result<Page<OauthClient>> {
        let (tenant, clock) = (access.tenant(), self.context.clock.now());
        self.retried(|| async {
            let mut opened = self.database.snapshot().await?;
            let session = &mut opened;
            let standing = Standing::of(session, tenant, clock).await?;
            let total = Some(filter.counted(&standing.counts));
            let list = list::oauth_clients(columns!(), tenant, filter);
            page_of(session, page, list, total, read).await
        })
        .await
    }

    async fn update_oauth_client(
        &self,
        access: &TenantAccess,
        id: OauthClientId,
        patch: OauthClientPatch,
    ) -> tenantry_domain::error::Result<OauthClient> {
        change!(self, access, |books| {
            let before = get(&mut books.session, books.tenant, id).await?;
            before.scopes.check_grant(access)?;
            let after = patch.clone().apply(&before)?;
            after.scopes.check_grant(access)?;
            access.check_match(&before)?;
            if after != before {
                books.session.write_one(
                    "UPDATE oauth_clients SET name = $3, name_key = $4, redirect_uris = $5,
                         grant_types = $6, scopes = $7, allowed_origins = $8, ip_allowlist = $9,
                         status = $10, jwks = $11
                     WHERE tenant_id = $1 AND oauth_client_id = $2",
                    values(books.tenant, &after)?,
                );
                let change = Change::OauthClient {
                    before: Some(before.facts()),
                    after: Some(after.facts()),
                };
                let details = difference(&json(&before)?, &json(&after)?);
                post(books, access, Action::OauthClientUpdated, &after, change, details)?;
            }
            Ok(after)
        })
    }

    async fn rotate_oauth_client_secret(
        &self,
        access: &TenantAccess,
        id: OauthClientId,
        secret_hash: SecretHash,
    ) -> tenantry_domain::error::Result<OauthClient> {
        change!(self, access, |books| {
            let client = get(&mut books.session, books.tenant, id).await?;
            client.scopes.check_grant(access)?;
            if !client.has_secret() {
                return Err(Error::Conflict(Conflict::PublicClient).into());
            }
            books.session.write_one(
                "UPDATE oauth_clients SET secret_hash = $3
                 WHERE tenant_id = $1 AND oauth_client_id = $2",
                params![books.tenant, id, secret_hash.0],
            );
            let details = serde_json::json!({"clientId": client.client_id, "name": client.name});
            let action = Action::OauthClientSecretRotated;
            post(books, access, action, &client, Change::None, details)?;
            Ok(client)
        })
    }

    async fn kept_client(
        &self,
        tenant: TenantId,
        client_id: &str,
    ) -> tenantry_domain::error::Result<Option<KeptClient>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            ", secret_hash FROM oauth_clients WHERE tenant_id = $1 AND client_id = $2"
        );
        let asked = Command::new(sql, params![tenant, client_id]);
        self.read([asked], |[found]| found.first().map(read_kept).transpose()).await
    }

    async fn delete_oauth_client(
        &self,
        access: &TenantAccess,
        id: OauthClientId,
    ) -> tenantry_domain::error::Result<OauthClient> {
        change!(self, access, |books| {
            let client = get(&mut books.session, books.tenant, id).await?;
            access.check_match(&client)?;
            books.session.write_one(
                "DELETE FROM oauth_clients WHERE tenant_id = $1 AND oauth_client_id = $2",
                params![books.tenant, id],
            );
            let change = Change::OauthClient { before: Some(client.facts()), after: None };
            post(books, access, Action::OauthClientDeleted, &client, change, json(&client)?)?;
            Ok(client)
        })
    }
}

fn missing() -> Fault {
    Error::NotFound(Missing::OauthClient).into()
}

fn ask(tenant: TenantId, id: OauthClientId) -> Command {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM oauth_clients WHERE tenant_id = $1 AND oauth_client_id = $2"
    );
    Command::new(sql, params![tenant, id])
}

/// Asks for a client that calls, after the state of its tenant and whether its token was ended.
pub(crate) fn ask_calling(
    tenant: TenantId,
    client: OauthClientId,
    token: Option<&TokenIds>,
) -> Command {
    let sql = concat!(
        "SELECT t.status, ",
        is_ended!(),
        ", c.*
         FROM (SELECT status FROM tenants WHERE tenant_id = $1 AND status <> 'deleted') t
             LEFT JOIN (SELECT ",
        columns!(),
        " FROM oauth_clients WHERE tenant_id = $1 AND oauth_client_id = $2) c ON true"
    );
    let (token, session, key) = ids(token);
    Command::new(sql, params![tenant, client, token, session, key])
}

/// The client, if it is there.
pub(crate) fn read_calling(row: &Row) -> Result<Option<OauthClient>> {
    let is_there = row.try_get::<_, Option<Uuid>>(2)?.is_some();
    is_there.then(|| read_from(row, 2)).transpose()
}

async fn get(session: &mut Session, tenant: TenantId, id: OauthClientId) -> Result<OauthClient> {
    let [found] = session.each([ask(tenant, id)]).await?;
    found.first().map_or_else(|| Err(missing()), read)
}

fn read(row: &Row) -> Result<OauthClient> {
    read_from(row, 0)
}

/// A client with what is kept of its secret.
fn read_kept(row: &Row) -> Result<KeptClient> {
    let secret: Option<Vec<u8>> = row.try_get(12)?;
    let secret = secret.map(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).map(SecretHash));
    let secret_hash = secret.transpose().map_err(Error::internal)?;
    Ok(KeptClient { client: read(row)?, secret_hash })
}

/// Reads the columns, of which the first is this one.
fn read_from(row: &Row, first: usize) -> Result<OauthClient> {
    let grants: String = row.try_get(first + 5)?;
    let grant_types: std::result::Result<Vec<GrantType>, String> =
        grants.split_whitespace().map(str::parse).collect();
    Ok(OauthClient {
        id: OauthClientId::from_uuid(row.try_get(first)?),
        client_id: row.try_get(first + 1)?,
        name: Name::from_stored(row.try_get(first + 2)?),
        client_type: row.try_get::<_, Word<ClientType>>(first + 3)?.0,
        redirect_uris: row.try_get::<_, Json<_>>(first + 4)?.0,
        grant_types: grant_types.map_err(Error::internal)?,
        scopes: row.try_get::<_, ScopeLine>(first + 6)?.0,
        allowed_origins: row.try_get::<_, Json<_>>(first + 7)?.0,
        ip_allowlist: row.try_get::<_, Json<_>>(first + 8)?.0,
        status: row.try_get::<_, Word<ClientStatus>>(first + 9)?.0,
        created_at: row.at(first + 10)?,
        jwks: row.try_get::<_, Option<String>>(first + 11)?.map(ClientKeys::from_stored),
    })
}

/// The key, and the columns that can be changed.
fn values(tenant: TenantId, client: &OauthClient) -> Result<Vec<Value>> {
    let grants: Vec<_> = client.grant_types.iter().map(|grant| grant.as_str()).collect();
    Ok(params![
        tenant,
        client.id,
        client.name.as_str(),
        client.name.key(),
        json_text(&client.redirect_uris)?,
        grants.join(" "),
        client.scopes.to_line(),
        json_text(&client.allowed_origins)?,
        json_text(&client.ip_allowlist)?,
        client.status.as_str(),
        client.jwks.as_ref().map(ClientKeys::as_str),
    ])
}

fn post(
    books: &mut Books,
    access: &TenantAccess,
    action: Action,
    client: &OauthClient,
    change: Change,
    details: serde_json::Value,
) -> Result<()> {
    let deed = Deed { action, change, resource_id: client.id.to_string(), details };
    books.post(access, deed).map(drop)
}
