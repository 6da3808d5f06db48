//! Which rows each list has, and by which columns it is ordered.

use tenantry_domain::api_key::{ApiKey, ApiKeyField, ApiKeyFilter, ApiKeyStatus};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::credential::{
    Credential, CredentialField, CredentialFilter, CredentialStatus,
};
use tenantry_domain::id::TenantId;
use tenantry_domain::oauth_client::{OauthClient, OauthClientField, OauthClientFilter};
use tenantry_domain::realm::{Realm, RealmField};
use tenantry_domain::sort::Listed;
use tenantry_domain::tenant::{Tenant, TenantField, TenantFilter};
use tenantry_domain::user::{User, UserField, UserFilter, UserRole, UserStatusFilter};

use super::{Dialect, List, Value};

/// What is listed by the columns of a table.
pub trait Keyed: Listed {
    /// The column of what is ordered by this.
    fn column(field: Self::Field) -> &'static str;
}

impl Keyed for Tenant {
    fn column(field: TenantField) -> &'static str {
        match field {
            TenantField::CreatedAt => "created_at",
            TenantField::UpdatedAt => "updated_at",
            TenantField::Name => "name_key",
        }
    }
}

impl Keyed for User {
    fn column(field: UserField) -> &'static str {
        match field {
            UserField::CreatedAt => "created_at",
            UserField::UpdatedAt => "updated_at",
            UserField::Name => "name_key",
            UserField::Email => "email_key",
        }
    }
}

impl Keyed for ApiKey {
    fn column(field: ApiKeyField) -> &'static str {
        match field {
            ApiKeyField::CreatedAt => "created_at",
            ApiKeyField::Name => "name_key",
            ApiKeyField::ExpiresAt => "expires_at",
        }
    }
}

impl Keyed for OauthClient {
    fn column(field: OauthClientField) -> &'static str {
        match field {
            OauthClientField::CreatedAt => "created_at",
            OauthClientField::Name => "name_key",
        }
    }
}

impl Keyed for Credential {
    fn column(field: CredentialField) -> &'static str {
        match field {
            CredentialField::CreatedAt => "created_at",
            CredentialField::UpdatedAt => "updated_at",
            CredentialField::CredentialName => "credential_name_key",
            CredentialField::ExpiresAt => "expires_at",
        }
    }
}

impl Keyed for Realm {
    fn column(field: RealmField) -> &'static str {
        match field {
            RealmField::CreatedAt => "created_at",
            RealmField::UpdatedAt => "updated_at",
            RealmField::Name => "name_key",
        }
    }
}

/// The external realms.
pub fn realms(columns: &'static str) -> List {
    List::of_all("realms", "realm_id", columns)
}

/// The tenants.
pub fn tenants(columns: &'static str, filter: &TenantFilter, dialect: Dialect) -> List {
    let mut list = List::of_all("tenants", "tenant_id", columns);
    match filter.status {
        Some(status) => list.and("status = ?", [status.as_str().into()]),
        None => list.and("status <> 'deleted'", []),
    }
    if let Some(q) = &filter.q {
        list.and_contains(dialect, ["name_key", "display_name_key"], q);
    }
    list
}

/// A tenant's users.
pub fn users(
    columns: &'static str,
    tenant: TenantId,
    filter: &UserFilter,
    dialect: Dialect,
) -> List {
    let mut list = List::of_tenant("users", "user_id", columns, tenant);
    match filter.status {
        None => {}
        Some(UserStatusFilter::Is(status)) => list.and("status = ?", [status.as_str().into()]),
        Some(UserStatusFilter::Inactive) => list.and("status <> 'active'", []),
    }
    match filter.role {
        None => {}
        Some(UserRole::TenantAdmin) => list.and(format!("tenant_admin{}", dialect.is_true), []),
        Some(UserRole::Member) => list.and(format!("member{}", dialect.is_true), []),
    }
    if let Some(q) = &filter.q {
        list.and_contains(dialect, ["email_key", "name_key"], q);
    }
    list
}

/// A tenant's API keys, whose states are those of this instant. A `?` in the columns is the tenant.
pub fn api_keys(
    columns: &'static str,
    tenant: TenantId,
    filter: ApiKeyFilter,
    at: Timestamp,
) -> List {
    let mut list = List::of_tenant("api_keys", "key_id", columns, tenant);
    let of_columns = columns.matches('?').map(|_| Value::Id(tenant.as_uuid()));
    list.column_values.extend(of_columns);
    match filter.status {
        None => {}
        Some(ApiKeyStatus::Revoked) => list.and("revoked_at IS NOT NULL", []),
        Some(ApiKeyStatus::Expired) => {
            list.and("revoked_at IS NULL AND expires_at <= ?", [at.into()]);
        }
        Some(ApiKeyStatus::Active) => {
            let condition = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)";
            list.and(condition, [at.into()]);
        }
    }
    list
}

/// A tenant's OAuth clients.
pub fn oauth_clients(columns: &'static str, tenant: TenantId, filter: OauthClientFilter) -> List {
    let mut list = List::of_tenant("oauth_clients", "oauth_client_id", columns, tenant);
    if let Some(status) = filter.status {
        list.and("status = ?", [status.as_str().into()]);
    }
    list
}

/// A tenant's credentials, whose states are those of this instant.
pub fn credentials(
    columns: &'static str,
    tenant: TenantId,
    filter: &CredentialFilter,
    at: Timestamp,
) -> List {
    let mut list = List::of_tenant("credentials", "credential_id", columns, tenant);
    match filter.status {
        None => {}
        Some(CredentialStatus::Expired) => list.and("expires_at <= ?", [at.into()]),
        Some(CredentialStatus::Active) => {
            list.and("(expires_at IS NULL OR expires_at > ?)", [at.into()]);
        }
    }
    if let Some(integration) = &filter.integration_id {
        list.and("integration_id = ?", [integration.as_str().into()]);
    }
    list
}
