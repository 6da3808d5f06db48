//! OAuth 2.0 for the built-in realm: clients prove who they are, get tokens, ask about tokens and end
//! them (RFC 6749, RFC 7662, RFC 7009).

use std::net::IpAddr;
use std::sync::Arc;

use tenantry_domain::access::{Caller, Permission, Principal, PrincipalKind, TenantAccess};
use tenantry_domain::api_key::SecretHash;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::{AuthFailure, Error};
use tenantry_domain::id::{SessionId, TenantId};
use tenantry_domain::oauth_client::{GrantType, OauthClient};
use tenantry_domain::scope::Scopes;
use tenantry_domain::session::{
    ACCESS_TOKEN_SECONDS, NewSession, Refresh, Refreshed, SessionSubject,
};
use tenantry_domain::token::EndedToken;
use tenantry_security::api_key::{
    hash_secret, hashes_equal, issue_refresh_token, parse_client_id, parse_refresh_token,
};
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
    Assertion {
        /// The statement.
        text: SecretText,
        /// What it presents itself as beside it, if it does: the same one.
        client_id: Option<String>,
    },
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
    /// To be given for the next pair, once, if the client is registered for that.
    pub refresh_token: Option<SecretText>,
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
    /// Its refresh token is none, or none any more.
    InvalidGrant,
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
            ClientProof::Assertion { text, client_id } => {
                let token = Unverified::read(text.expose()).map_err(OauthError::InvalidClient)?;
                // RFC 7521, section 4.2.
                if client_id.as_ref().is_some_and(|id| id != token.issuer()) {
                    return Err(OauthError::InvalidClient(AuthFailure::BadClaims));
                }
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

    /// A token for a client itself, for all it may do or for less (RFC 6749, section 4.4). One that is
    /// registered for refreshing gets a refresh token beside it.
    ///
    /// # Errors
    /// [`OauthError::UnauthorizedClient`] for one that is not registered for this;
    /// [`OauthError::InvalidScope`] for more than it may.
    pub async fn client_token(
        &self,
        proven: &ProvenClient,
        scope: Option<&str>,
    ) -> Result<ClientToken> {
        proven.require(GrantType::ClientCredentials)?;
        let scopes = narrowed(scope, &proven.client.scopes)?;
        if !proven.client.grant_types.contains(&GrantType::RefreshToken) {
            return self.issue(proven, scopes, None).await;
        }
        let (refresh_token, hash) = issue_refresh_token(proven.tenant, self.entropy());
        let new = NewSession {
            id: SessionId::generate(self.now(), self.entropy()),
            subject: SessionSubject::Client { id: proven.client.id, scopes: scopes.clone() },
            refresh_token: hash,
            proof: None,
        };
        let session = self.store.begin_session(&proven.access()?, new).await?;
        self.issue(proven, scopes, Some((session.id, refresh_token))).await
    }

    /// The next pair of tokens for a refresh token, which is good once: who presents it again ends the
    /// session, with all of its tokens (RFC 6749, section 6; RFC 9700, section 4.14).
    ///
    /// # Errors
    /// [`OauthError::InvalidGrant`] if it is none, was used before, or is not the client's;
    /// [`OauthError::InvalidScope`] for more than it was given for.
    pub async fn refresh_client(
        &self,
        proven: &ProvenClient,
        refresh_token: &SecretText,
        scope: Option<&str>,
    ) -> Result<ClientToken> {
        proven.require(GrantType::RefreshToken)?;
        let (presented, subject) =
            self.its_session(proven, refresh_token).await?.ok_or(OauthError::InvalidGrant)?;
        let SessionSubject::Client { scopes, .. } = &subject else {
            return Err(OauthError::InvalidGrant);
        };
        // What it has lost since, it has no more.
        let scopes = narrowed(scope, &scopes.within(&proven.client.scopes))?;
        let (refresh_token, next) = issue_refresh_token(proven.tenant, self.entropy());
        let refresh = Refresh { presented, next, subject };
        match self.store.refresh_session(&proven.access()?, refresh).await {
            Ok(Refreshed::GoesOn(session)) => {
                self.issue(proven, scopes, Some((session.id, refresh_token))).await
            }
            Ok(Refreshed::Reused) | Err(Error::Unauthenticated(AuthFailure::Revoked)) => {
                Err(OauthError::InvalidGrant)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The session of a client that a refresh token is of; `None` if it is of none, or of another's.
    async fn its_session(
        &self,
        proven: &ProvenClient,
        refresh_token: &SecretText,
    ) -> Result<Option<(SecretHash, SessionSubject)>> {
        let parsed = parse_refresh_token(refresh_token.expose());
        let Some((_, presented)) = parsed.filter(|(tenant, _)| *tenant == proven.tenant) else {
            return Ok(None);
        };
        let found = self.store.presented_session(proven.tenant, presented).await?;
        let subject = found.map(|it| it.session.subject);
        let is_its_own = |subject: &SessionSubject| matches!(subject, SessionSubject::Client { id, .. } if *id == proven.client.id);
        Ok(subject.filter(is_its_own).map(|subject| (presented, subject)))
    }

    async fn issue(
        &self,
        proven: &ProvenClient,
        scopes: Scopes,
        session: Option<(SessionId, SecretText)>,
    ) -> Result<ClientToken> {
        let (session, refresh_token) = session.unzip();
        let bearer = TokenBearer::Client {
            id: proven.client.id,
            client_id: proven.client.client_id.clone(),
            scopes: scopes.clone(),
        };
        let (tenant, ttl_seconds) = (proven.tenant, ACCESS_TOKEN_SECONDS);
        let request = TokenRequest { tenant, bearer, session, ttl_seconds };
        let token = self.sign(&request).await?;
        Ok(ClientToken { token, refresh_token, scopes })
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
        let Some(examined) = self.examine(token).await? else { return Ok(None) };
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

    /// What a token of the built-in realm says, if it is one, by the keys that there are now.
    async fn examine(&self, token: &SecretText) -> Result<Option<ExaminedToken>> {
        let examine = || self.realm.examine(token.expose());
        let examined = match examine() {
            Err(Error::Unauthenticated(AuthFailure::UnknownKey)) if self.look_for_key().await? => {
                examine()
            }
            other => other,
        };
        Ok(examined.ok())
    }

    /// Ends a token of the client, from the next request on; a refresh token with all that came of it. One that is no token, or over, is none
    /// any more (RFC 7009, section 2.2).
    ///
    /// # Errors
    /// [`OauthError::UnauthorizedClient`] for somebody else's token.
    pub async fn revoke(&self, proven: &ProvenClient, token: &SecretText) -> Result<()> {
        if let Some((presented, _)) = self.its_session(proven, token).await? {
            self.store.end_session(&proven.access()?, presented).await?;
            return Ok(());
        }
        let Some(examined) = self.examine(token).await? else { return Ok(()) };
        let principal = &examined.principal;
        let is_its_own = principal.tenant == proven.tenant
            && matches!(principal.kind, PrincipalKind::Client { id, .. } if id == proven.client.id);
        if !is_its_own {
            return Err(OauthError::UnauthorizedClient);
        }
        let Some(ids) = &principal.token else { return Ok(()) };
        let expires_at = Timestamp::from_millis(examined.expires_at.saturating_mul(1_000));
        let ended = EndedToken { id: ids.id.as_uuid(), expires_at, is_told: true };
        self.store.end_token(&proven.access()?, ended).await?;
        Ok(())
    }
}

/// The scopes that are asked for, if there are no more of them than these; these if none are.
fn narrowed(scope: Option<&str>, most: &Scopes) -> Result<Scopes> {
    let Some(names) = scope else { return Ok(most.clone()) };
    let scopes = Scopes::parse(names.split(' ')).map_err(|_| OauthError::InvalidScope)?;
    let all = scopes.iter().all(|scope| most.include(scope));
    if all { Ok(scopes) } else { Err(OauthError::InvalidScope) }
}

impl ProvenClient {
    /// Refuses a client that is not registered for a grant.
    fn require(&self, grant: GrantType) -> Result<()> {
        let is_registered = self.client.grant_types.contains(&grant);
        if is_registered { Ok(()) } else { Err(OauthError::UnauthorizedClient) }
    }

    /// Authority over what is the client's own.
    fn access(&self) -> Result<TenantAccess> {
        Ok(self.caller.authorize(self.tenant, self.tenant, Permission::Oneself)?)
    }
}
