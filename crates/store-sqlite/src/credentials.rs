//! Credentials of the vault. Their secrets pass through here sealed.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params, params_from_iter};
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

use crate::SqliteStore;
use crate::books::{self, Books};
use crate::error::Result;
use crate::pages::page_of;
use crate::sql::{
    self, At, Id, Json, Value, Word, blob, instant, json, json_text, tenant_id, text,
};
use crate::tenants::require;

/// In the order of [`read`].
macro_rules! columns {
    () => {
        "credential_id, integration_id, credential_name, description, auth_type, scopes, \
         token_endpoint, authorization_endpoint, metadata, expires_at, created_at, updated_at"
    };
}

#[async_trait]
impl Credentials for SqliteStore {
    async fn create_credential(
        &self,
        access: &TenantAccess,
        new: NewCredential,
    ) -> tenantry_domain::error::Result<Credential> {
        self.change(access, move |books, access| {
            let secret = new.secret.0.clone();
            let credential = new.clone().into_credential(books.at);
            sql::execute(
                books.connection,
                "INSERT INTO credentials (tenant_id, credential_id, credential_name,
                     credential_name_key, description, scopes, token_endpoint,
                     authorization_endpoint, metadata, expires_at, updated_at, integration_id,
                     auth_type, created_at, secret)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
                params_from_iter(values(books.tenant, &credential)?.into_iter().chain([
                    text(Some(credential.integration_id.as_str())),
                    text(Some(credential.auth_type.as_str())),
                    Value::Integer(credential.created_at.as_millis()),
                    Value::Blob(secret),
                ])),
            )?;
            let change = Change::Credential { before: None, after: Some(credential.facts()) };
            let details = json(&credential)?;
            post(books, access, Action::CredentialCreated, &credential, change, details)?;
            Ok(credential)
        })
        .await
    }

    async fn credential(
        &self,
        access: &TenantAccess,
        integration: &IntegrationId,
        id: CredentialId,
    ) -> tenantry_domain::error::Result<Credential> {
        self.read(|connection| {
            require(connection, access.tenant())?;
            get(connection, access.tenant(), integration, id)
        })
    }

    async fn list_credentials(
        &self,
        access: &TenantAccess,
        filter: &CredentialFilter,
        page: &PageRequest<Credential>,
    ) -> tenantry_domain::error::Result<Page<Credential>> {
        let (tenant, filter, page) = (access.tenant(), filter.clone(), page.clone());
        let clock = self.context.clock.now();
        self.read_long(move |connection| {
            let (counts, at) = books::counts(connection, tenant, clock)?;
            let list = list::credentials(columns!(), tenant, &filter, at);
            page_of(connection, &page, list, filter.counted(&counts), read)
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
        let integration = integration.clone();
        self.change(access, move |books, access| {
            let before = get(books.connection, books.tenant, &integration, id)?;
            let after = patch.clone().apply(&before, books.at)?;
            access.check_match(&before)?;
            let mut details = difference(&json(&before)?, &json(&after)?);
            if let Some(Sealed(secret)) = &patch.secret {
                sql::execute(
                    books.connection,
                    "UPDATE credentials SET secret = ?3
                     WHERE tenant_id = ?1 AND credential_id = ?2",
                    params![tenant_id(books.tenant), Id(id.as_uuid()), secret],
                )?;
                if let Some(details) = details.as_object_mut() {
                    details.insert("secret".to_owned(), "changed".into());
                }
            } else if after == before {
                return Ok(after);
            }
            sql::execute(
                books.connection,
                "UPDATE credentials SET credential_name = ?3, credential_name_key = ?4,
                     description = ?5, scopes = ?6, token_endpoint = ?7,
                     authorization_endpoint = ?8, metadata = ?9, expires_at = ?10,
                     updated_at = ?11
                 WHERE tenant_id = ?1 AND credential_id = ?2",
                params_from_iter(values(books.tenant, &after)?),
            )?;
            let change =
                Change::Credential { before: Some(before.facts()), after: Some(after.facts()) };
            post(books, access, Action::CredentialUpdated, &after, change, details)?;
            Ok(after)
        })
        .await
    }

    async fn delete_credential(
        &self,
        access: &TenantAccess,
        integration: &IntegrationId,
        id: CredentialId,
    ) -> tenantry_domain::error::Result<Credential> {
        let integration = integration.clone();
        self.change(access, move |books, access| {
            let credential = get(books.connection, books.tenant, &integration, id)?;
            access.check_match(&credential)?;
            sql::execute(
                books.connection,
                "DELETE FROM credentials WHERE tenant_id = ?1 AND credential_id = ?2",
                params![tenant_id(books.tenant), Id(id.as_uuid())],
            )?;
            let change = Change::Credential { before: Some(credential.facts()), after: None };
            let details = json(&credential)?;
            post(books, access, Action::CredentialDeleted, &credential, change, details)?;
            Ok(credential)
        })
        .await
    }

    async fn reveal_credential(
        &self,
        access: &TenantAccess,
        integration: &IntegrationId,
        id: CredentialId,
        open: Opening,
    ) -> tenantry_domain::error::Result<Credential> {
        let integration = integration.clone();
        self.change(access, move |books, access| {
            let credential = get(books.connection, books.tenant, &integration, id)?;
            let secret = sql::one(
                books.connection,
                "SELECT secret FROM credentials WHERE tenant_id = ?1 AND credential_id = ?2",
                params![tenant_id(books.tenant), Id(id.as_uuid())],
                |row| row.get(0).map(Sealed),
            )?;
            open(&credential, &secret)?;
            let details = serde_json::json!({"credentialName": credential.credential_name});
            post(books, access, Action::CredentialRevealed, &credential, Change::None, details)?;
            Ok(credential)
        })
        .await
    }
}

fn get(
    connection: &Connection,
    tenant: TenantId,
    integration: &IntegrationId,
    id: CredentialId,
) -> Result<Credential> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM credentials WHERE tenant_id = ?1 AND credential_id = ?2 AND integration_id = ?3"
    );
    let params = params![tenant_id(tenant), Id(id.as_uuid()), integration.as_str()];
    sql::optional(connection, sql, params, read)?
        .ok_or_else(|| Error::NotFound(Missing::Credential).into())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Credential> {
    Ok(Credential {
        id: CredentialId::from_uuid(row.get::<_, Id>(0)?.0),
        integration_id: IntegrationId::from_stored(row.get(1)?),
        credential_name: Name::from_stored(row.get(2)?),
        description: row.get(3)?,
        auth_type: row.get::<_, Word<AuthType>>(4)?.0,
        scopes: row.get::<_, Json<_>>(5)?.0,
        token_endpoint: row.get(6)?,
        authorization_endpoint: row.get(7)?,
        metadata: row.get::<_, Json<_>>(8)?.0,
        expires_at: row.get::<_, Option<At>>(9)?.map(|at| at.0),
        created_at: row.get::<_, At>(10)?.0,
        updated_at: row.get::<_, At>(11)?.0,
    })
}

/// The key, and the columns that can be changed.
fn values(tenant: TenantId, credential: &Credential) -> Result<[Value; 11]> {
    Ok([
        blob(tenant.as_uuid()),
        blob(credential.id.as_uuid()),
        text(Some(credential.credential_name.as_str())),
        Value::Text(credential.credential_name.key()),
        text(credential.description.as_deref()),
        json_text(&credential.scopes)?,
        text(credential.token_endpoint.as_deref()),
        text(credential.authorization_endpoint.as_deref()),
        json_text(&credential.metadata)?,
        instant(credential.expires_at),
        Value::Integer(credential.updated_at.as_millis()),
    ])
}

fn post(
    books: &mut Books<'_>,
    access: &TenantAccess,
    action: Action,
    credential: &Credential,
    change: Change,
    details: serde_json::Value,
) -> Result<()> {
    let deed = Deed { action, change, resource_id: credential.id.to_string(), details };
    books.post(access, deed).map(drop)
}
