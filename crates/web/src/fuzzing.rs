//! The readers of what anybody can send, as the routes call them, without a server around them: for
//! fuzzing, which calls them some ten thousand times a second.

use axum::body::Bytes;
use tenantry_domain::api_key::{ApiKey, ApiKeyFilter};
use tenantry_domain::credential::{Credential, CredentialFilter};
use tenantry_domain::error::Result;
use tenantry_domain::oauth_client::{OauthClient, OauthClientFilter};
use tenantry_domain::page::PageRequest;
use tenantry_domain::realm::Realm;
use tenantry_domain::tenant::{Tenant, TenantFilter};
use tenantry_domain::user::{User, UserFilter};
use tenantry_service::UserDraft;
use tenantry_store::EntryFilter;

use crate::api::{
    api_keys, audit_logs, credential_bodies, oauth_clients, realms, tenants, user_imports, users,
};
use crate::extract::import_body::Format;
use crate::extract::query::Query;

/// The users of a CSV file.
pub fn read_csv(text: &[u8]) -> Result<Vec<UserDraft>> {
    user_imports::parse(Format::Csv, &Bytes::copy_from_slice(text)).take_users()
}

/// The users of NDJSON.
pub fn read_ndjson(text: &[u8]) -> Result<Vec<UserDraft>> {
    user_imports::parse(Format::Ndjson, &Bytes::copy_from_slice(text)).take_users()
}

/// Which tenants to list.
pub fn read_tenants_query(raw: &str) -> Result<(TenantFilter, PageRequest<Tenant>)> {
    tenants::read_query(Some(raw))
}

/// Which users to list.
pub fn read_users_query(raw: &str) -> Result<(UserFilter, PageRequest<User>)> {
    users::read_query(Some(raw))
}

/// Which API keys to list.
pub fn read_api_keys_query(raw: &str) -> Result<(ApiKeyFilter, PageRequest<ApiKey>)> {
    api_keys::read_query(Some(raw))
}

/// Which OAuth clients to list.
pub fn read_oauth_clients_query(
    raw: &str,
) -> Result<(OauthClientFilter, PageRequest<OauthClient>)> {
    oauth_clients::read_query(Some(raw))
}

/// Which credentials to list.
pub fn read_credentials_query(raw: &str) -> Result<(CredentialFilter, PageRequest<Credential>)> {
    credential_bodies::read_query(Some(raw))
}

/// Which realms to list.
pub fn read_realms_query(raw: &str) -> Result<PageRequest<Realm>> {
    realms::read_query(Some(raw))
}

/// Which entries of an audit log to list, how many, and after how many.
pub fn read_entries_query(raw: &str) -> Result<(EntryFilter, u32, u64)> {
    audit_logs::read_query(Query::parse(Some(raw)))
}
