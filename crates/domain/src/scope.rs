//! What keys and clients may do, in place of roles.

use serde::Serialize;

use crate::access::TenantAccess;
use crate::action::words;
use crate::error::{Denied, Error};
use crate::id::TenantId;

words! {
    /// One thing that an API key or an OAuth client may do within its own tenant. `*:write`
    /// includes `*:read`.
    Scope {
        /// Read the statistics.
        StatsRead = "stats:read",
        /// Read users.
        UsersRead = "users:read",
        /// Change users.
        UsersWrite = "users:write",
        /// Read API keys.
        KeysRead = "keys:read",
        /// Change API keys.
        KeysWrite = "keys:write",
        /// Read OAuth clients.
        ClientsRead = "clients:read",
        /// Change OAuth clients.
        ClientsWrite = "clients:write",
        /// Read credentials, without their secrets.
        CredentialsRead = "credentials:read",
        /// Change credentials.
        CredentialsWrite = "credentials:write",
        /// Read the secrets of credentials.
        CredentialsReveal = "credentials:reveal",
        /// Read the tenant.
        TenantRead = "tenant:read",
        /// Change the tenant.
        TenantWrite = "tenant:write",
        /// Read the audit log.
        AuditRead = "audit:read",
        /// Read usage.
        UsageRead = "usage:read",
        /// Report usage.
        UsageWrite = "usage:write",
        /// Report usage of any tenant; for keys of the platform's tenant alone.
        UsageWriteAny = "usage:write:any",
    }
}

impl Scope {
    /// What one who may change something may read of it: that it includes.
    fn reading(self) -> Option<Self> {
        match self {
            Self::UsersWrite => Some(Self::UsersRead),
            Self::KeysWrite => Some(Self::KeysRead),
            Self::ClientsWrite => Some(Self::ClientsRead),
            Self::CredentialsWrite => Some(Self::CredentialsRead),
            Self::TenantWrite => Some(Self::TenantRead),
            Self::UsageWrite => Some(Self::UsageRead),
            Self::StatsRead
            | Self::UsersRead
            | Self::KeysRead
            | Self::ClientsRead
            | Self::CredentialsRead
            | Self::CredentialsReveal
            | Self::TenantRead
            | Self::AuditRead
            | Self::UsageRead
            | Self::UsageWriteAny => None,
        }
    }

    /// Whether the principals of a suspended tenant do without it: they can still read, and what
    /// they report is taken.
    pub fn ends_with_suspension(self) -> bool {
        match self {
            Self::UsersWrite
            | Self::KeysWrite
            | Self::ClientsWrite
            | Self::CredentialsWrite
            | Self::CredentialsReveal
            | Self::TenantWrite => true,
            Self::StatsRead
            | Self::UsersRead
            | Self::KeysRead
            | Self::ClientsRead
            | Self::CredentialsRead
            | Self::TenantRead
            | Self::AuditRead
            | Self::UsageRead
            | Self::UsageWrite
            | Self::UsageWriteAny => false,
        }
    }
}

/// A set of scopes, each named once, in the order given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Reads a set of scopes.
    ///
    /// # Errors
    /// What would be right, to follow the field's name.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut scopes = Vec::new();
        for name in names {
            let scope: Scope = name.parse()?;
            if scopes.contains(&scope) {
                return Err("must not name a scope twice".to_owned());
            }
            scopes.push(scope);
        }
        Ok(Self(scopes))
    }

    /// Whether keys and clients of a tenant may have them.
    ///
    /// # Errors
    /// What would be right, to follow the field's name.
    pub fn check_tenant(&self, tenant: TenantId) -> Result<(), String> {
        if tenant != TenantId::PLATFORM && self.0.contains(&Scope::UsageWriteAny) {
            return Err(format!(
                "must not name {}, which is for the platform's own tenant alone",
                Scope::UsageWriteAny.as_str()
            ));
        }
        Ok(())
    }

    /// Nobody grants more than they have.
    ///
    /// # Errors
    /// [`Error::Invalid`] for scopes that no key of the tenant may have, and
    /// [`Denied::InsufficientPermissions`] for those that this actor may not give.
    pub fn check_grant(&self, access: &TenantAccess) -> crate::error::Result<()> {
        let tenant = access.tenant();
        self.check_tenant(tenant).map_err(|problem| Error::invalid("scopes", problem))?;
        if !self.iter().all(|scope| access.power().allows(scope.into())) {
            return Err(Error::Denied(Denied::InsufficientPermissions));
        }
        Ok(())
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().copied()
    }

    /// Whether they reach to what a scope stands for.
    pub fn include(&self, wanted: Scope) -> bool {
        self.iter().any(|scope| scope == wanted || scope.reading() == Some(wanted))
    }

    /// What of it another has too.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        Self(self.iter().filter(|scope| other.include(*scope)).collect())
    }

    /// The names, separated by spaces (RFC 6749, section 3.3), as a store keeps them.
    pub fn to_line(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|scope| scope.as_str()).collect();
        names.join(" ")
    }
}
