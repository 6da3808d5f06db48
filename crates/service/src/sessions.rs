//! People of the built-in realm sign in, go on and sign out.

use std::net::IpAddr;

use tenantry_domain::access::{
    CallerProbe, Permission, Principal, PrincipalKind, Role, TenantAccess,
};
use tenantry_domain::error::{AuthFailure, Error, Result};
use tenantry_domain::id::{SessionId, TenantId, UserId};
use tenantry_domain::session::{
    ACCESS_TOKEN_SECONDS, NewSession, PresentedSession, Refresh, Refreshed, Session, SessionSubject,
};
use tenantry_domain::sign_in::{Attempt, ProvenPassword, Subject};
use tenantry_domain::text::Email;
use tenantry_security::api_key::{hash_secret, issue_refresh_token, parse_refresh_token};
use tenantry_security::realm::{TokenBearer, TokenRequest};
use tenantry_security::secret::SecretText;

use crate::Service;

/// What a session goes on with. Both are shown now and never again.
#[derive(Debug)]
pub struct SignedIn {
    /// To call with.
    pub access_token: SecretText,
    /// To be given for the next pair, once.
    pub refresh_token: SecretText,
    /// For how many seconds the access token is valid.
    pub expires_in: u64,
}

impl Service {
    /// Signs somebody in with a password. Whatever is wrong, the answer is the same, and so is the work:
    /// what is counted of the attempt, and a password that is compared.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`]; [`Error::TooManyRequests`] after too many failures of the account
    /// or from the address, whether or not this would have been one.
    pub async fn sign_in(
        &self,
        tenant: TenantId,
        email: Email,
        password: SecretText,
        ip: Option<IpAddr>,
    ) -> Result<SignedIn> {
        let attempt = self.attempt(tenant, email, ip).await?;
        let candidate = self.store.attempt_sign_in(&attempt).await?;
        let (user, hash) = candidate.map(|it| (it.id, it.password_hash)).unzip();
        let hash = hash.flatten();
        let is_right = self.passwords.verify(password, hash.as_ref().map(|it| it.0.as_str()));
        let (true, Some(user), Some(hash)) = (is_right.await?, user, hash) else {
            return Err(wrong());
        };
        let access = self.access_of(tenant, user, ip).await.map_err(one_answer)?;
        let (refresh_token, refresh_hash) = issue_refresh_token(tenant, self.entropy());
        let new = NewSession {
            id: SessionId::generate(self.now(), self.entropy()),
            subject: SessionSubject::User(user),
            refresh_token: refresh_hash,
            proof: Some(ProvenPassword { hash, attempt }),
        };
        let session = self.store.begin_session(&access, new).await.map_err(one_answer)?;
        self.tokens_of(&access, user, &session, refresh_token).await
    }

    /// Goes on with a user's session: gives the next pair of tokens for a refresh token.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if the token is none, was used before (then the session is ended),
    /// or the session is over, or its user may not sign in.
    pub async fn refresh(&self, refresh_token: &str, ip: Option<IpAddr>) -> Result<SignedIn> {
        let (tenant, presented) = parse_refresh_token(refresh_token)
            .ok_or(Error::Unauthenticated(AuthFailure::Malformed))?;
        let found = self.store.presented_session(tenant, presented).await?;
        let Some(SessionSubject::User(user)) = found.map(|it| it.session.subject) else {
            return Err(Error::Unauthenticated(AuthFailure::Revoked));
        };
        let access = self.access_of(tenant, user, ip).await?;
        let (refresh_token, next) = issue_refresh_token(tenant, self.entropy());
        let refresh = Refresh { presented, next, subject: SessionSubject::User(user) };
        match self.store.refresh_session(&access, refresh).await? {
            Refreshed::GoesOn(session) => {
                self.tokens_of(&access, user, &session, refresh_token).await
            }
            Refreshed::Reused => Err(Error::Unauthenticated(AuthFailure::Reused)),
        }
    }

    /// Ends a user's session. There is nothing to end if the token is none, or the session is over, or
    /// its user may not sign in.
    pub async fn sign_out(&self, refresh_token: &str, ip: Option<IpAddr>) -> Result<()> {
        let Some((tenant, presented)) = parse_refresh_token(refresh_token) else { return Ok(()) };
        let found = self.store.presented_session(tenant, presented).await?;
        let Some(PresentedSession { session, .. }) = found else { return Ok(()) };
        let SessionSubject::User(user) = session.subject else { return Ok(()) };
        let ended = async {
            let access = self.access_of(tenant, user, ip).await?;
            self.store.end_session(&access, presented).await
        };
        match ended.await {
            Ok(_) | Err(Error::Unauthenticated(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// An attempt to sign in. One in a tenant that is none counts among those of the platform, about
    /// nobody and apart from the platform's own: so it is as much work, as many of them are too many, and
    /// nobody is kept out by them who has a tenant.
    async fn attempt(&self, tenant: TenantId, email: Email, ip: Option<IpAddr>) -> Result<Attempt> {
        let state = self.store.caller_state(&CallerProbe::of_tenant(tenant)).await?;
        let digest = |text: String| Subject(hash_secret(&text).0);
        Ok(Attempt {
            tenant: state.tenant.map_or(TenantId::PLATFORM, |_| tenant),
            account: digest(format!("account {tenant} {}", email.key())),
            address: digest(match state.tenant {
                Some(_) => format!("address {}", place_of(ip)),
                None => format!("address of nobody {}", place_of(ip)),
            }),
            email: state.tenant.map(|_| email),
        })
    }

    /// What a user may do about itself.
    async fn access_of(
        &self,
        tenant: TenantId,
        user: UserId,
        ip: Option<IpAddr>,
    ) -> Result<TenantAccess> {
        // Its roles say what it is worth; no token says less here.
        let kind = PrincipalKind::User { id: user, role: Role::SuperAdmin };
        let caller = self.admit(&Principal { tenant, kind, token: None }, ip, None).await?;
        caller.authorize(tenant, tenant, Permission::Oneself)
    }

    async fn tokens_of(
        &self,
        access: &TenantAccess,
        user: UserId,
        session: &Session,
        refresh_token: SecretText,
    ) -> Result<SignedIn> {
        let request = TokenRequest {
            tenant: access.tenant(),
            bearer: TokenBearer::Person { id: Some(user), role: access.role() },
            session: Some(session.id),
            ttl_seconds: ACCESS_TOKEN_SECONDS,
        };
        let access_token = self.sign(&request).await?.text;
        Ok(SignedIn { access_token, refresh_token, expires_in: ACCESS_TOKEN_SECONDS })
    }
}

/// The one answer to whoever cannot sign in.
fn wrong() -> Error {
    Error::Unauthenticated(AuthFailure::WrongPassword)
}

/// The same answer to somebody with the right password whose user may not sign in.
fn one_answer(error: Error) -> Error {
    if matches!(error, Error::Unauthenticated(_)) { wrong() } else { error }
}

/// Where an attempt comes from, as far as one person can come from many addresses: whoever has one of
/// IPv6 has the 2^64 of its network.
fn place_of(ip: Option<IpAddr>) -> String {
    match ip {
        None => "unknown".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => format!("{:016x}", address.to_bits() >> 64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_of_ipv6_are_one_place() {
        let place = |text: &str| place_of(Some(text.parse().unwrap()));
        assert_eq!(place("2001:db8:1:2::1"), place("2001:db8:1:2:ffff::2"));
        assert_ne!(place("2001:db8:1:2::1"), place("2001:db8:1:3::1"));
        assert_ne!(place("192.0.2.1"), place("192.0.2.2"));
    }
}
