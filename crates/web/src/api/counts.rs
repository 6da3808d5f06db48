//! Counts of a tenant.

use serde::Serialize;
use tenantry_domain::counts::Counts;
use utoipa::ToSchema;

/// The counts of a tenant at one instant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Counts)]
#[serde(rename_all = "camelCase")]
pub(super) struct CountsBody {
    users: UserCounts,
    credentials: CredentialCounts,
    api_keys: ApiKeyCounts,
    oauth_clients: OauthClientCounts,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserCounts {
    /// Active and inactive ones.
    total: u64,
    /// Those who can sign in now.
    active: u64,
    /// Those who cannot: disabled, locked, or invited and not there yet.
    inactive: u64,
    /// Holders of `tenant_admin`, whatever their status.
    admins: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CredentialCounts {
    /// Active and expired ones.
    total: u64,
    /// Those that have not expired.
    active: u64,
    /// Those that have.
    expired: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct ApiKeyCounts {
    /// All of them, revoked and expired ones too.
    total: u64,
    /// Those neither revoked nor expired.
    active: u64,
    /// Those expired and not revoked.
    expired: u64,
    /// Those revoked.
    revoked: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct OauthClientCounts {
    /// Active and disabled ones.
    total: u64,
    /// Those that may be used.
    active: u64,
    /// Those that may not.
    disabled: u64,
}

impl From<&Counts> for UserCounts {
    fn from(counts: &Counts) -> Self {
        Self {
            total: counts.users(),
            active: counts.users_active,
            inactive: counts.users_inactive,
            admins: counts.admins,
        }
    }
}

impl From<&Counts> for CredentialCounts {
    fn from(counts: &Counts) -> Self {
        Self {
            total: counts.credentials(),
            active: counts.credentials_active,
            expired: counts.credentials_expired,
        }
    }
}

impl From<&Counts> for CountsBody {
    fn from(counts: &Counts) -> Self {
        Self {
            users: counts.into(),
            credentials: counts.into(),
            api_keys: ApiKeyCounts {
                total: counts.api_keys(),
                active: counts.api_keys_active,
                expired: counts.api_keys_expired,
                revoked: counts.api_keys_revoked,
            },
            oauth_clients: OauthClientCounts {
                total: counts.oauth_clients(),
                active: counts.oauth_clients_active,
                disabled: counts.oauth_clients_disabled,
            },
        }
    }
}
