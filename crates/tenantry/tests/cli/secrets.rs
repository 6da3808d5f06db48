//! Where no secret is: in no file but the master key's own, in no log, however much it tells, and in
//! no answer that refuses it.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{DataDir, PLATFORM, Server};

/// The types of credential, each with every part that it takes.
const TYPES: [(&str, &[&str]); 8] = [
    ("oauth2_bearer", &["accessToken", "refreshToken"]),
    ("oauth2_client_credentials", &["clientId", "clientSecret"]),
    ("api_key", &["apiKey"]),
    ("basic_auth", &["username", "password"]),
    ("bearer_token", &["accessToken"]),
    ("jwt", &["assertion"]),
    ("saml", &["assertion"]),
    (
        "custom",
        &[
            "accessToken",
            "refreshToken",
            "clientId",
            "clientSecret",
            "username",
            "password",
            "apiKey",
            "assertion",
        ],
    ),
];

/// A server, a tenant in it, and every secret that was sent to it or that it has shown.
struct Life {
    server: Server,
    token: String,
    tenant: String,
    secrets: Vec<String>,
}

impl Life {
    /// A secret that nobody had before, with what JSON escapes.
    fn secret(&mut self, kind: &str) -> String {
        let secret = format!("zq-{kind}-{}-\"\\ä\"-horse", self.secrets.len());
        self.secrets.push(secret.clone());
        secret
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.server.request(method, path, &self.token, &self.tenant)
    }

    /// What must be answered with a success: its `data`.
    async fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        taken(self.request(method, path).json(body)).await
    }

    /// The same under an idempotency key, and once more: both answers are the same one.
    async fn post_twice(&self, path: &str, body: &Value) -> Value {
        let request = || {
            let key = format!("key-of-{path}");
            self.request("POST", path).header("idempotency-key", key).json(body)
        };
        let first = taken(request()).await;
        assert_eq!(taken(request()).await, first);
        first
    }

    /// What must be refused, without repeating any secret.
    async fn refused(&self, request: reqwest::RequestBuilder) {
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_client_error(), "{status} {text}");
        assert_eq!(found(text.as_bytes(), &self.secrets), None, "{text}");
    }

    /// Notes the secret that an answer shows.
    fn note(&mut self, data: &Value, member: &str) {
        let text = data[member].as_str().unwrap();
        self.secrets.push(text.to_owned());
        // Its beginning is told on purpose, to recognise it by.
        self.secrets.push(text[text.len() - 24..].to_owned());
    }

    /// A credential of a type with new secrets for all of its parts.
    fn credential(&mut self, auth_type: &str, parts: &[&str]) -> Value {
        let mut body = self.parts(parts);
        body["integrationId"] = json!("github");
        body["credentialName"] = json!("deploy");
        body["authType"] = json!(auth_type);
        body
    }

    /// New secrets for these parts.
    fn parts(&mut self, parts: &[&str]) -> Value {
        let mut body = json!({});
        for part in parts {
            body[part] = json!(self.secret(part));
        }
        body
    }

    async fn users(&mut self) {
        let path = format!("/admin/tenants/{}/users", self.tenant);
        let password = self.secret("password");
        self.post_twice(&path, &json!({"email": "ann@example.com", "password": password})).await;
        let unfit = json!({"email": "ann@example.com", "password": self.secret("taken")});
        self.refused(self.request("POST", &path).json(&unfit)).await;
        let unfit = json!({"email": "no address", "password": [self.secret("list")]});
        self.refused(self.request("POST", &path).json(&unfit)).await;
        let broken =
            format!("{{\"email\": \"ben@example.com\", \"password\": {}", self.secret("cut"));
        let request = self.request("POST", &path).header("content-type", "application/json");
        self.refused(request.body(broken)).await;
        let table = format!("email,password\nben@example.com,{}\n", self.secret("column"));
        let request = self.request("POST", &format!("{path}/import"));
        self.refused(request.header("content-type", "text/csv").body(table)).await;
    }

    async fn keys(&mut self) {
        let made = self.post_twice("/api-keys", &json!({"name": "key"})).await;
        self.note(&made, "key");
        let path = format!("/api-keys/{}", made["id"].as_str().unwrap());
        let grace = json!({"graceSeconds": 60});
        let rotated = self.post_twice(&format!("{path}/rotate"), &grace).await;
        self.note(&rotated, "key");
        let again = self.send("POST", &format!("{path}/rotate"), &json!({})).await;
        self.note(&again, "key");
        for text in [&made["key"], &rotated["key"], &again["key"], &json!("tnt_mistyped-horse")] {
            self.send("POST", "/api-keys/validate", &json!({"key": text})).await;
        }
        self.send("DELETE", &path, &json!({})).await;
        self.refused(
            self.request("GET", "/api-keys").header("x-api-key", again["key"].as_str().unwrap()),
        )
        .await;
    }

    async fn clients(&mut self) {
        let made = self.post_twice("/oauth-clients", &json!({"name": "client"})).await;
        self.note(&made, "clientSecret");
        let path = format!("/oauth-clients/{}", made["id"].as_str().unwrap());
        let rotated = self.post_twice(&format!("{path}/rotate-secret"), &json!({})).await;
        self.note(&rotated, "clientSecret");
        let again = self.send("POST", &format!("{path}/rotate-secret"), &json!({})).await;
        self.note(&again, "clientSecret");
    }

    async fn credentials(&mut self) {
        for (number, (auth_type, parts)) in TYPES.into_iter().enumerate() {
            let body = self.credential(auth_type, parts);
            let made = if number == 0 {
                self.post_twice("/credentials", &body).await
            } else {
                self.send("POST", "/credentials", &body).await
            };
            let path = format!("/credentials/github/{}", made["id"].as_str().unwrap());
            let reveal = format!("{path}/reveal");
            let shown = self.send("POST", &reveal, &json!({})).await["secret"].take();
            assert!(parts.iter().all(|part| shown[part] == body[part]), "{shown}");
            let replaced = self.parts(parts);
            self.send("PATCH", &path, &replaced).await;
            let shown = self.send("POST", &reveal, &json!({})).await["secret"].take();
            assert_eq!(shown, replaced);
            let unfit = json!({"credentialName": "", "apiKey": [self.secret("list")]});
            self.refused(self.request("PATCH", &path).json(&unfit)).await;
            if number % 2 == 0 {
                self.send("DELETE", &path, &json!({})).await;
            }
        }
    }
}

async fn taken(request: reqwest::RequestBuilder) -> Value {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let mut body: Value = answer.json().await.unwrap();
    assert!(status.is_success(), "{status} {body}");
    body["data"].take()
}

/// The first of these secrets that some bytes hold, in whatever form.
fn found<'a>(bytes: &[u8], secrets: &'a [String]) -> Option<&'a str> {
    let text = String::from_utf8_lossy(bytes);
    let holds = |secret: &&String| forms(secret).iter().any(|form| text.contains(form));
    secrets.iter().find(holds).map(String::as_str)
}

/// A secret as it is, as in JSON and in a log of JSON, in hexadecimal, and in base64 wherever in a
/// longer text it stands.
fn forms(secret: &str) -> BTreeSet<String> {
    let quoted = |text: &str| json!(text).to_string().trim_matches('"').to_owned();
    let (once, hex) = (quoted(secret), hex(secret.as_bytes()));
    let known = [quoted(&once), once, hex.to_uppercase(), hex, secret.to_owned()];
    let mut forms = BTreeSet::from(known);
    for before in 0..3 {
        let text = [&b"???"[..before], secret.as_bytes()].concat();
        // The digits that hold bits of what stands before and after are no sign of the secret.
        let digits = (before * 8).div_ceil(6)..text.len() * 8 / 6;
        for alphabet in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            forms.insert(alphabet.encode(&text)[digits.clone()].to_owned());
        }
    }
    forms
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|it| char::from_digit(it.into(), 16).unwrap())
        .collect()
}

/// Fails the test if a file of the directory holds one of the secrets. Answers the files' names.
fn assert_none_in(directory: &Path, secrets: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    let mut anything_found = false;
    for file in std::fs::read_dir(directory).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        assert_eq!(found(&bytes, secrets), None, "in {name}");
        anything_found |= found(&bytes, &["ann@example.com".to_owned()]).is_some();
        names.push(name);
    }
    assert!(anything_found, "these are not the files that were written to: {names:?}");
    names.sort_unstable();
    names
}

#[tokio::test]
async fn no_secret_is_in_a_file_or_in_the_log() {
    let directory = DataDir::new();
    let mut command = directory.command("serve --listen 127.0.0.1:0");
    let server = Server::start(command.env("TENANTRY_LOG", "trace"));
    let token = directory.operator();
    let body = json!({"name": "Acme"});
    let request = server.request("POST", "/admin/tenants", &token, PLATFORM).json(&body);
    let tenant = taken(request).await["id"].as_str().unwrap().to_owned();
    let signature = token.rsplit('.').next().unwrap().to_owned();
    let secrets = vec![token.clone(), signature];
    let mut life = Life { server, token, tenant, secrets };
    life.users().await;
    life.keys().await;
    life.clients().await;
    life.credentials().await;

    let Life { server, secrets, .. } = life;
    let names = assert_none_in(&directory.path(), &secrets);
    for name in [
        "master.key",
        "tenantry.calls.db",
        "tenantry.calls.db-wal",
        "tenantry.db",
        "tenantry.db-shm",
        "tenantry.db-wal",
        "tenantry.lock",
    ] {
        assert!(names.iter().any(|it| it == name), "{name} is not among {names:?}");
    }
    server.terminate();
    let output = server.end();
    assert_eq!(output.code, Some(0), "{output:?}");
    // What was written last is in the file now, and no longer beside it.
    assert_none_in(&directory.path(), &secrets);
    let log = output.stderr;
    // It tells what it only tells whoever asks for more.
    assert!(log.contains("authentication failed") && log.contains("/api-keys/validate"), "{log}");
    assert_eq!(found(log.as_bytes(), &secrets), None);

    // The master key is in its own file alone.
    let key = std::fs::read_to_string(directory.path().join("master.key")).unwrap();
    let bytes = STANDARD.decode(key.trim()).unwrap();
    let key = [key.trim().to_owned(), hex(&bytes)];
    assert_eq!(found(log.as_bytes(), &key), None);
    for name in names.iter().filter(|name| *name != "master.key") {
        let Ok(content) = std::fs::read(directory.path().join(name)) else { continue };
        assert_eq!(found(&content, &key), None, "in {name}");
        assert!(!content.windows(bytes.len()).any(|window| window == bytes), "in {name}");
    }
    directory.run("verify").succeeded();
}

/// The search finds what it is to find.
#[test]
fn a_secret_is_found_in_every_form() {
    let secret = vec!["zq-\"\\ä\"-horse".to_owned()];
    let in_json = json!({"log": json!({"key": secret[0]}).to_string()}).to_string();
    let hex = hex(secret[0].as_bytes());
    let base64 = |before: &str| STANDARD.encode(format!("{before}{}\n", secret[0]));
    for text in [
        &format!("\u{fffd}{}", secret[0]),
        &json!(secret).to_string(),
        &in_json,
        &hex,
        &hex.to_uppercase(),
        &base64(""),
        &base64("a"),
        &base64("ab"),
        &base64("abc"),
        &base64("~~~").replace('+', "-").replace('/', "_"),
    ] {
        assert!(found(text.as_bytes(), &secret).is_some(), "{text}");
    }
    assert_eq!(found(b"zq-horse", &secret), None);
}
