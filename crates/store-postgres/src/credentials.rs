//! Credentials of the vault. Their secrets pass through here sealed.

use async_trait::async_trait;
use tenantry_domain::access::TenantAccess;
use tenantry_domain::counts::Change;
use tenantry_domain::credential::{
    AuthType, Credential, CredentialFilter, CredentialPatch, IntegrationId, NewCredential, Sealed,
};
use tenantry_domain::error::{Error, Missing};
use tenantry_domain::id::{CredentialId, TenantId};
use tenantry_domain::ledger::Action;
use tenantry_domain::page::{Page, PageRequest};
use tenantry_domain::patch::difference;
use tenantry_domain::text::Name;
use tenantry_store::list;
use tenantry_store::posting::Deed;
use tenantry_store::{Credentials, Opening};
use tokio_postgres::Row;

use crate::PostgresStore;
use crate::books::Books;
use crate::error::{Fault, Result};
use crate::pages::page_of;
use crate::session::{Command, Session};
use crate::sql::{Columns as _, Json, Value, Word, json, json_text, params};
use crate::standing::Standing;
use crate::tenants::{ask_status, require};

/// In the order of [`read`].
macro_rules! columns {
    () => {
        "credential_id, integration_id, credential_name, description, auth_type, scopes, \
         token_endpoint, authorization_endpoint, metadata, expires_at, created_at, updated_at"
    };
}

#[async_trait]
impl Credentials for PostgresStore {
    async fn create_credential(
        &self,
        access: &TenantAccess,
        new: NewCredential,
    ) -> tenantry_domain::error::Result<Credential> {
        change!(self, access, |books| {
            let secret = new.secret.0.clone();
            let credential = new.clone().into_credential(books.at);
            let mut values = values(books.tenant, &credential)?;
            values.extend(params![
                credential.integration_id.as_str(),
                credential.auth_type.as_str(),
                credential.created_at,
                secret,
            ]);
            books.session.write_one(
                "INSERT INTO credentials (tenant_id, credential_id, credential_name,
                     credential_name_key, description, scopes, token_endpoint,
                     authorization_endpoint, metadata, expires_at, updated_at, integration_id,
                     auth_type, created_at, secret)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
                values,
            );
            let change = Change::Credential { before: None, after: Some(credential.facts()) };
            let details = json(&credential)?;
            post(books, access, Action::CredentialCreated, &credential, change, details)?;
            Ok(credential)
        })
    }

    async fn credential(
        &self,
        access: &TenantAccess,
        integration: &IntegrationId,
        id: CredentialId,
    ) -> tenantry_domain::error::Result<Credential> {
        let asked = [ask_status(access.tenant()), ask(access.tenant(), integration, id)];
        self.read(asked, |[tenant, found]| {
            require(&tenant)?;
            found.first().map_or_else(|| Err(missing()), read)
        })
        .await
    }

    async fn list_credentials(
        &self,
        access: &TenantAccess,
        filter: &CredentialFilter,
        page: &PageRequest<Credential>,
    ) -> tenantry_domain::error::Result<Page<Credential>> {
        let (tenant, clock) = (access.tenant(), self.context.clock.now());
        self.retried(|| async {
            let mut opened = self.database.snapshot().await?;
            let session = &mut opened;
            let standing = Standing::of(session, tenant, clock).await?;
            let list = list::credentials(columns!(), tenant, filter, standing.at);
            let total = filter.counted(&standing.counts);
            page_of(session, page, list, total, read).await
        })
        .await
    }

    async fn update_credential(
        &self,
        access: &TenantAccess,
        integration: &IntegrationId,
        id: CredentialId,
        patch: CredentialPatch,
    ) -> tenantry_domain::error::Result<Credential> {
        change!(self, access, |books| {
            let before = get(&mut books.session, books.tenant, integration, id).await?;
            let after = patch.clone().apply(&before, books.at)?;
            access.check_match(&before)?;
            let mut details = difference(&json(&before)?, &json(&after)?);
            if let Some(Sealed(secret)) = &patch.secret {
                books.session.write_one(
                    "UPDATE credentials SET secret = $3
                     WHERE tenant_id = $1 AND credential_id = $2",
                    params![books.tenant, id, secret.clone()],
                );
                if let Some(details) = details.as_object_mut() {
                    details.insert("secret".to_owned(), "changed".into());
                }
            } else if after == before {
                return Ok(after);
            }
            books.session.write_one(
                "UPDATE credentials SET credential_name = $3, credential_name_key = $4,
                     description = $5, scopes = $6, token_endpoint = $7,
                     authorization_endpoint = $8, metadata = $9, expires_at = $10,
                     updated_at = $11
                 WHERE tenant_id = $1 AND credential_id = $2",
                values(books.tenant, &after)?,
            );
            let change =
                Change::Credential { before: Some(before.facts()), after: Some(after.facts()) };
            post(books, access, Action::CredentialUpdated, &after, change, details)?;
            Ok(after)
        })
    }

    async fn delete_credential(
        &self,
        access: &TenantAccess,
        integration: &IntegrationId,
        id: CredentialId,
    ) -> tenantry_domain::error::Result<Credential> {
        change!(self, access, |books| {
            let credential = get(&mut books.session, books.tenant, integration, id).await?;
            access.check_match(&credential)?;
            books.session.write_one(
                "DELETE FROM credentials WHERE tenant_id = $1 AND credential_id = $2",
                params![books.tenant, id],
            );
            let change = Change::Credential { before: Some(credential.facts()), after: None };
            let details = json(&credential)?;
            post(books, access, Action::CredentialDeleted, &credential, change, details)?;
            Ok(credential)
        })
    }

    async fn reveal_credential(
        &self,
        access: &TenantAccess,
        integration: &IntegrationId,
        id: CredentialId,
        open: Opening,
    ) -> tenantry_domain::error::Result<Credential> {
        change!(self, access, |books| {
            let credential = get(&mut books.session, books.tenant, integration, id).await?;
            let sql = "SELECT secret FROM credentials WHERE tenant_id = $1 AND credential_id = $2";
            let row = books.session.one(sql, params![books.tenant, id]).await?;
            open(&credential, &Sealed(row.try_get(0)?))?;
            let details = serde_json::json!({"credentialName": credential.credential_name});
            post(books, access, Action::CredentialRevealed, &credential, Change::None, details)?;
            Ok(credential)
        })
    }
}

fn missing() -> Fault {
    Error::NotFound(Missing::Credential).into()
}

fn ask(tenant: TenantId, integration: &IntegrationId, id: CredentialId) -> Command {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM credentials WHERE tenant_id = $1 AND credential_id = $2 AND integration_id = $3"
    );
    Command::new(sql, params![tenant, id, integration.as_str()])
}

async fn get(
    session: &mut Session,
    tenant: TenantId,
    integration: &IntegrationId,
    id: CredentialId,
) -> Result<Credential> {
    let [found] = session.each([ask(tenant, integration, id)]).await?;
    found.first().map_or_else(|| Err(missing()), read)
}

fn read(row: &Row) -> Result<Credential> {
    Ok(Credential {
        id: CredentialId::from_uuid(row.try_get(0)?),
        integration_id: IntegrationId::from_stored(row.try_get(1)?),
        credential_name: Name::from_stored(row.try_get(2)?),
        description: row.try_get(3)?,
        auth_type: row.try_get::<_, Word<AuthType>>(4)?.0,
        scopes: row.try_get::<_, Json<_>>(5)?.0,
        token_endpoint: row.try_get(6)?,
        authorization_endpoint: row.try_get(7)?,
        metadata: row.try_get::<_, Json<_>>(8)?.0,
        expires_at: row.at_if_any(9)?,
        created_at: row.at(10)?,
        updated_at: row.at(11)?,
    })
}

/// The key, and the columns that can be changed.
fn values(tenant: TenantId, credential: &Credential) -> Result<Vec<Value>> {
    Ok(params![
        tenant,
        credential.id,
        credential.credential_name.as_str(),
        credential.credential_name.key(),
        credential.description.as_deref(),
        json_text(&credential.scopes)?,
        credential.token_endpoint.as_deref(),
        credential.authorization_endpoint.as_deref(),
        json_text(&credential.metadata)?,
        credential.expires_at,
        credential.updated_at,
    ])
}

fn post(
    books: &mut Books,
    access: &TenantAccess,
    action: Action,
    credential: &Credential,
    change: Change,
    details: serde_json::Value,
) -> Result<()> {
    let deed = Deed { action, change, resource_id: credential.id.to_string(), details };
    books.post(access, deed).map(drop)
}
