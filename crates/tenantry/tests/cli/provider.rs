//! A real provider as an external realm: `oidc-provider`, which is certified by the `OpenID` Foundation,
//! and two servers on one database.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use tenantry_security::api_key::sha256;

use crate::postgres::{Installation, post};
use crate::support::{ACME, PLATFORM, SERVE, Server};

const RESOURCE: &str = "https%3A%2F%2Ftenantry.example";
const BACK: &str = "http%3A%2F%2F127.0.0.1%2Fback";
/// What proves who has begun to sign in (RFC 7636).
const VERIFIER: &str = "a-verifier-that-has-at-least-43-characters-in-it";

/// The running provider, which ends at the latest with the test.
struct Provider {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    issuer: String,
    client: reqwest::Client,
}

impl Provider {
    fn start() -> Self {
        Self::with(&[])
    }

    /// One that answers by `https`, with this key and certificate.
    fn with(key_and_certificate: &[&Path]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let program = root.join("target/tools/provider/provider.mjs");
        assert!(program.exists(), "the provider is not installed: `cargo xtask test` does that");
        let mut node = Command::new("node");
        let node = node.arg(program).args(["0", ACME]).args(key_and_certificate);
        // It asks itself.
        let node = node.env("NODE_TLS_REJECT_UNAUTHORIZED", "0");
        let node = node.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = node.stderr(Stdio::null()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let line = next_line(&mut stdout);
        let issuer = line.strip_prefix("provider listening on ").unwrap().to_owned();
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none());
        Self { child, stdin, stdout, issuer, client: client.build().unwrap() }
    }

    /// Tells it something; answers what it says that begins so. (It also says what one should set up
    /// for others than tests.)
    fn tell(&mut self, what: &str, answer: &str) -> String {
        writeln!(self.stdin, "{what}").unwrap();
        loop {
            if let Some(rest) = next_line(&mut self.stdout).strip_prefix(answer) {
                break rest.to_owned();
            }
        }
    }

    /// Has it sign with another key, and show that one alone.
    fn rotate(&mut self) {
        self.tell("rotate", "done");
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn tokens(&self, form: String) -> Value {
        let request = self.client.post(format!("{}/token", self.issuer)).body(form);
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// An access token of a machine.
    async fn machine(&self) -> String {
        let secret = "client_id=machine&client_secret=a%20secret%20of%20the%20machine";
        let form = format!("grant_type=client_credentials&scope=tenantry&{secret}");
        access_token(&self.tokens(form).await)
    }

    /// The tokens of somebody who signs in, as a browser would.
    async fn sign_in(&self, who: &str) -> Value {
        let challenge = URL_SAFE_NO_PAD.encode(sha256(VERIFIER.as_bytes()));
        let mut browser = Browser { client: &self.client, cookies: BTreeMap::new() };
        let mut url = format!(
            "{}/auth?client_id=app&response_type=code&redirect_uri={BACK}&scope=openid%20tenantry\
             &resource={RESOURCE}&code_challenge={challenge}&code_challenge_method=S256",
            self.issuer
        );
        let mut prompts =
            [format!("prompt=login&login={who}&password=x"), "prompt=consent".to_owned()]
                .into_iter();
        let code = loop {
            let form = url.contains("/interaction/").then(|| prompts.next().unwrap());
            url = browser.go(&url, form).await;
            if let Some(answer) = url.strip_prefix("http://127.0.0.1/back?") {
                let code = answer.split('&').find_map(|part| part.strip_prefix("code="));
                break code.unwrap_or_else(|| panic!("{answer}")).to_owned();
            }
            if url.starts_with('/') {
                url = format!("{}{url}", self.issuer);
            }
        };
        let form = format!(
            "grant_type=authorization_code&client_id=app&code={code}&redirect_uri={BACK}\
             &code_verifier={VERIFIER}&resource={RESOURCE}"
        );
        self.tokens(form).await
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn next_line(stdout: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    assert!(stdout.read_line(&mut line).unwrap() > 0, "the provider has ended");
    line.trim_end().to_owned()
}

fn access_token(tokens: &Value) -> String {
    tokens["access_token"].as_str().unwrap().to_owned()
}

/// Somebody's browser: it keeps cookies, each for its path.
struct Browser<'a> {
    client: &'a reqwest::Client,
    cookies: BTreeMap<(String, String), String>,
}

impl Browser<'_> {
    /// Opens an address, or sends a form there; answers where that leads.
    async fn go(&mut self, url: &str, form: Option<String>) -> String {
        let path = url.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap();
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .filter(|((_, of), _)| path.starts_with(of))
            .map(|((name, _), value)| format!("{name}={value}"))
            .collect();
        let request = match form {
            Some(form) => self
                .client
                .post(url)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form),
            None => self.client.get(url),
        };
        let answer = request.header(COOKIE, cookies.join("; ")).send().await.unwrap();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            let path = attributes.split(';').find_map(|it| it.trim().strip_prefix("path="));
            let place = (name.to_owned(), path.unwrap_or("/").to_owned());
            self.cookies.insert(place, value.to_owned());
        }
        assert_eq!(answer.status(), 303, "{url}: {}", answer.status());
        answer.headers()[LOCATION].to_str().unwrap().to_owned()
    }
}

/// The status of what the bearer of a token asks a server.
async fn asks(server: &Server, token: &str) -> u16 {
    let path = format!("/admin/tenants/{ACME}/stats");
    server.request("GET", &path, token, ACME).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_certified_provider_vouches_for_people_and_machines() {
    const FLAGS: &str = "--allow-loopback-realms";
    let (installation, mut provider) = (Installation::new(), Provider::start());
    let (one, two) = (installation.serve_with(FLAGS), installation.serve_with(FLAGS));
    let operator = installation.operator();
    let tenant = json!({"id": ACME, "name": "Acme Corporation", "realmName": "corp"});
    post(&one, "/admin/tenants", &operator, PLATFORM, &tenant).await;
    let realm = json!({
        "name": "corp", "issuer": provider.issuer, "audience": "https://tenantry.example",
        "algorithms": ["RS256"], "tenantClaim": "org.tenant", "roleMapping": {"boss": "tenant_admin"}
    });
    post(&one, "/admin/realms", &operator, PLATFORM, &realm).await;

    // A machine by its own secret, and people by the code flow.
    let machine = provider.machine().await;
    let tokens = provider.sign_in("ann").await;
    let ann = access_token(&tokens);
    for server in [&one, &two] {
        assert_eq!(asks(server, &machine).await, 200);
        assert_eq!(asks(server, &ann).await, 200);
    }
    // Who has no role there administers nothing here.
    let eve = access_token(&provider.sign_in("eve").await);
    assert_eq!(asks(&two, &eve).await, 403);
    // What tells the application who somebody is lets nobody in.
    assert_eq!(asks(&one, tokens["id_token"].as_str().unwrap()).await, 401);
    let reason = "tenantry_auth_failures_total{reason=\"wrong_audience\"}";
    assert_eq!(one.metric(reason).await, 1);
    let users = format!("/admin/tenants/{ACME}/users");
    post(&two, &users, &ann, ACME, &json!({"email": "ben@example.com"})).await;
    let log = one.data("/admin/audit-logs?limit=1", &ann, ACME).await;
    assert_eq!(log["items"][0]["actor"]["id"], "corp/ann");

    // Its key is another one: new tokens are good at once, wherever they are shown.
    provider.rotate();
    let rotated = provider.machine().await;
    for server in [&one, &two] {
        assert_eq!(asks(server, &rotated).await, 200);
    }

    // It is gone: whoever has its keys goes on, and whoever has none says so.
    let unseen = provider.machine().await;
    provider.kill();
    for server in [&one, &two] {
        assert_eq!(asks(server, &unseen).await, 200);
    }
    let three = installation.serve_with(FLAGS);
    assert_eq!(asks(&three, &unseen).await, 503);
    three.terminate();
    three.end();

    // What one server is told, the other one does, although it has seen the token before.
    let change = async |patch: Value| {
        let request = one.request("PATCH", "/admin/realms/corp", &operator, PLATFORM);
        assert_eq!(request.json(&patch).send().await.unwrap().status(), 200);
    };
    change(json!({"audience": "https://another.example"})).await;
    assert_eq!(asks(&two, &unseen).await, 401);
    change(json!({"audience": "https://tenantry.example"})).await;
    assert_eq!(asks(&two, &unseen).await, 200);
    change(json!({"roleMapping": {"boss": null}})).await;
    assert_eq!(asks(&two, &unseen).await, 403);
    change(json!({"roleMapping": {"boss": "tenant_admin"}})).await;
    assert_eq!(asks(&two, &unseen).await, 200);
    let request = one.request("DELETE", "/admin/realms/corp", &operator, PLATFORM);
    assert_eq!(request.send().await.unwrap().status(), 200);
    assert_eq!(asks(&two, &unseen).await, 401);
    for server in [one, two] {
        server.terminate();
        server.end();
    }
    installation.run("verify").succeeded();
}

#[tokio::test]
async fn a_realm_on_this_machine_must_be_allowed() {
    let installation = Installation::new();
    let server = installation.serve();
    let operator = installation.operator();
    let realm = json!({"name": "corp", "issuer": "http://127.0.0.1:1", "audience": "a"});
    let request = server.request("POST", "/admin/realms", &operator, PLATFORM).json(&realm);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 422);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"]["fields"][0]["field"], "issuer");
    server.stop();
    let mut command = installation.command(SERVE);
    let server = Server::start(command.env("TENANTRY_ALLOW_LOOPBACK_REALMS", "true"));
    post(&server, "/admin/realms", &operator, PLATFORM, &realm).await;
    server.stop();
    // What was kept before is asked for no more.
    let server = installation.serve();
    let claims = URL_SAFE_NO_PAD.encode(json!({"iss": "http://127.0.0.1:1"}).to_string());
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": "RS256", "kid": "1"}).to_string());
    assert_eq!(asks(&server, &format!("{header}.{claims}.AAAA")).await, 503);
    server.terminate();
    assert!(server.end().stderr.contains("https"));
}

#[tokio::test]
async fn a_provider_is_asked_by_https_and_must_be_who_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (key, certificate) = (directory.path().join("key.pem"), directory.path().join("cert.pem"));
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    let mut provider = Provider::with(&[&key, &certificate]);
    assert!(provider.issuer.starts_with("https://localhost:"));

    let installation = Installation::new();
    let mut trusting = installation.command(SERVE);
    let trusting = Server::start(trusting.env("SSL_CERT_FILE", &certificate));
    let operator = installation.operator();
    let tenant = json!({"id": ACME, "name": "Acme Corporation", "realmName": "corp"});
    post(&trusting, "/admin/tenants", &operator, PLATFORM, &tenant).await;
    let realm = json!({
        "name": "corp", "issuer": provider.issuer, "audience": "https://tenantry.example",
        "tenantClaim": "org.tenant", "roleMapping": {"boss": "tenant_admin"}
    });
    post(&trusting, "/admin/realms", &operator, PLATFORM, &realm).await;
    let machine = provider.tell("machine", "token ");
    assert_eq!(asks(&trusting, &machine).await, 200);
    trusting.stop();
    // Whoever does not know the certificate does not know the provider.
    let doubting = installation.serve();
    assert_eq!(asks(&doubting, &machine).await, 503);
    doubting.terminate();
    let said = doubting.end().stderr;
    assert!(said.contains("certificate"), "{said}");
}
