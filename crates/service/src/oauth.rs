//! OAuth 2.0 for the built-in realm: clients prove who they are, get tokens, ask about tokens and end
//! them (RFC 6749, RFC 7662, RFC 7009).

use std::net::IpAddr;
use std::sync::Arc;

use tenantry_domain::access::{Caller, Permission, Principal, PrincipalKind, TenantAccess};
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::{AuthFailure, Error};
use tenantry_domain::id::TenantId;
use tenantry_domain::oauth_client::{GrantType, OauthClient};
use tenantry_domain::scope::Scopes;
use tenantry_domain::session::ACCESS_TOKEN_SECONDS;
use tenantry_domain::token::EndedToken;
use tenantry_security::api_key::{hash_secret, hashes_equal, parse_client_id};
use tenantry_security::external::Unverified;
use tenantry_security::realm::{ExaminedToken, IssuedToken, TokenBearer, TokenRequest};
use tenantry_security::secret::SecretText;

use crate::Service;

/// What a client says who it is, and how it proves that.
#[derive(Debug)]
pub enum ClientProof {
    /// A secret.
    Secret {
        /// What it presents itself as.
        client_id: String,
        /// The secret.
        secret: SecretText,
    },
    /// A signed statement about itself (`private_key_jwt`).
    Assertion(SecretText),
}

/// A client that has proved who it is.
#[derive(Debug)]
pub struct ProvenClient {
    tenant: TenantId,
    client: Arc<OauthClient>,
    caller: Caller,
}

/// A token for a client.
#[derive(Debug)]
pub struct ClientToken {
    /// The token.
    pub token: IssuedToken,
    /// What it is for.
    pub scopes: Scopes,
}

/// Why a client does not get what it asks for (RFC 6749, section 5.2).
#[derive(Debug)]
pub enum OauthError {
    /// It is not known, or did not prove who it is. The reason is for logs and metrics.
    InvalidClient(AuthFailure),
    /// It may not ask for tokens in this way.
    UnauthorizedClient,
    /// It may not have one of the scopes.
    InvalidScope,
    /// Anything else.
    Failed(Error),
}

impl From<Error> for OauthError {
    fn from(error: Error) -> Self {
        match error {
            Error::Unauthenticated(reason) => Self::InvalidClient(reason),
            other => Self::Failed(other),
        }
    }
}

type Result<T, E = OauthError> = std::result::Result<T, E>;

impl Service {
    /// Finds out which client it is. `audiences`: what the server is called in assertions.
    ///
    /// # Errors
    /// [`OauthError::InvalidClient`].
    pub async fn prove_client(
        &self,
        proof: &ClientProof,
        audiences: &[String],
        ip: Option<IpAddr>,
    ) -> Result<ProvenClient> {
        let (tenant, client, assertion) = match proof {
            ClientProof::Secret { client_id, secret } => {
                let (tenant, kept) = self.registered(client_id).await?;
                let known = kept
                    .secret_hash
                    .is_some_and(|kept| hashes_equal(&kept, &hash_secret(secret.expose())));
                if !known {
                    return Err(OauthError::InvalidClient(AuthFailure::BadSignature));
                }
                (tenant, kept.client, None)
            }
            ClientProof::Assertion(text) => {
                let token = Unverified::read(text.expose()).map_err(OauthError::InvalidClient)?;
                let (tenant, kept) = self.registered(token.issuer()).await?;
                let keys = kept.client.jwks.as_ref();
                let keys = keys.ok_or(OauthError::InvalidClient(AuthFailure::UnknownKey))?;
                let assertion = token
                    .prove_client(&kept.client.client_id, keys, audiences, self.now())
                    .map_err(OauthError::InvalidClient)?;
                (tenant, kept.client, Some(assertion))
            }
        };
        let kind = PrincipalKind::Client { id: client.id, scopes: client.scopes.clone() };
        let principal = Principal { tenant, kind, token: None };
        // Whether it is disabled, and where it may call from.
        let caller = self.admit(&principal, ip, None).await?;
        let proven = ProvenClient { tenant, client: Arc::new(client), caller };
        if let Some(assertion) = assertion {
            let access = proven.access()?;
            let used =
                EndedToken { id: assertion.id, expires_at: assertion.expires_at, is_told: false };
            if !self.store.end_token(&access, used).await? {
                return Err(OauthError::InvalidClient(AuthFailure::Revoked));
            }
        }
        Ok(proven)
    }

    async fn registered(&self, client_id: &str) -> Result<(TenantId, tenantry_store::KeptClient)> {
        let unknown = || OauthError::InvalidClient(AuthFailure::UnknownKey);
        let tenant = parse_client_id(client_id).ok_or_else(unknown)?;
        let kept = self.store.kept_client(tenant, client_id).await?.ok_or_else(unknown)?;
        Ok((tenant, kept))
    }

    /// A token for a client itself, for all it may do or for less (RFC 6749, section 4.4).
    ///
    /// # Errors
    /// [`OauthError::UnauthorizedClient`] for one that is not registered for this;
    /// [`OauthError::InvalidScope`] for more than it may.
    pub fn client_token(&self, proven: &ProvenClient, scope: Option<&str>) -> Result<ClientToken> {
        let client = &proven.client;
        if !client.grant_types.contains(&GrantType::ClientCredentials) {
            return Err(OauthError::UnauthorizedClient);
        }
        let scopes = match scope {
            None => client.scopes.clone(),
            Some(names) => {
                let scopes =
                    Scopes::parse(names.split(' ')).map_err(|_| OauthError::InvalidScope)?;
                let all = scopes.iter().all(|scope| client.scopes.include(scope));
                if all { scopes } else { return Err(OauthError::InvalidScope) }
            }
        };
        let bearer = TokenBearer::Client {
            id: client.id,
            client_id: client.client_id.clone(),
            scopes: scopes.clone(),
        };
        let (tenant, ttl_seconds) = (proven.tenant, ACCESS_TOKEN_SECONDS);
        let token =
            self.realm.issue(&TokenRequest { tenant, bearer, session: None, ttl_seconds })?;
        Ok(ClientToken { token, scopes })
    }

    /// What a token says, if it is good now and the client may know: a client of its own tenant, or of
    /// the platform's.
    ///
    /// # Errors
    /// What the store fails with.
    pub async fn introspect(
        &self,
        proven: &ProvenClient,
        token: &SecretText,
    ) -> Result<Option<ExaminedToken>> {
        let Ok(examined) = self.realm.examine(token.expose()) else { return Ok(None) };
        let tenant = examined.principal.tenant;
        if tenant != proven.tenant && proven.tenant != TenantId::PLATFORM {
            return Ok(None);
        }
        // Who asks is not who calls with it, and may be somewhere else.
        match self.admit(&examined.principal, None, None).await {
            Ok(_) | Err(Error::Unauthenticated(AuthFailure::ForeignAddress)) => Ok(Some(examined)),
            Err(Error::Unauthenticated(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends a token of the client, from the next request on. One that is no token, or over, is none
    /// any more (RFC 7009, section 2.2).
    ///
    /// # Errors
    /// [`OauthError::UnauthorizedClient`] for somebody else's token.
    pub async fn revoke(&self, proven: &ProvenClient, token: &SecretText) -> Result<()> {
        let Ok(examined) = self.realm.examine(token.expose()) else { return Ok(()) };
        let principal = &examined.principal;
        let is_its_own = principal.tenant == proven.tenant
            && matches!(principal.kind, PrincipalKind::Client { id, .. } if id == proven.client.id);
        if !is_its_own {
            return Err(OauthError::UnauthorizedClient);
        }
        let Some(ids) = principal.token else { return Ok(()) };
        let expires_at = Timestamp::from_millis(examined.expires_at.saturating_mul(1_000));
        let ended = EndedToken { id: ids.id.as_uuid(), expires_at, is_told: true };
        self.store.end_token(&proven.access()?, ended).await?;
        Ok(())
    }
}

impl ProvenClient {
    /// Authority over what is the client's own.
    fn access(&self) -> Result<TenantAccess> {
        Ok(self.caller.authorize(self.tenant, self.tenant, Permission::Oneself)?)
    }
}
