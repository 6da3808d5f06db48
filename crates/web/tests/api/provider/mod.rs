//! An `OpenID` provider on this machine that answers as a test tells it to, with keys of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tenantry_domain::id::TenantId;
use tokio::net::TcpListener;

/// 10 July 2025, 14:30 UTC: where the clocks of the tests start.
pub(crate) const NOW: i64 = 1_752_157_800;

/// How it answers when it is asked for its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it should.
    Right,
    /// That something is wrong with it.
    Down,
    /// That they are somewhere else.
    Moved,
    /// With far more than they are.
    Huge,
    /// With something else.
    Garbage,
    /// Never.
    Silent,
}

/// A running provider.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    shown: Arc<Shown>,
}

struct Shown {
    issuer: String,
    manner: Mutex<Manner>,
    keys: Mutex<Vec<u8>>,
    asked: AtomicUsize,
}

impl Provider {
    /// One that shows its first key.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}/realm", listener.local_addr().unwrap());
        let shown = Arc::new(Shown {
            issuer: issuer.clone(),
            manner: Mutex::new(Manner::Right),
            keys: Mutex::new(vec![1]),
            asked: AtomicUsize::new(0),
        });
        let app = axum::Router::new()
            .route("/realm/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/elsewhere", get(right))
            .with_state(Arc::clone(&shown));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { issuer, shown }
    }

    /// From now on it answers in this manner.
    pub(crate) fn answer(&self, manner: Manner) {
        *self.shown.manner.lock().unwrap() = manner;
    }

    /// From now on it shows these keys.
    pub(crate) fn show(&self, keys: &[u8]) {
        *self.shown.keys.lock().unwrap() = keys.to_vec();
    }

    /// How often it was asked for its keys.
    pub(crate) fn asked(&self) -> usize {
        self.shown.asked.load(Ordering::SeqCst)
    }

    /// What a token of somebody of a tenant says.
    pub(crate) fn claims(&self, tenant: TenantId, role: &str) -> Value {
        json!({
            "iss": self.issuer,
            "aud": "tenantry",
            "sub": "ann",
            "iat": NOW,
            "exp": NOW + 3_600,
            "tenant": tenant,
            "roles": [role]
        })
    }

    /// A token of somebody of a tenant.
    pub(crate) fn token(&self, tenant: TenantId, role: &str) -> String {
        sign(1, header(1), self.claims(tenant, role))
    }
}

async fn discovery(State(shown): State<Arc<Shown>>) -> Response {
    let base = shown.issuer.strip_suffix("/realm").unwrap();
    json!({"issuer": shown.issuer, "jwks_uri": format!("{base}/keys")}).to_string().into_response()
}

async fn keys(State(shown): State<Arc<Shown>>) -> Response {
    shown.asked.fetch_add(1, Ordering::SeqCst);
    let manner = *shown.manner.lock().unwrap();
    match manner {
        Manner::Right => right(State(shown)).await,
        Manner::Down => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Manner::Moved => (StatusCode::FOUND, [(LOCATION, "/elsewhere")]).into_response(),
        Manner::Huge => format!("{{\"keys\":[{}]}}", " ".repeat(1_000_000)).into_response(),
        Manner::Garbage => "<html>".into_response(),
        Manner::Silent => {
            tokio::time::sleep(Duration::from_hours(1)).await;
            StatusCode::OK.into_response()
        }
    }
}

async fn right(State(shown): State<Arc<Shown>>) -> Response {
    let keys: Vec<_> = shown.keys.lock().unwrap().iter().map(|key| jwk(*key)).collect();
    json!({"keys": keys}).to_string().into_response()
}

fn ed25519(key: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[key; 32]).unwrap()
}

/// The public part of the key of a number.
pub(crate) fn jwk(key: u8) -> Value {
    let x = encode(ed25519(key).public_key().as_ref());
    json!({"kty": "OKP", "crv": "Ed25519", "kid": key.to_string(), "x": x})
}

pub(crate) fn header(key: u8) -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": key.to_string()})
}

/// A token that says anything, signed by the key of a number.
#[expect(clippy::needless_pass_by_value, reason = "the callers make what they pass")]
pub(crate) fn sign(key: u8, header: impl ToString, claims: impl ToString) -> String {
    let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let signature = encode(ed25519(key).sign(message.as_bytes()).as_ref());
    format!("{message}.{signature}")
}

/// The same, signed by a key that nobody has.
#[expect(clippy::needless_pass_by_value, reason = "the callers make what they pass")]
pub(crate) fn sign_by_p256(header: impl ToString, claims: impl ToString) -> String {
    let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let signature = key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    format!("{message}.{}", encode(signature.as_ref()))
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The object with a member set, or taken out.
pub(crate) fn with(mut object: Value, member: &str, value: impl Into<Option<Value>>) -> Value {
    let members = object.as_object_mut().unwrap();
    match value.into() {
        Some(value) => members.insert(member.to_owned(), value),
        None => members.remove(member),
    };
    object
}
