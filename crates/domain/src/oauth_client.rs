//! An OAuth client: what is known of it. Its secret is shown once and kept as a hash.

use serde::Serialize;
use serde::ser::Error as _;

use crate::action::words;
use crate::api_key::SecretHash;
use crate::client_rules::contradictions;
use crate::clock::Timestamp;
use crate::counts::{Counts, OauthClientFacts};
use crate::error::{Error, Result};
use crate::id::OauthClientId;
use crate::network::Network;
use crate::scope::Scopes;
use crate::sort::sort_fields;
use crate::text::Name;

words! {
    /// Whether a client can keep a secret (RFC 6749, section 2.1).
    ClientType {
        /// It can.
        Confidential = "confidential",
        /// It cannot.
        Public = "public",
    }
}

words! {
    /// Whether a client may be used.
    ClientStatus {
        /// It may.
        Active = "active",
        /// It may not.
        Disabled = "disabled",
    }
}

words! {
    /// How a client may get a token.
    GrantType {
        /// With its own credentials (RFC 6749, section 4.4).
        ClientCredentials = "client_credentials",
        /// With a person's consent (RFC 6749, section 4.1).
        AuthorizationCode = "authorization_code",
        /// With a refresh token (RFC 6749, section 6).
        RefreshToken = "refresh_token",
    }
}

/// The public keys of a client that proves itself by one in place of a secret: a JSON Web Key Set
/// (RFC 7517) that was looked at when it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientKeys(String);

impl ClientKeys {
    /// A key set that was looked at already.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for ClientKeys {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let set: serde_json::Value = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
        set.serialize(serializer)
    }
}

/// An OAuth client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OauthClient {
    /// Its id.
    pub id: OauthClientId,
    /// What it presents itself as; carries its tenant.
    pub client_id: String,
    /// What it is.
    pub name: Name,
    /// Whether it can keep a secret.
    pub client_type: ClientType,
    /// Where people may be sent back to.
    pub redirect_uris: Vec<String>,
    /// How it may get a token.
    pub grant_types: Vec<GrantType>,
    /// What it may do.
    pub scopes: Scopes,
    /// The web origins it runs in.
    pub allowed_origins: Vec<String>,
    /// Where it may call from; anywhere if empty.
    pub ip_allowlist: Vec<Network>,
    /// By which it proves itself; a confidential client without has a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<ClientKeys>,
    /// Whether it may be used.
    pub status: ClientStatus,
    /// When it was made.
    pub created_at: Timestamp,
}

impl OauthClient {
    /// Whether it proves itself by a secret.
    pub fn has_secret(&self) -> bool {
        self.client_type == ClientType::Confidential && self.jwks.is_none()
    }

    /// What matters of it for the counts.
    pub fn facts(&self) -> OauthClientFacts {
        OauthClientFacts { active: self.status == ClientStatus::Active }
    }
}

/// An OAuth client to be made.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the field of `OauthClient` of the same name")]
pub struct NewOauthClient {
    pub id: OauthClientId,
    pub client_id: String,
    pub secret_hash: Option<SecretHash>,
    pub name: Name,
    pub client_type: ClientType,
    pub redirect_uris: Vec<String>,
    pub grant_types: Vec<GrantType>,
    pub scopes: Scopes,
    pub allowed_origins: Vec<String>,
    pub ip_allowlist: Vec<Network>,
    pub jwks: Option<ClientKeys>,
}

impl NewOauthClient {
    /// Whether its properties fit together.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every one that does not.
    pub fn check(&self) -> Result<()> {
        if self.client_type == ClientType::Public && self.jwks.is_some() {
            return Err(Error::invalid("jwks", "must not be given for a public client"));
        }
        check_together(self.client_type, &self.redirect_uris, &self.grant_types)
    }

    /// The client, made at `at`.
    pub fn into_client(self, at: Timestamp) -> OauthClient {
        OauthClient {
            id: self.id,
            client_id: self.client_id,
            name: self.name,
            client_type: self.client_type,
            redirect_uris: self.redirect_uris,
            grant_types: self.grant_types,
            scopes: self.scopes,
            allowed_origins: self.allowed_origins,
            ip_allowlist: self.ip_allowlist,
            jwks: self.jwks,
            status: ClientStatus::Active,
            created_at: at,
        }
    }
}

fn check_together(kind: ClientType, redirect_uris: &[String], grants: &[GrantType]) -> Result<()> {
    let problems = contradictions(kind, redirect_uris, grants);
    if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
}

/// A change of an OAuth client.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is the field of `OauthClient` of the same name")]
pub struct OauthClientPatch {
    pub name: Option<Name>,
    pub redirect_uris: Option<Vec<String>>,
    pub grant_types: Option<Vec<GrantType>>,
    pub scopes: Option<Scopes>,
    pub allowed_origins: Option<Vec<String>>,
    pub ip_allowlist: Option<Vec<Network>>,
    pub jwks: Option<ClientKeys>,
    pub status: Option<ClientStatus>,
}

impl OauthClientPatch {
    /// The client after the change.
    ///
    /// # Errors
    /// [`Error::Invalid`] if its properties do not fit together then.
    pub fn apply(self, before: &OauthClient) -> Result<OauthClient> {
        let mut client = before.clone();
        client.name = self.name.unwrap_or(client.name);
        client.redirect_uris = self.redirect_uris.unwrap_or(client.redirect_uris);
        client.grant_types = self.grant_types.unwrap_or(client.grant_types);
        client.scopes = self.scopes.unwrap_or(client.scopes);
        client.status = self.status.unwrap_or(client.status);
        client.allowed_origins = self.allowed_origins.unwrap_or(client.allowed_origins);
        client.ip_allowlist = self.ip_allowlist.unwrap_or(client.ip_allowlist);
        if self.jwks.is_some() && client.jwks.is_none() {
            let problem = "must be given when the client is made: it has a secret, or is public";
            return Err(Error::invalid("jwks", problem));
        }
        client.jwks = self.jwks.or(client.jwks);
        check_together(client.client_type, &client.redirect_uris, &client.grant_types)?;
        Ok(client)
    }
}

sort_fields! {
    /// What OAuth clients are sorted by.
    OauthClientField of OauthClient in "oauth-clients" {
        /// When it was made.
        CreatedAt = "createdAt": Instant,
        /// Its name.
        Name = "name": Text,
    }
}

/// Which OAuth clients to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct OauthClientFilter {
    /// Those in this state.
    pub status: Option<ClientStatus>,
}

impl OauthClientFilter {
    /// The total of the list.
    pub fn counted(self, counts: &Counts) -> u64 {
        match self.status {
            None => counts.oauth_clients(),
            Some(ClientStatus::Active) => counts.oauth_clients_active,
            Some(ClientStatus::Disabled) => counts.oauth_clients_disabled,
        }
    }
}
