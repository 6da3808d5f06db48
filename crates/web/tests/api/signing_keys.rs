//! The signing keys of the built-in realm are replaced, by hand and by age.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tenantry_domain::access::Role;
use tenantry_domain::id::TenantId;
use tenantry_domain::signing_key::{KNOWN_AFTER_MS, ORDINARY_TTL_MS};
use tenantry_testkit::{Bearer, TestApp};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
const DAY: Duration = Duration::from_hours(24);
/// How long a key verifies what it has signed, once there is another one.
const OVERLAP_MS: i64 = 2 * KNOWN_AFTER_MS + ORDINARY_TTL_MS;

/// The id of the key that has signed a token.
fn kid(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

/// The ids of the keys that are shown to everybody.
async fn shown(app: &TestApp) -> Vec<String> {
    app.clock.advance(1_000);
    let set = app.request("GET", "/.well-known/jwks.json").send().await.expect(200).json();
    let keys = set["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn status(app: &TestApp, token: &str, tenant: TenantId) -> u16 {
    let path = format!("/api/v1/admin/tenants/{tenant}/stats");
    let request = app.request("GET", &path).bearer(token);
    request.header("x-tenantid", &tenant.to_string()).send().await.status
}

async fn issued(app: &TestApp, tenant: TenantId, ttl: i64) -> String {
    let ttl = u64::try_from(ttl / 1_000).unwrap();
    let token = app.service.issue_token(tenant, None, Role::TenantAdmin, ttl).await.unwrap();
    token.text.expose().to_owned()
}

async fn actions(app: &TestApp) -> Vec<String> {
    let path = "/api/v1/admin/audit-logs?limit=500";
    let log = app.request_by(Bearer::SUPER_ADMIN, "GET", path).send().await.expect(200).data();
    let entries = log["items"].as_array().unwrap().iter().rev();
    let actions = entries.map(|entry| entry["action"].as_str().unwrap().to_owned());
    actions.filter(|action| action.starts_with("SIGNING_KEY")).collect()
}

#[tokio::test]
async fn a_new_key_is_known_before_it_signs_and_an_old_one_verifies_what_it_has_signed() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let before = issued(&app, tenant, ORDINARY_TTL_MS).await;
    let old = kid(&before);
    assert_eq!(shown(&app).await, [old.as_str()]);

    let new = app.service.rotate_signing_keys(false).await.unwrap().kid;
    assert_eq!(shown(&app).await, [old.as_str(), &new]);
    assert_eq!(kid(&issued(&app, tenant, DAY_MS).await), old);
    app.clock.advance(KNOWN_AFTER_MS);
    let after = issued(&app, tenant, DAY_MS).await;
    assert_eq!(kid(&after), new);
    for token in [&before, &after] {
        assert_eq!(status(&app, token, tenant).await, 200);
    }

    // Nothing that the old one has signed is valid any more.
    app.clock.advance(OVERLAP_MS - KNOWN_AFTER_MS - 2_000);
    app.service.tend_signing_keys(None).await.unwrap();
    assert_eq!(shown(&app).await, [old.as_str(), &new]);
    app.clock.advance(2_000);
    app.service.tend_signing_keys(None).await.unwrap();
    assert_eq!(shown(&app).await, [new.as_str()]);
    assert_eq!(actions(&app).await, ["SIGNING_KEY_ROTATED", "SIGNING_KEY_RETIRED"]);
    app.stop().await;
}

#[tokio::test]
async fn a_key_stays_for_the_last_of_its_tokens() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let long = issued(&app, tenant, 5 * DAY_MS).await;
    app.service.rotate_signing_keys(false).await.unwrap();
    app.clock.advance(5 * DAY_MS - 2_000);
    app.service.tend_signing_keys(None).await.unwrap();
    assert_eq!(status(&app, &long, tenant).await, 200);
    assert_eq!(shown(&app).await.len(), 2);
    app.clock.advance(1_000);
    app.service.tend_signing_keys(None).await.unwrap();
    assert_eq!(shown(&app).await.len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_leaked_key_ends_at_once() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let token = issued(&app, tenant, DAY_MS).await;
    let (_, of_client) = app.client_token(tenant, &["stats:read"]).await;
    for token in [&token, &of_client] {
        // The second time it is remembered.
        for _ in 0..2 {
            assert_eq!(status(&app, token, tenant).await, 200);
        }
    }
    let rotated = app.service.rotate_signing_keys(true).await.unwrap();
    assert_eq!(rotated.retired, [kid(&token)]);
    for token in [&token, &of_client] {
        assert_eq!(status(&app, token, tenant).await, 401);
    }
    let token = issued(&app, tenant, DAY_MS).await;
    assert_eq!(kid(&token), rotated.kid);
    assert_eq!(status(&app, &token, tenant).await, 200);
    assert_eq!(shown(&app).await, [rotated.kid]);
    app.stop().await;
}

#[tokio::test]
async fn a_key_is_replaced_by_age() {
    let app = TestApp::start().await;
    let first = shown(&app).await;
    app.clock.advance(DAY_MS - 2_000);
    app.service.tend_signing_keys(Some(DAY)).await.unwrap();
    assert_eq!(shown(&app).await, first);
    app.clock.advance(1_000);
    app.service.tend_signing_keys(None).await.unwrap();
    assert_eq!(shown(&app).await, first);
    for _ in 0..2 {
        app.service.tend_signing_keys(Some(DAY)).await.unwrap();
        let keys = shown(&app).await;
        assert_eq!((keys.len(), &keys[0]), (2, &first[0]));
    }
    let app = app.restart().await;
    assert_eq!(shown(&app).await.len(), 2);
    assert_eq!(actions(&app).await, ["SIGNING_KEY_ROTATED"]);
    app.stop().await;
}
