//! A provider of an external realm, on this machine.

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::Result;
use axum::Json;
use axum::routing::{Router, get};
use serde_json::json;
use tenantry_domain::access::Role;
use tenantry_domain::clock::{Clock as _, SystemClock};
use tenantry_domain::id::UserId;
use tenantry_security::entropy::SystemEntropy;
use tenantry_security::realm::{Realm, TokenBearer, TokenRequest};
use tenantry_security::signing_key::SigningKey;
use tokio::runtime::Runtime;

const TTL_SECONDS: u64 = 86_400;

/// A provider, until it is dropped. Its tokens say what those of the built-in realm say.
pub(crate) struct Provider {
    realm: Realm,
    _runtime: Runtime,
}

impl Provider {
    /// Publishes its key on a port of its own.
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let issuer = format!("http://{}", listener.local_addr()?);
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let key = SigningKey::generate(&*entropy, clock.now())?;
        let realm = Realm::new(issuer.clone(), vec![key], clock, entropy, 1)?;
        let (keys, jwks_uri) = (realm.jwks(), format!("{issuer}/keys"));
        let discovery = json!({ "issuer": issuer, "jwks_uri": jwks_uri });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(async || Json(discovery)))
            .route("/keys", get(async || Json(keys)));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = {
            let _guard = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        runtime.spawn(async { axum::serve(listener, routes).await });
        Ok(Self { realm, _runtime: runtime })
    }

    /// Its issuer.
    pub(crate) fn issuer(&self) -> &str {
        self.realm.issuer()
    }

    /// A token of an administrator of a tenant, who has no user row there.
    pub(crate) fn token(&self, tenant: &str) -> Result<String> {
        let id = UserId::generate(SystemClock.now(), &SystemEntropy);
        let token = self.realm.issue(&TokenRequest {
            tenant: tenant.parse().map_err(anyhow::Error::msg)?,
            bearer: TokenBearer::Person { id: Some(id), role: Role::TenantAdmin },
            session: None,
            ttl_seconds: TTL_SECONDS,
        })?;
        Ok(token.text.expose().to_owned())
    }
}
