//! The OpenAPI document is true: its examples fit its schemas, and what they say can be sent
//! succeeds. (That no answer differs from it is part of every test: `Request::send` looks.)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tenantry_domain::id::TenantId;
use tenantry_testkit::{Answer, Bearer, Document, Request, TestApp};

/// The tenant of the examples.
const ACME: &str = "3fa85f64-5717-4562-b3fc-2c963f66afa6";

/// An operation as the document tells of it.
struct Operation {
    method: &'static str,
    path: &'static str,
    told: &'static Value,
}

fn operations() -> impl Iterator<Item = Operation> {
    let paths = Document::get().json()["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        let operations = item.as_object().unwrap().iter();
        operations.map(|(method, told)| Operation { method, path, told })
    })
}

/// The types of body that a request or a response can have: each with what is told of it.
fn contents(told: &Value) -> impl Iterator<Item = (&String, &Value)> {
    told["content"].as_object().into_iter().flatten()
}

fn examples(content: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let examples = content["examples"].as_object().into_iter().flatten();
    examples.map(|(name, example)| (name, &Document::get().resolve(example)["value"]))
}

impl Operation {
    fn id(&self) -> &'static str {
        self.told["operationId"].as_str().unwrap()
    }

    fn responses(&self) -> impl Iterator<Item = (&'static String, &'static Value)> {
        let responses = self.told["responses"].as_object().unwrap().iter();
        responses.map(|(status, response)| (status, Document::get().resolve(response)))
    }

    /// The status and the bodies of success.
    fn success(&self) -> (u16, &'static Value) {
        let (status, response) =
            self.responses().find(|(status, _)| status.starts_with('2')).unwrap();
        (status.parse().unwrap(), response)
    }
}

#[test]
fn every_body_has_examples_and_they_fit_its_schema() {
    for operation in operations() {
        let responses = operation.responses().map(|(status, response)| (status.as_str(), response));
        let bodies = responses.chain([("request", &operation.told["requestBody"])]);
        for (which, told) in bodies {
            for (media, content) in contents(told) {
                let what = format!("{} {which} {media}", operation.id());
                assert!(examples(content).count() > 0, "{what} has no example");
                for (name, value) in examples(content) {
                    let what = format!("{what}: {name}");
                    Document::get().assert_fits(&content["schema"], value, &what);
                    let error = &value["error"];
                    if let Some(code) = error.as_str().or(error["code"].as_str()) {
                        assert!(name.starts_with(code), "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_parameter_and_header_is_described_and_bounded() {
    let bounds = ["format", "pattern", "enum", "minLength", "maximum"];
    let check = |told: &Value, what: &str| {
        assert!(!told["description"].as_str().unwrap().is_empty(), "{what}");
        let schema = &told["schema"];
        // What this header says is used if it can be read, and never refused.
        let unbounded = schema["type"] == "boolean" || told["name"] == "If-None-Match";
        let bounded = unbounded || bounds.iter().any(|keyword| !schema[*keyword].is_null());
        assert!(bounded, "{what}: {schema}");
        if !told["example"].is_null() {
            Document::get().assert_fits(schema, &told["example"], what);
        }
    };
    for operation in operations() {
        for parameter in operation.told["parameters"].as_array().into_iter().flatten() {
            let parameter = Document::get().resolve(parameter);
            let name = parameter["name"].as_str().unwrap();
            check(parameter, &format!("{}: {name}", operation.id()));
            let required = parameter["required"] == true;
            let filled_in = !parameter["example"].is_null();
            assert!(required || !filled_in, "{name}: a form would fill it in");
        }
        for (status, response) in operation.responses() {
            let headers = response["headers"].as_object().unwrap();
            assert!(headers.contains_key("x-request-id"));
            for (name, header) in headers {
                let what = format!("{} {status}: {name}", operation.id());
                check(Document::get().resolve(header), &what);
            }
        }
    }
}

/// Those whose examples hold a secret that nobody has.
const SECRETS_OF_THEIR_OWN: &[&str] = &["refreshSession", "setPassword"];

/// What there is before an example is sent.
struct Scene {
    app: TestApp,
    /// By the resource's path.
    ids: [(&'static str, String); 4],
    /// How an OAuth client proves itself.
    basic: String,
}

impl Scene {
    async fn set(with_acme: bool, with_realm: bool) -> Self {
        let app = TestApp::start().await;
        if with_realm {
            app.realm("corp", "https://id.example.com/realms/corp").await;
        }
        if !with_acme {
            return Self { app, ids: [const { ("", String::new()) }; 4], basic: String::new() };
        }
        let make = app.request_by(Bearer::SUPER_ADMIN, "POST", "/api/v1/admin/tenants");
        let tenant = json!({"id": ACME, "name": "Acme Corporation"});
        make.json(&tenant).send().await.expect(201);
        let acme: TenantId = ACME.parse().unwrap();
        let eve = app.user_with_password(acme, "eve@example.com", "correct horse battery").await;
        let ids = [
            ("/users/", eve.id.to_string()),
            ("/api-keys/", app.api_key(acme, "a key").await.api_key.id.to_string()),
            ("/oauth-clients/", app.oauth_client(acme, "a client").await.client.id.to_string()),
            ("/credentials/", app.credential(acme, "github").await.id.to_string()),
        ];
        let make = app.request_by(Bearer::admin_of(acme), "POST", "/api/v1/oauth-clients");
        let client = json!({"name": "reporting", "scopes": ["stats:read"]});
        let made = make.json(&client).send().await.expect(201).data();
        let text = |member: &str| made[member].as_str().unwrap().to_owned();
        let basic = STANDARD.encode(format!("{}:{}", text("clientId"), text("clientSecret")));
        Self { app, ids, basic: format!("Basic {basic}") }
    }

    /// A request for an operation, about what is there.
    fn request(&self, operation: &Operation) -> Request {
        let mut path =
            operation.path.replace("{tenantId}", ACME).replace("{integrationId}", "github");
        if path.contains("{id}") {
            let (_, id) = self.ids.iter().find(|(part, _)| path.contains(part)).unwrap();
            path = path.replace("{id}", id);
        }
        path = path.replace("{name}", "corp");
        if path.starts_with("/oauth/") {
            let request = self.app.request(&operation.method.to_uppercase(), &path);
            return request.header("authorization", &self.basic);
        }
        self.app
            .request(&operation.method.to_uppercase(), &path)
            .bearer(&self.app.token(Bearer::SUPER_ADMIN))
            .header("x-tenantid", ACME)
    }
}

/// An answer has the success that the operation tells of, with the message of one of its examples.
fn assert_succeeded(operation: &Operation, answer: Answer, what: &str) {
    let (status, told) = operation.success();
    assert_eq!(answer.status, status, "{what}: {}", answer.text);
    let Some(content) = told["content"].get("application/json") else { return };
    let message = &answer.expect(status).json()["message"];
    let known = examples(content).any(|(_, body)| body["message"] == *message);
    assert!(known, "{what}: no example says {message}");
}

#[tokio::test]
async fn every_example_of_a_request_succeeds() {
    let mut sent = 0;
    for operation in operations().filter(|it| !SECRETS_OF_THEIR_OWN.contains(&it.id())) {
        for (media, content) in contents(&operation.told["requestBody"]) {
            for (name, value) in examples(content) {
                let what = format!("{} {media}: {name}", operation.id());
                let id = operation.id();
                let scene = Scene::set(id != "createTenant", id != "createRealm").await;
                let body = if media == "application/x-www-form-urlencoded" {
                    serde_urlencoded::to_string(value).unwrap()
                } else {
                    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
                };
                let answer = scene.request(&operation).body(media, body).send().await;
                assert_succeeded(&operation, answer, &what);
                scene.app.stop().await;
                sent += 1;
            }
        }
    }
    assert!(sent > 20, "{sent} examples");
}

#[tokio::test]
async fn every_operation_without_a_body_succeeds_as_in_its_examples() {
    for operation in operations().filter(|it| it.told["requestBody"].is_null()) {
        let scene = Scene::set(true, true).await;
        let answer = scene.request(&operation).send().await;
        assert_succeeded(&operation, answer, operation.id());
        scene.app.stop().await;
    }
}

#[test]
#[should_panic(expected = "hidden")]
fn a_member_that_the_document_does_not_name_does_not_fit() {
    let list = operations().find(|it| it.id() == "listApiKeys").unwrap();
    let content = &list.success().1["content"]["application/json"];
    let (_, example) = examples(content).next().unwrap();
    let mut body = example.clone();
    body["data"]["items"][0]["hidden"] = json!(1);
    Document::get().assert_fits(&content["schema"], &body, "a list");
}
