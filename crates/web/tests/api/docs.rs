//! The page that the API is browsed on and tried from, in a real browser.

use std::path::Path;

use serde_json::{Value, json};
use tenantry_testkit::{Bearer, Browser, TestApp};

/// The tenant of the document's examples, whose id the form is filled in with.
const ACME: &str = "3fa85f64-5717-4562-b3fc-2c963f66afa6";

async fn with_acme() -> TestApp {
    let app = TestApp::start().await;
    let tenant = json!({"id": ACME, "name": "Acme Corporation", "storageQuotaMB": 10_000});
    let make = app.request_by(Bearer::SUPER_ADMIN, "POST", "/api/v1/admin/tenants");
    make.json(&tenant).send().await.expect(201);
    let acme = ACME.parse().unwrap();
    app.user(acme, "ann@example.com", true).await;
    app.user(acme, "bob@example.com", false).await;
    app.api_key(acme, "nightly export").await;
    app
}

#[tokio::test]
async fn whoever_has_a_token_can_try_the_api_on_the_page() {
    let app = with_acme().await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/docs", app.url)).await;
    assert_eq!(browser.run("return document.title").await, "Tenantry API");

    browser.click("button.authorize").await;
    browser.type_into("#auth-bearer-value", &app.token(Bearer::SUPER_ADMIN)).await;
    browser.click(".modal-ux form:has(#auth-bearer-value) button.authorize").await;
    browser.click(".modal-ux button.btn-done").await;

    let operation = "#operations-Statistics-getTenantStatistics";
    browser.click(&format!("{operation} button.opblock-summary-control")).await;
    let address = browser.run("return location.href").await;
    assert_eq!(address, format!("{}/docs#/Statistics/getTenantStatistics", app.url));
    browser.click(&format!("{operation} button.execute")).await;

    let response = format!("{operation} .live-responses-table tr.response");
    let status = browser.text(&format!("{response} .response-col_status")).await;
    assert!(status.starts_with("200"), "{status}");
    let body = browser.text(&format!("{response} .highlight-code code")).await;
    let shown: Value = serde_json::from_str(&body).unwrap();
    let data = &shown["data"];
    assert_eq!(data["tenantName"], "Acme Corporation");
    assert_eq!(data["users"], json!({"total": 2, "active": 2, "inactive": 0, "admins": 1}));
    assert_eq!(data["apiKeys"], json!({"total": 1, "active": 1, "revoked": 0}));
    assert_eq!(data["usage"]["storageQuotaMB"], 10_000);
    assert!(
        browser.text(&format!("{operation} .responses-table")).await.contains("Request duration")
    );

    if let Some(file) = std::env::var_os("DOCS_SCREENSHOT") {
        browser.screenshot(Path::new(&file)).await;
    }
    assert_eq!(browser.run("return localStorage.length + sessionStorage.length").await, 0);
    assert_eq!(browser.run("return document.cookie").await, "");
    let requests = browser.requests().await;
    assert!(requests.contains(&format!("{}/openapi.json", app.url)), "{requests:?}");
    let inside = |url: &String| url.starts_with(&app.url) || url.starts_with("data:");
    assert!(requests.iter().all(inside), "{requests:#?}");
    assert_eq!(browser.console().await, [""; 0]);
    browser.close().await;
    app.stop().await;
}

#[tokio::test]
async fn every_operation_is_on_the_page_under_its_tag() {
    let app = TestApp::start().await;
    let document = app.request("GET", "/openapi.json").send().await.expect(200).json();
    let paths = document["paths"].as_object().unwrap().values();
    let operations = paths.map(|item| item.as_object().unwrap().len()).sum::<usize>();
    let tags = document["tags"].as_array().unwrap().len();
    let browser = Browser::start().await;
    browser.open(&format!("{}/docs", app.url)).await;
    let count = |css: &str| format!("return document.querySelectorAll('{css}').length");
    browser.until(&count(".opblock"), operations).await;
    browser.until(&count(".opblock-tag-section"), tags).await;
    browser.type_into("input.operation-filter-input", "Audit").await;
    browser.until(&count(".opblock"), 1).await;
    assert_eq!(browser.console().await, [""; 0]);
    browser.close().await;
    app.stop().await;
}

#[tokio::test]
async fn everything_the_page_is_made_of_comes_with_strict_headers() {
    let app = TestApp::start().await;
    let page = app.request("GET", "/docs").send().await.expect(200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let links = page.text.split(['"', '\'']).filter(|text| text.starts_with("docs/"));
    let parts: Vec<_> = links.map(|link| format!("/{link}")).collect();
    assert_eq!(parts.len(), 5, "{parts:?}");
    for path in parts.iter().map(String::as_str).chain(["/docs"]) {
        let answer = app.request("HEAD", path).send().await.expect(200);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"));
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        let tag = answer.header("etag").unwrap();
        let again = app.request("GET", path).header("if-none-match", tag).send().await;
        assert_eq!((again.status, again.text.as_str()), (304, ""));
    }
    app.stop().await;
}

#[tokio::test]
async fn a_slash_too_many_leads_to_the_page_and_another_name_nowhere() {
    let app = TestApp::start().await;
    let page = app.request("GET", "/docs/").send().await.expect(200);
    assert!(page.text.contains("<title>Tenantry API</title>"));
    for name in ["none", "swagger-initializer.js", "..%2fopenapi.json", "%00", "%ff"] {
        let path = &format!("/docs/{name}");
        let answer = app.request("GET", path).send().await.expect(404);
        assert_eq!(answer.code(), "NOT_FOUND");
    }
    let answer = app.request("POST", "/docs").send().await.expect(405);
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));
    app.stop().await;
}
