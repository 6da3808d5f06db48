//! The vocabulary of the ledger: what happens, to what, and by whom.

use crate::counts::ExpiringKind;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable name, as stored and shown.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or_else(|| {
                    let names: Vec<_> = Self::ALL.iter().map(|word| word.as_str()).collect();
                    format!("must be one of {}", names.join(", "))
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What happened.
    Action {
        /// A tenant came to be.
        TenantCreated = "TENANT_CREATED",
        /// A tenant's properties changed.
        TenantUpdated = "TENANT_UPDATED",
        /// A tenant was suspended.
        TenantSuspended = "TENANT_SUSPENDED",
        /// A suspended tenant was activated again.
        TenantActivated = "TENANT_ACTIVATED",
        /// A tenant was deleted. Its ledger ends here.
        TenantDeleted = "TENANT_DELETED",
        /// Statistics were read from outside of the tenant: told once for each actor and hour.
        StatisticsRead = "STATISTICS_READ",
        /// The audit log was shown to somebody of the platform.
        AuditLogRead = "AUDIT_LOG_READ",
        /// A user was made.
        UserCreated = "USER_CREATED",
        /// A user's properties changed.
        UserUpdated = "USER_UPDATED",
        /// A user was removed.
        UserDeleted = "USER_DELETED",
        /// Many users were made at once.
        UsersImported = "USERS_IMPORTED",
        /// A user was removed, if it was still there, and what is personal about it with it.
        UserErased = "USER_ERASED",
        /// Users were read from outside of the tenant.
        UsersRead = "USERS_READ",
        /// A user got a one-time token to set its password with.
        UserInvited = "USER_INVITED",
        /// A user has set its password with a one-time token.
        UserPasswordSet = "USER_PASSWORD_SET",
        /// A user has signed in.
        UserSignedIn = "USER_SIGNED_IN",
        /// A user has signed out.
        UserSignedOut = "USER_SIGNED_OUT",
        /// An API key was made.
        ApiKeyCreated = "API_KEY_CREATED",
        /// An API key got a new secret.
        ApiKeyRotated = "API_KEY_ROTATED",
        /// An API key was revoked.
        ApiKeyRevoked = "API_KEY_REVOKED",
        /// Time passed, and API keys expired.
        ApiKeyExpired = "API_KEY_EXPIRED",
        /// An OAuth client was made.
        OauthClientCreated = "OAUTH_CLIENT_CREATED",
        /// An OAuth client's properties changed.
        OauthClientUpdated = "OAUTH_CLIENT_UPDATED",
        /// A confidential OAuth client got a new secret.
        OauthClientSecretRotated = "OAUTH_CLIENT_SECRET_ROTATED",
        /// An OAuth client was removed.
        OauthClientDeleted = "OAUTH_CLIENT_DELETED",
        /// A credential was put into the vault.
        CredentialCreated = "CREDENTIAL_CREATED",
        /// A credential's properties or secret changed.
        CredentialUpdated = "CREDENTIAL_UPDATED",
        /// A credential was removed.
        CredentialDeleted = "CREDENTIAL_DELETED",
        /// A credential's secret was shown to somebody.
        CredentialRevealed = "CREDENTIAL_REVEALED",
        /// Time passed, and credentials expired.
        CredentialExpired = "CREDENTIAL_EXPIRED",
        /// A token was issued at the command line.
        TokenIssued = "TOKEN_ISSUED",
        /// A token was ended before its time.
        TokenRevoked = "TOKEN_REVOKED",
        /// An external realm was made.
        RealmCreated = "REALM_CREATED",
        /// An external realm's properties changed.
        RealmUpdated = "REALM_UPDATED",
        /// An external realm was removed.
        RealmDeleted = "REALM_DELETED",
        /// A refresh token was used a second time, and its session ended.
        RefreshTokenReused = "REFRESH_TOKEN_REUSED",
        /// The built-in realm got a new signing key.
        SigningKeyRotated = "SIGNING_KEY_ROTATED",
        /// A signing key was removed: what it has signed is no good any more.
        SigningKeyRetired = "SIGNING_KEY_RETIRED",
        /// The installation was bound to a new master key.
        MasterKeyRotated = "MASTER_KEY_ROTATED",
        /// A master key opens nothing any more.
        MasterKeyRetired = "MASTER_KEY_RETIRED",
    }
}

impl Action {
    /// The part of the administration it belongs to.
    pub const fn category(self) -> &'static str {
        self.resource().as_str()
    }

    /// The kind of thing it happens to.
    pub const fn resource(self) -> ResourceKind {
        match self {
            Self::TenantCreated
            | Self::TenantUpdated
            | Self::TenantSuspended
            | Self::TenantActivated
            | Self::TenantDeleted
            | Self::StatisticsRead
            | Self::AuditLogRead => ResourceKind::Tenant,
            Self::UserCreated
            | Self::UserUpdated
            | Self::UserDeleted
            | Self::UsersImported
            | Self::UserErased
            | Self::UsersRead
            | Self::UserInvited
            | Self::UserPasswordSet
            | Self::UserSignedIn
            | Self::UserSignedOut => ResourceKind::User,
            Self::ApiKeyCreated
            | Self::ApiKeyRotated
            | Self::ApiKeyRevoked
            | Self::ApiKeyExpired => ResourceKind::ApiKey,
            Self::OauthClientCreated
            | Self::OauthClientUpdated
            | Self::OauthClientSecretRotated
            | Self::OauthClientDeleted => ResourceKind::OauthClient,
            Self::CredentialCreated
            | Self::CredentialUpdated
            | Self::CredentialDeleted
            | Self::CredentialRevealed
            | Self::CredentialExpired => ResourceKind::Credential,
            Self::TokenIssued | Self::TokenRevoked | Self::RefreshTokenReused => {
                ResourceKind::Token
            }
            Self::RealmCreated | Self::RealmUpdated | Self::RealmDeleted => ResourceKind::Realm,
            Self::SigningKeyRotated | Self::SigningKeyRetired => ResourceKind::SigningKey,
            Self::MasterKeyRotated | Self::MasterKeyRetired => ResourceKind::MasterKey,
        }
    }
}

impl From<ExpiringKind> for Action {
    fn from(kind: ExpiringKind) -> Self {
        match kind {
            ExpiringKind::Credential => Self::CredentialExpired,
            ExpiringKind::ApiKey => Self::ApiKeyExpired,
        }
    }
}

words! {
    /// The kinds of thing that an entry can be about.
    ResourceKind {
        /// A tenant.
        Tenant = "tenant",
        /// A user.
        User = "user",
        /// An API key.
        ApiKey = "api_key",
        /// An OAuth client.
        OauthClient = "oauth_client",
        /// A credential of the vault.
        Credential = "credential",
        /// A token of the built-in realm.
        Token = "token",
        /// An external realm.
        Realm = "realm",
        /// A signing key of the built-in realm.
        SigningKey = "signing_key",
        /// The key that secrets are sealed under.
        MasterKey = "master_key",
    }
}

words! {
    /// The kinds of thing that act.
    ActorKind {
        /// A user.
        User = "user",
        /// An operator without a user row, known by its token.
        Operator = "operator",
        /// An API key.
        ApiKey = "api_key",
        /// An OAuth client.
        OauthClient = "oauth_client",
        /// Somebody of an external realm who is none of the tenant's users.
        External = "external",
        /// The command line, by whoever holds the data.
        CommandLine = "command_line",
        /// Tenantry itself: the clock, a migration.
        System = "system",
    }
}

impl ActorKind {
    /// Whether it is somebody who calls, rather than a part of Tenantry.
    pub const fn is_principal(self) -> bool {
        matches!(
            self,
            Self::User | Self::Operator | Self::ApiKey | Self::OauthClient | Self::External
        )
    }
}
