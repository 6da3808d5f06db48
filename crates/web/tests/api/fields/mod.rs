//! What `openapi.json` says can be sent, as requests: every operation with a body, every field of
//! it, and values at the edges of what the document says of the field.
//!
//! Values are JSON texts: some of them no library would write.

pub(crate) mod edges;

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::Value;
use tenantry_testkit::{Answer, Bearer, Request, TestApp};

use edges::Edges;

/// The types of a body that is a JSON object.
const JSON: [&str; 2] = ["application/json", "application/merge-patch+json"];

/// The committed document, which a test of the crate holds to the code.
pub(crate) struct Document(Value);

/// Something that can be asked for.
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) method: String,
    /// With places such as `{tenantId}`.
    pub(crate) path: String,
    /// What its query takes, as fields.
    pub(crate) query: Vec<Field>,
    /// What its JSON body takes, as fields; empty if it takes none.
    pub(crate) body: Vec<Field>,
}

/// A parameter of a query, or a member of a body.
pub(crate) struct Field {
    /// What a refusal names: `limit`, `subscription.plan`.
    pub(crate) name: String,
    pub(crate) required: bool,
    pub(crate) schema: Value,
    /// The members of the object that it is, if it is one with members of its own.
    pub(crate) members: Vec<Field>,
}

impl Document {
    pub(crate) fn read() -> Self {
        Self(serde_json::from_str(include_str!("../../../../../openapi.json")).unwrap())
    }

    /// Every operation that takes something to be checked.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        let mut operations = Vec::new();
        for (path, item) in self.0["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let Some(id) = operation["operationId"].as_str() else { continue };
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let query = parameters
                    .map(|parameter| self.resolve(parameter))
                    .filter(|parameter| parameter["in"] == "query")
                    .map(|parameter| {
                        let required = parameter["required"] == true;
                        let name = parameter["name"].as_str().unwrap();
                        self.field("", name, required, &parameter["schema"])
                    })
                    .collect();
                let content = &operation["requestBody"]["content"];
                let body = JSON.iter().find_map(|kind| content.get(kind));
                let operation = Operation {
                    id: id.to_owned(),
                    method: method.to_uppercase(),
                    path: path.clone(),
                    query,
                    body: body.map(|body| self.members("", &body["schema"])).unwrap_or_default(),
                };
                if !operation.query.is_empty() || !operation.body.is_empty() {
                    operations.push(operation);
                }
            }
        }
        assert!(operations.len() > 10, "the document tells of hardly anything");
        operations
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            None => schema,
            Some(pointer) => self.0.pointer(pointer.strip_prefix('#').unwrap()).unwrap(),
        }
    }

    fn members(&self, prefix: &str, schema: &Value) -> Vec<Field> {
        let schema = self.resolve(schema);
        let required = schema["required"].as_array();
        let properties = schema["properties"].as_object().into_iter().flatten();
        let members: Vec<_> = properties
            .map(|(name, schema)| {
                let required = required.is_some_and(|names| names.iter().any(|it| it == name));
                self.field(prefix, name, required, schema)
            })
            .collect();
        let closed = schema["additionalProperties"] == false;
        assert_eq!(closed, !members.is_empty(), "{schema}: members are told of, or free");
        members
    }

    fn field(&self, prefix: &str, name: &str, required: bool, schema: &Value) -> Field {
        let name = format!("{prefix}{name}");
        let alternatives = schema["oneOf"].as_array();
        let mut resolved = self.resolve(schema).clone();
        if let Some(alternatives) = alternatives {
            // An object or null.
            resolved = self.resolve(&alternatives[0]).clone();
            assert_eq!((alternatives.len(), &alternatives[1]["type"]), (2, &Value::from("null")));
            resolved["type"] = serde_json::json!(["object", "null"]);
        }
        let is_object = resolved["properties"].is_object();
        let members =
            if is_object { self.members(&format!("{name}."), &resolved) } else { Vec::new() };
        Field { name, required, schema: resolved, members }
    }
}

impl Field {
    /// The field and everything in it.
    pub(crate) fn all(&self) -> Vec<&Self> {
        std::iter::once(self).chain(self.members.iter().flat_map(Self::all)).collect()
    }

    /// Values at the edges.
    pub(crate) fn edges(&self) -> Edges {
        if !self.members.is_empty() {
            return edges::of_object(&self.schema);
        }
        edges::of(&self.schema).unwrap_or_else(|| edges::of_any_text(&self.schema))
    }

    /// What an object says of it: a value that will do, or, where it says so, another one. An object
    /// has what it must have, and what leads to another one.
    fn json(&self, changed: &BTreeMap<&str, &str>) -> Option<String> {
        let name = self.name.as_str();
        if let Some(value) = changed.get(name) {
            return Some((*value).to_owned());
        }
        let inner = self.name.clone() + ".";
        let leads_on = changed.keys().any(|name| name.starts_with(&inner));
        if !self.required && !leads_on && !companion(name, changed) {
            return None;
        }
        if self.members.is_empty() {
            return self.edges().accepted.pop();
        }
        Some(object(&self.members, changed))
    }
}

/// Whether a member must be there for the ones that are changed to be right.
fn companion(name: &str, changed: &BTreeMap<&str, &str>) -> bool {
    match name {
        "redirectUris" => changed.contains_key("grantTypes"),
        "grantTypes" => changed.contains_key("redirectUris"),
        // The last of the types is `custom`, which takes any one part of a secret.
        "password" => changed.contains_key("authType") || changed.contains_key("integrationId"),
        _ => false,
    }
}

/// The JSON of an object with these members, some of them as they are given here.
pub(crate) fn object(members: &[Field], changed: &BTreeMap<&str, &str>) -> String {
    let said: Vec<_> = members
        .iter()
        .filter_map(|field| {
            let name = field.name.rsplit('.').next().unwrap();
            Some(format!("\"{name}\":{}", field.json(changed)?))
        })
        .collect();
    format!("{{{}}}", said.join(","))
}

/// A server with one thing of each kind in the platform's own tenant, where a super admin may set
/// everything that there is.
pub(crate) struct Target {
    pub(crate) app: TestApp,
    token: String,
    things: BTreeMap<&'static str, String>,
    /// How many requests were made.
    pub(crate) sent: Cell<u32>,
}

impl Target {
    pub(crate) async fn start() -> Self {
        let app = TestApp::start().await;
        let tenant = Bearer::SUPER_ADMIN.tenant;
        let user = app.user(tenant, "ann@example.com", true).await;
        let key = app.api_key(tenant, "a key").await;
        let client = app.oauth_client(tenant, "a client").await;
        app.realm("corp", "https://id.example.com").await;
        let token = app.token(Bearer::SUPER_ADMIN);
        let mut target = Self { app, token, things: BTreeMap::new(), sent: Cell::new(0) };
        let credential = r#"{"integrationId": "github", "credentialName": "a credential",
                             "authType": "custom", "password": "x"}"#;
        let made = target.request("POST", "/api/v1/credentials").body(JSON[0], credential);
        let credential = made.send().await.expect(201).data()["id"].as_str().unwrap().to_owned();
        target.things = BTreeMap::from([
            ("users/{id}", user.id.to_string()),
            ("api-keys/{id}", key.api_key.id.to_string()),
            ("oauth-clients/{id}", client.client.id.to_string()),
            ("{integrationId}/{id}", credential),
        ]);
        target
    }

    /// A request to what the place names in this path are.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        self.sent.set(self.sent.get() + 1);
        let tenant = Bearer::SUPER_ADMIN.tenant.to_string();
        let mut path = path.replace("{tenantId}", &tenant);
        for (place, id) in &self.things {
            path = path.replace(place, &place.replace("{id}", id));
        }
        let path = path.replace("{integrationId}", "github").replace("{name}", "corp");
        assert!(!path.contains('{'), "{path}");
        self.app.request(method, &path).bearer(&self.token).header("x-tenantid", &tenant)
    }

    /// What is answered to a body.
    pub(crate) async fn send(&self, operation: &Operation, body: impl Into<Vec<u8>>) -> Answer {
        let request = self.request(&operation.method, &operation.path);
        request.body(JSON[0], body.into()).send().await
    }

    /// What is answered to a query of one parameter; the value is encoded already.
    pub(crate) async fn ask(&self, operation: &Operation, name: &str, value: &str) -> Answer {
        let path = format!("{}?{name}={value}", operation.path);
        self.request(&operation.method, &path).send().await
    }

    /// Everything that a request could have changed: the counts, the lists' totals, and the newest
    /// entry of the ledger.
    pub(crate) async fn state(&self) -> Value {
        let get = async |path: &str| self.request("GET", path).send().await.expect(200).data();
        let mut statistics = get("/api/v1/admin/tenants/{tenantId}/stats").await;
        for of_time in ["usage", "lastActivity", "generatedAt"] {
            statistics[of_time].take();
        }
        let log = get("/api/v1/admin/audit-logs?limit=1").await;
        let tenants = get("/api/v1/admin/tenants?limit=1").await;
        serde_json::json!([statistics, log["total"], log["items"][0], tenants["total"]])
    }
}

/// Whether an answer refuses a field.
pub(crate) fn refuses(answer: &Answer, name: &str) -> bool {
    let body = answer.json();
    let fields = body["error"]["fields"].as_array().into_iter().flatten();
    answer.status == 422 && fields.into_iter().any(|field| field["field"] == name)
}
