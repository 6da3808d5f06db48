//! Importing users over HTTP, as NDJSON and as CSV.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tenantry_domain::id::TenantId;
use tenantry_testkit::{Answer, Bearer, TestApp};
use tenantry_web::{Limits, WebConfig};

const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";

async fn import(app: &TestApp, tenant: TenantId, kind: &str, body: impl Into<String>) -> Answer {
    let path = format!("/api/v1/admin/tenants/{tenant}/users/import");
    app.request_by(Bearer::admin_of(tenant), "POST", &path).body(kind, body.into()).send().await
}

async fn get(app: &TestApp, tenant: TenantId, path: &str) -> Value {
    let path = format!("/api/v1/admin/{path}");
    app.request_by(Bearer::admin_of(tenant), "GET", &path).send().await.expect(200).data()
}

async fn users(app: &TestApp, tenant: TenantId) -> Value {
    get(app, tenant, &format!("tenants/{tenant}/stats")).await["users"].clone()
}

/// What is wrong, as `line field`.
fn problems(refused: &Answer) -> Vec<String> {
    assert_eq!(refused.code(), "VALIDATION_FAILED");
    let error = &refused.json()["error"];
    let lines = error["lines"].as_array().unwrap();
    assert_eq!(error["linesTotal"], lines.len());
    assert!(lines.iter().all(|it| !it["problem"].as_str().unwrap().is_empty()));
    lines.iter().map(|it| format!("{} {}", it["line"], it["field"].as_str().unwrap())).collect()
}

/// The users of a tenant, in their order, without what differs between two that are the same.
async fn listed(app: &TestApp, tenant: TenantId) -> Vec<Value> {
    let mut items = get(app, tenant, &format!("tenants/{tenant}/users")).await["items"].clone();
    for item in items.as_array_mut().unwrap() {
        item.as_object_mut().unwrap().remove("id");
    }
    items.as_array().unwrap().clone()
}

#[tokio::test]
async fn both_formats_make_the_same_users() {
    let app = TestApp::start().await;
    let (one, two) = (app.tenant("One").await, app.tenant("Two").await);
    let ndjson = concat!(
        r#"{"email": "Ann@example.com", "name": "Ann, \"the\" first", "roles": ["tenant_admin", "member"]}"#,
        "\r\n\n",
        r#"{"email": "ben@example.com", "status": "invited", "externalId": {"realm": "acme", "subject": "b"}}"#,
        "\n",
        r#"{"email": "zoë@example.com", "roles": ["tenant_admin"], "status": "locked"}"#,
    );
    let csv = concat!(
        "\u{feff}email,roles,name,status,externalSubject,externalRealm\r\n",
        "Ann@example.com,tenant_admin; member,\"Ann, \"\"the\"\" first\",,,\r\n",
        "ben@example.com,,,invited,b,acme\r\n",
        "\r\n",
        "zoë@example.com,tenant_admin,,locked,,\r\n",
    );
    for (tenant, kind, body) in [(one, NDJSON, ndjson), (two, CSV, csv)] {
        let answer = import(&app, tenant, kind, body).await.expect(200);
        assert_eq!(answer.data(), json!({"imported": 3}));
        assert_eq!(
            users(&app, tenant).await,
            json!({"total": 3, "active": 1, "inactive": 2, "admins": 2})
        );
        let log = get(&app, tenant, "audit-logs").await;
        assert_eq!(log["total"], 2);
        let entry = &log["items"][0];
        assert_eq!((&entry["action"], &entry["count"]), (&json!("USERS_IMPORTED"), &json!(3)));
        assert_eq!((&entry["resource"]["type"], &entry["details"]), (&json!("user"), &json!({})));
        assert_eq!(entry["counts"]["users"], users(&app, tenant).await);
    }
    let made = listed(&app, one).await;
    assert_eq!(made, listed(&app, two).await);
    assert_eq!(made[0]["name"], "Ann, \"the\" first");
    assert_eq!(made[0]["roles"], json!(["tenant_admin", "member"]));
    assert_eq!(made[1]["externalId"], json!({"realm": "acme", "subject": "b"}));
    assert_eq!((&made[1]["roles"], &made[1]["status"]), (&json!(["member"]), &json!("invited")));
    app.stop().await;
}

#[tokio::test]
async fn every_bad_line_is_named_and_nothing_is_imported() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    app.user(tenant, "there@example.com", false).await;
    let ndjson = [
        r#"{"email": "good@example.com"}"#,
        r#"{"email": "no address", "name": " ", "status": "gone"}"#,
        r#"{"email": "GOOD@example.com"}"#,
        r#"{"email": "There@Example.com", "roles": ["owner"]}"#,
        r#"{"email": "a@example.com", "externalId": {"realm": "r", "subject": "s"}}"#,
        r#"{"email": "b@example.com", "externalId": {"realm": "r", "subject": "s"}}"#,
        r#"{"email": "c@example.com", "password": "correct horse battery staple"}"#,
        "{\"email\": \"d@example.com\"",
        "[1]",
        r#"{"email": "e@example.com", "email": "f@example.com"}"#,
        "",
        r#"{"email": "g@example.com", "externalId": {"realm": "a b"}, "age": 3}"#,
        r#"{"name": "Nobody"}"#,
    ];
    let refused = import(&app, tenant, NDJSON, ndjson.join("\n")).await.expect(422);
    assert!(!refused.text.contains("correct horse"));
    assert_eq!(
        problems(&refused),
        [
            "2 email",
            "2 name",
            "2 status",
            "3 email",
            "4 roles",
            "4 email",
            "6 externalId",
            "7 password",
            "8 line",
            "9 line",
            "10 line",
            "12 externalId.realm",
            "12 externalId.subject",
            "12 age",
            "13 email"
        ]
    );
    let repeat = &refused.json()["error"]["lines"][3];
    assert_eq!(repeat["problem"], "must not be the one of line 1 again");

    let csv = concat!(
        "name,email,roles,externalRealm,externalSubject\n",
        "\"Two\nlines\",a@example.com,,,\n",
        ",there@example.com,member owner,,\n",
        "too,few\n",
        "\n",
        ",b@example.com,member;member,acme,\n",
        ",c@example.com,,acme,s\n",
        ",d@example.com,,acme,s\n",
        "good,good@example.com,,,\n",
    );
    let refused = import(&app, tenant, CSV, csv).await.expect(422);
    assert_eq!(
        problems(&refused),
        [
            "2 name",
            "4 roles",
            "4 email",
            "5 line",
            "7 roles",
            "7 externalSubject",
            "9 externalSubject"
        ]
    );
    assert_eq!(users(&app, tenant).await["total"], 1);
    assert_eq!(get(&app, tenant, "audit-logs").await["total"], 2);
    app.stop().await;
}

#[tokio::test]
async fn a_csv_file_has_a_header() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    for (csv, wrong) in [
        ("", vec!["1 line"]),
        ("ann@example.com\n", vec!["1 ann@example.com", "1 email"]),
        ("email,password\na@example.com,x\n", vec!["1 password"]),
        ("name\nAnn\n", vec!["1 email"]),
        ("email,name,email\na@example.com,,\n", vec!["1 email"]),
        ("Email\na@example.com\n", vec!["1 Email", "1 email"]),
        // What two spreadsheets have marked as UTF-8, one after the other.
        ("\u{feff}\u{feff}\n\nEmail\n", vec!["3 Email", "3 email"]),
    ] {
        let refused = import(&app, tenant, CSV, csv).await.expect(422);
        assert_eq!(problems(&refused), wrong, "{csv:?}");
    }
    let latin = b"email,name\na@example.com,Z\xeb\n".to_vec();
    let path = format!("/api/v1/admin/tenants/{tenant}/users/import");
    let request = app.request_by(Bearer::admin_of(tenant), "POST", &path).body(CSV, latin);
    assert_eq!(problems(&request.send().await.expect(422)), ["2 line"]);
    for (kind, empty) in [(CSV, "email\n"), (NDJSON, "\n\n")] {
        let refused = import(&app, tenant, kind, empty).await.expect(422);
        assert_eq!(refused.json()["error"]["fields"][0]["field"], "body", "{kind}");
    }
    app.stop().await;
}

#[tokio::test]
async fn quotes_that_do_not_fit_are_a_bad_line() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    for (broken, line) in [
        ("email,name\r\na@example.com,\"Ann", "2 line"),
        ("email,name\nb@example.com,Ann\n\"c@example.com\"zz,Ann\n", "3 line"),
        ("email,name\nd@example.com,An\"n\"\n", "2 line"),
    ] {
        let refused = import(&app, tenant, CSV, broken).await.expect(422);
        assert_eq!(problems(&refused), [line], "{broken:?}");
    }
    assert_eq!(users(&app, tenant).await["total"], 0);
    app.stop().await;
}

#[tokio::test]
async fn many_problems_are_counted_and_the_first_are_told() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let refused = import(&app, tenant, NDJSON, "{}\n".repeat(1_500)).await.expect(422);
    let error = refused.json()["error"].clone();
    assert_eq!(error["lines"].as_array().unwrap().len(), 1_000);
    assert_eq!(
        (&error["lines"][999]["line"], &error["linesTotal"]),
        (&json!(1_000), &json!(1_500))
    );
    app.stop().await;
}

#[tokio::test]
async fn as_many_as_there_may_be_and_one_more() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let mut csv = "email,name,roles\n".to_owned();
    for number in 0..50_000 {
        let role = if number % 1_000 == 0 { "tenant_admin" } else { "" };
        writeln!(csv, "user.{number}@example.com,User {number},{role}").unwrap();
    }
    let one_more = format!("{csv}one.more@example.com,,\n");
    let refused = import(&app, tenant, CSV, one_more).await.expect(422);
    assert_eq!(refused.json()["error"]["fields"][0]["field"], "body");
    assert_eq!(users(&app, tenant).await["total"], 0);
    import(&app, tenant, CSV, csv).await.expect(200);
    assert_eq!(
        users(&app, tenant).await,
        json!({"total": 50_000, "active": 50_000, "inactive": 0, "admins": 50})
    );
    let log = get(&app, tenant, "audit-logs").await;
    assert_eq!((&log["total"], &log["items"][0]["count"]), (&json!(2), &json!(50_000)));
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_import_is_refused() {
    let limits = Limits { max_import_size: 100, ..Limits::default() };
    let config = WebConfig { limits, ..WebConfig::default() };
    let app = TestApp::start_with(config).await;
    let tenant = app.tenant("Acme").await;
    let fits = format!("email\n{}@example.com\n", "a".repeat(60));
    import(&app, tenant, CSV, fits.clone()).await.expect(200);
    let refused = import(&app, tenant, CSV, format!("{fits}{fits}")).await.expect(413);
    assert_eq!(refused.code(), "PAYLOAD_TOO_LARGE");
    for kind in ["application/json", "text/plain", "text/csv; charset=latin1"] {
        import(&app, tenant, kind, fits.clone()).await.expect(415);
    }
    import(&app, tenant, "application/ndjson; charset=utf-8", r#"{"email": "b@c"}"#)
        .await
        .expect(200);
    let path = format!("/api/v1/admin/tenants/{tenant}/users/import?dry=1");
    let request = app.request_by(Bearer::admin_of(tenant), "POST", &path).body(CSV, fits.clone());
    request.send().await.expect(422);
    // Where there is no tenant, nothing else is wrong.
    let path = format!("/api/v1/admin/tenants/{}/users/import", TestApp::unknown_tenant());
    let request = app.request_by(Bearer::SUPER_ADMIN, "POST", &path).body("text/plain", "");
    request.send().await.expect(404);
    app.stop().await;
}

#[tokio::test]
async fn nobody_gives_more_than_they_have() {
    let app = TestApp::start().await;
    let platform = TenantId::PLATFORM;
    let path = format!("/api/v1/admin/tenants/{platform}/users/import");
    let root = "email,roles\nroot@example.com,tenant_admin\n";
    // Who administers the platform's tenant may be a super admin: only one of them makes another.
    let request = app.request_by(Bearer::admin_of(platform), "POST", &path);
    request.body(CSV, root).send().await.expect(403);
    let request = app.request_by(Bearer::SUPER_ADMIN, "POST", &path);
    request.body(CSV, root).send().await.expect(200);
    // The same for one user, however the role is given.
    let member = app.user(platform, "member@example.com", false).await;
    let users = format!("/api/v1/admin/tenants/{platform}/users");
    let one = format!("{users}/{}", member.id);
    let admin = json!({"email": "another@example.com", "roles": ["tenant_admin"]});
    let promoted = json!({"roles": ["member", "tenant_admin"]});
    for (bearer, made, patched) in
        [(Bearer::admin_of(platform), 403, 403), (Bearer::SUPER_ADMIN, 201, 200)]
    {
        app.request_by(bearer, "POST", &users).json(&admin).send().await.expect(made);
        app.request_by(bearer, "PATCH", &one).json(&promoted).send().await.expect(patched);
    }
    app.stop().await;
}

#[tokio::test]
async fn bad_lines_are_lines_too() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    // What cannot be read at all counts, so that no file is read to an end that is far away.
    for (kind, head, line) in [(NDJSON, "", "x\n"), (CSV, "email\n", "a,b\n")] {
        let many = |lines: usize| format!("{head}{}", line.repeat(lines));
        let refused = import(&app, tenant, kind, many(50_000)).await.expect(422);
        assert_eq!(refused.json()["error"]["linesTotal"], 50_000, "{kind}");
        let refused = import(&app, tenant, kind, many(50_001)).await;
        assert_eq!(refused.fields(), ["body"], "{kind}");
    }
    app.stop().await;
}

#[tokio::test]
async fn one_line_is_not_many_problems() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let header = format!("email{}\nann@example.com\n", ",x".repeat(100_000));
    let refused = import(&app, tenant, CSV, header).await.expect(422);
    assert_eq!(problems(&refused), ["1 line"]);
    let members: String = (0..100_000).fold(String::new(), |mut members, number| {
        write!(members, ",\"{number}\":0").unwrap();
        members
    });
    let line = format!("{{\"email\": \"ann@example.com\"{members}}}\n");
    let refused = import(&app, tenant, NDJSON, line).await.expect(422);
    assert_eq!(problems(&refused), ["1 line"]);
    app.stop().await;
}
