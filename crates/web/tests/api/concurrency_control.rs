//! Two who change the same thing: tags, conditions, and merge patches (RFC 7396).

use serde_json::{Value, json};
use tenantry_domain::id::TenantId;
use tenantry_testkit::{Answer, Bearer, TestApp};

const TENANTS: &str = "/api/v1/admin/tenants";

async fn send(
    app: &TestApp,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> Answer {
    let mut request = app.request_by(Bearer::SUPER_ADMIN, method, path);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    match body {
        Some(body) => request.json(&body).send().await,
        None => request.send().await,
    }
}

async fn get(app: &TestApp, path: &str) -> Answer {
    send(app, "GET", path, &[], None).await.expect(200)
}

fn tag(answer: &Answer) -> String {
    answer.header("etag").unwrap().to_owned()
}

async fn user(app: &TestApp, tenant: TenantId) -> String {
    let user = app.user(tenant, "ann@example.com", false).await;
    format!("{TENANTS}/{tenant}/users/{}", user.id)
}

#[tokio::test]
async fn a_tag_names_one_state_wherever_it_is_shown() {
    let app = TestApp::start().await;
    let made = send(&app, "POST", TENANTS, &[], Some(json!({"name": "Acme"}))).await.expect(201);
    let path = made.header("location").unwrap().to_owned();
    let first = tag(&made);
    assert!(first.starts_with('"') && first.ends_with('"') && first.len() > 2, "{first}");
    app.clock.advance(1_000);
    // The tag is one of the thing: the time of the answer is not part of it.
    assert_eq!(tag(&get(&app, &path).await), first);
    let patched = send(&app, "PATCH", &path, &[], Some(json!({"name": "Beta"}))).await.expect(200);
    assert_ne!(tag(&patched), first);
    assert_eq!(tag(&get(&app, &path).await), tag(&patched));
    let same = send(&app, "PATCH", &path, &[], Some(json!({"name": "Beta"}))).await.expect(200);
    assert_eq!(tag(&same), tag(&patched));
    let suspended = send(&app, "POST", &format!("{path}/suspend"), &[], None).await.expect(200);
    assert_eq!(tag(&get(&app, &path).await), tag(&suspended));

    let home = TenantId::PLATFORM;
    let key = format!("/api/v1/api-keys/{}", app.api_key(home, "key").await.api_key.id);
    let client = app.oauth_client(home, "client").await.client.id;
    let client = format!("/api/v1/oauth-clients/{client}");
    for (path, method, act) in
        [(&key, "POST", "/rotate"), (&client, "POST", "/rotate-secret"), (&key, "DELETE", "")]
    {
        let changed = send(&app, method, &format!("{path}{act}"), &[], None).await.expect(200);
        assert_eq!(tag(&get(&app, path).await), tag(&changed), "{path}{act}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_change_is_made_in_the_state_it_means() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let path = user(&app, tenant).await;
    let seen = tag(&get(&app, &path).await);
    let rename = async |if_match: &str, name: &str| {
        send(&app, "PATCH", &path, &[("if-match", if_match)], Some(json!({"name": name}))).await
    };
    // Two saw the same; the second one of them is told.
    let changed = rename(&seen, "One").await.expect(200);
    let refused = rename(&seen, "Two").await.expect(412);
    assert_eq!(refused.code(), "PRECONDITION_FAILED");
    assert_eq!(refused.json()["message"], "Precondition failed");
    assert_eq!(get(&app, &path).await.data()["name"], "One");

    let now = tag(&changed);
    let weak = format!("W/{now}");
    for (if_match, status) in [
        (weak.as_str(), 412),
        ("\"\"", 412),
        (now.trim_matches('"'), 400),
        ("", 400),
        ("\"a\" \"b\"", 400),
        ("*", 200),
    ] {
        assert_eq!(rename(if_match, "One").await.status, status, "{if_match}");
    }
    rename(&format!("\"other\", {weak}, {now}"), "One").await.expect(200);
    let lines = [("if-match", "\"other\""), ("if-match", now.as_str())];
    send(&app, "PATCH", &path, &lines, Some(json!({"name": "One"}))).await.expect(200);

    let delete =
        async |if_match: &str| send(&app, "DELETE", &path, &[("if-match", if_match)], None).await;
    delete(&seen).await.expect(412);
    delete(&now).await.expect(200);
    // What is not there is not there, whatever state was meant.
    for if_match in ["*", now.as_str(), "?"] {
        assert_eq!(delete(if_match).await.expect(404).code(), "USER_NOT_FOUND");
        assert_eq!(rename(if_match, "One").await.expect(404).code(), "USER_NOT_FOUND");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_condition_comes_after_what_may_be_and_what_is_said() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let path = format!("{TENANTS}/{tenant}");
    let other = [("if-match", "\"other\"")];
    let member = app.request_by(Bearer::member_of(tenant), "PATCH", &path);
    member.header("if-match", "?").json(&json!({})).send().await.expect(403);
    send(&app, "PATCH", &path, &other, Some(json!({"nmae": 1}))).await.expect(422);
    send(&app, "PATCH", &path, &other, Some(json!({}))).await.expect(412);
    // Reading and making take no such condition.
    send(&app, "GET", &path, &other, None).await.expect(200);
    send(&app, "POST", TENANTS, &other, Some(json!({"name": "New"}))).await.expect(201);
    app.stop().await;
}

#[tokio::test]
async fn a_known_state_is_not_sent_again_and_counts_as_a_call() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let path = format!("{TENANTS}/{tenant}");
    let known = tag(&get(&app, &path).await);
    let calls = async || {
        let stats = get(&app, &format!("{path}/stats")).await.data();
        stats["usage"]["apiCallsThisMonth"].as_u64().unwrap()
    };
    let ask = async |method: &str, if_none_match: &str| {
        let request = app.request_by(Bearer::admin_of(tenant), method, &path);
        request.header("if-none-match", if_none_match).send().await
    };
    let list = format!("\"other\", W/{known}");
    for (number, if_none_match) in (1..).zip([known.as_str(), list.as_str(), "*"]) {
        let same = ask("GET", if_none_match).await.expect(304);
        assert_eq!((same.text.as_str(), same.header("etag")), ("", Some(known.as_str())));
        assert_eq!(same.header("content-type"), None);
        assert!(same.header("x-request-id").is_some());
        assert_eq!(calls().await, number);
    }
    ask("HEAD", &known).await.expect(304);
    for if_none_match in ["\"other\"", "nonsense", ""] {
        assert_eq!(ask("GET", if_none_match).await.expect(200).data()["name"], "Acme");
    }
    send(&app, "PATCH", &path, &[], Some(json!({"name": "Beta"}))).await.expect(200);
    assert_eq!(ask("GET", &known).await.expect(200).data()["name"], "Beta");
    // Who may not see it, does not learn whether it is the same.
    let member = app.request_by(Bearer::member_of(tenant), "GET", &path);
    member.header("if-none-match", "*").send().await.expect(403);
    app.stop().await;
}

#[tokio::test]
async fn a_patch_is_a_merge_patch() {
    let app = TestApp::start().await;
    let settings = json!({"list": [1, {"a": 1}], "deep": {"a": {"b": 1, "c": 2}}, "text": "x"});
    let made = json!({"name": "Acme", "settings": settings});
    let made = send(&app, "POST", TENANTS, &[], Some(made)).await.expect(201);
    let path = made.header("location").unwrap().to_owned();
    let patch = async |settings: Value| {
        let body = json!({"settings": settings});
        send(&app, "PATCH", &path, &[], Some(body)).await.expect(200).data()["settings"].clone()
    };
    // Null removes, at any depth; what is not named stays.
    let expected = json!({"list": [1, {"a": 1}], "deep": {"a": {"b": 1}}, "text": "x"});
    assert_eq!(patch(json!({"deep": {"a": {"c": null}}, "absent": null})).await, expected);
    // A list is replaced as a whole, and null in it is a value.
    let list = json!([null, {"a": null}]);
    let expected = json!({"list": list, "deep": {"a": {"b": 1}}, "text": "x"});
    assert_eq!(patch(json!({"list": list})).await, expected);
    // An object takes the place of anything else, without what is null in it, and the other way.
    let change = json!({"text": {"new": 1, "gone": null}, "deep": {"a": 7}});
    let expected = json!({"list": list, "deep": {"a": 7}, "text": {"new": 1}});
    assert_eq!(patch(change).await, expected);
    assert_eq!(patch(json!({"list": null, "deep": null, "text": null})).await, json!({}));

    let tenant = app.tenant("Other").await;
    let user = user(&app, tenant).await;
    let patch = async |body: Value| send(&app, "PATCH", &user, &[], Some(body)).await;
    let roles = patch(json!({"roles": ["tenant_admin"]})).await.expect(200).data();
    assert_eq!(roles["roles"], json!(["tenant_admin"]));
    assert_eq!(patch(json!({"name": "Ann"})).await.expect(200).data()["name"], "Ann");
    assert_eq!(patch(json!({"name": null})).await.expect(200).data()["name"], Value::Null);
    // What every user has cannot be removed.
    for member in ["email", "status", "roles"] {
        let refused = patch(json!({ (member): null })).await.expect(422);
        assert_eq!(refused.json()["error"]["fields"][0]["field"], member);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_patch_of_a_persons_external_id_is_merged_too() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let path = user(&app, tenant).await;
    let patch = async |external_id: Value| {
        send(&app, "PATCH", &path, &[], Some(json!({"externalId": external_id}))).await
    };
    // Nobody has half of one.
    for (half, missing) in [("realm", "externalId.subject"), ("subject", "externalId.realm")] {
        let refused = patch(json!({ (half): "a" })).await.expect(422);
        assert_eq!(refused.json()["error"]["fields"][0]["field"], missing);
    }
    let set = patch(json!({"realm": "corp", "subject": "1"})).await.expect(200).data();
    assert_eq!(set["externalId"], json!({"realm": "corp", "subject": "1"}));
    let changed = patch(json!({"subject": "2"})).await.expect(200).data();
    assert_eq!(changed["externalId"], json!({"realm": "corp", "subject": "2"}));
    let same = patch(json!({})).await.expect(200).data();
    assert_eq!(same["externalId"], json!({"realm": "corp", "subject": "2"}));
    patch(json!({"subject": null})).await.expect(422);
    let cleared = patch(Value::Null).await.expect(200).data();
    assert_eq!(cleared["externalId"], Value::Null);
    app.stop().await;
}

#[tokio::test]
async fn a_patch_is_of_a_type_that_merges() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let path = format!("{TENANTS}/{tenant}");
    for (kind, status) in [
        ("application/merge-patch+json", 200),
        ("application/json", 200),
        ("application/merge-patch+json; charset=utf-8", 200),
        ("application/json-patch+json", 415),
        ("text/plain", 415),
    ] {
        let request = app.request_by(Bearer::SUPER_ADMIN, "PATCH", &path);
        let answer = request.body(kind, r#"{"displayName": "A"}"#).send().await;
        assert_eq!(answer.status, status, "{kind}");
    }
    for body in ["[]", "null", "\"x\"", "1"] {
        let request = app.request_by(Bearer::SUPER_ADMIN, "PATCH", &path);
        request.body("application/merge-patch+json", body).send().await.expect(422);
    }
    app.stop().await;
}
