//! Answers held against the OpenAPI document: no status, body, code or header that it does not tell
//! of.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jsonschema::Registry;
use serde_json::{Value, json};

use crate::request::Answer;

/// What the document is known by to its own references.
const DOCUMENT: &str = "urn:tenantry:openapi";

/// A header that an answer need not have though its operation tells of it.
const AT_TIMES: &str = "Idempotent-Replayed";

static THIS: LazyLock<Document> = LazyLock::new(Document::load);

/// The OpenAPI document, and what holds values against its schemas.
#[derive(Debug)]
pub struct Document {
    json: Value,
    registry: Registry<'static>,
}

impl Document {
    /// The document of this server.
    pub fn get() -> &'static Self {
        &THIS
    }

    fn load() -> Self {
        let json: Value = serde_json::from_str(&tenantry_web::openapi_json()).unwrap();
        let mut strict = json.clone();
        let schemas = strict["components"]["schemas"].as_object_mut().unwrap();
        schemas.values_mut().for_each(close_members);
        let registry = Registry::new().add(DOCUMENT, strict).unwrap().prepare().unwrap();
        Self { json, registry }
    }

    /// Its JSON.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// What it says where a part of it says it, or refers to another part.
    pub fn resolve<'a>(&'a self, part: &'a Value) -> &'a Value {
        match part["$ref"].as_str() {
            Some(reference) => self.json.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
            None => part,
        }
    }

    /// Fails the test unless a value fits a schema of the document, and has no member that the
    /// schema does not name.
    pub fn assert_fits(&self, schema: &Value, value: &Value, what: &str) {
        let mut schema = schema.clone();
        close(&mut schema);
        refer_to_document(&mut schema);
        let validator = jsonschema::options()
            .with_registry(&self.registry)
            .should_validate_formats(true)
            .build(&schema)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let problems: Vec<_> = validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(problems.is_empty(), "{what}: {problems:#?} in {value:#}");
    }

    /// Fails the test unless an answer is one that the document tells of.
    pub(crate) fn check(&self, method: &str, path: &str, answer: &Answer) {
        let what = format!("{method} {path}: {}", answer.status);
        assert!(answer.headers.contains_key("x-request-id"), "{what}: no id");
        let Some(operation) = self.operation(method, path) else {
            let none = [204, 401, 404, 405];
            let hidden = path.starts_with("/metrics") || path.starts_with("/docs/");
            assert!(hidden || none.contains(&answer.status), "{what}: not in the document");
            if answer.status >= 400 {
                let failure = json!({"$ref": "#/components/schemas/Failure"});
                self.check_body(&failure, method, answer, &what);
            }
            return;
        };
        let response = &operation["responses"][answer.status.to_string()];
        assert!(
            !response.is_null(),
            "{what}: the document tells of no such status: {}",
            answer.text
        );
        let response = self.resolve(response);
        self.check_headers(response, answer, &what);
        let Some(content) = response["content"].as_object() else {
            assert_eq!(answer.text, "", "{what}: the document tells of no body");
            return;
        };
        let media = answer.header("content-type").unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default();
        let content = content.get(media).unwrap_or_else(|| panic!("{what}: {media:?}"));
        self.check_body(&content["schema"], method, answer, &what);
        if answer.status >= 400 && method != "HEAD" {
            let told = content["examples"].as_object().unwrap().values();
            let codes: BTreeSet<_> = told
                .map(|example| &self.resolve(example)["value"]["error"])
                // Those of OAuth are the word itself.
                .map(|error| error.as_str().or(error["code"].as_str()).unwrap())
                .collect();
            let code = answer.code();
            assert!(codes.contains(code.as_str()), "{what}: the document tells of no {code}");
        }
    }

    /// The operation that a request is for, if there is one.
    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let path = path.split('?').next()?;
        let fits = |template: &str| {
            let mut parts = path.split('/').zip(template.split('/'));
            path.split('/').count() == template.split('/').count()
                && parts.all(|(said, meant)| meant.starts_with('{') || said == meant)
        };
        let paths = self.json["paths"].as_object().unwrap().iter();
        // One that is spelled out goes before one with a place for an id.
        let fitting = paths.filter(|(template, _)| fits(template));
        let (_, item) = fitting.min_by_key(|(template, _)| template.matches('{').count())?;
        let method = if method == "HEAD" { "get".to_owned() } else { method.to_lowercase() };
        item.get(method)
    }

    fn check_headers(&self, response: &Value, answer: &Answer, what: &str) {
        let told = response["headers"].as_object();
        let tells = |name: &str| told.is_some_and(|told| told.contains_key(name));
        for name in self.json["components"]["headers"].as_object().unwrap().keys() {
            let there = answer.headers.contains_key(name);
            assert!(there <= tells(name), "{what}: the document does not tell of {name}");
            assert!(tells(name) <= (there || name == AT_TIMES), "{what}: {name} is missing");
        }
    }

    fn check_body(&self, schema: &Value, method: &str, answer: &Answer, what: &str) {
        if method == "HEAD" {
            assert_eq!(answer.text, "", "{what}");
            return;
        }
        let is_json = answer.header("content-type") == Some("application/json");
        let body = if is_json { answer.json() } else { Value::from(answer.text.as_str()) };
        self.assert_fits(schema, &body, what);
    }
}

/// Lets the members of a schema, and of those within it, have only members that they name. What
/// is put together from several schemas is closed as a whole.
fn close_members(schema: &mut Value) {
    let Some(keywords) = schema.as_object_mut() else { return };
    for (keyword, value) in keywords {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(members)) => members.values_mut().for_each(close),
            ("items", items) => close(items),
            ("allOf", Value::Array(parts)) => parts.iter_mut().for_each(close_members),
            ("oneOf" | "anyOf", Value::Array(choices)) => choices.iter_mut().for_each(close),
            _ => {}
        }
    }
}

/// As [`close_members`], for the schema itself too, unless it names no member at all.
fn close(schema: &mut Value) {
    close_members(schema);
    let Some(keywords) = schema.as_object_mut() else { return };
    if ["$ref", "allOf", "anyOf", "oneOf", "properties"].iter().any(|it| keywords.contains_key(*it))
    {
        keywords.insert("unevaluatedProperties".to_owned(), false.into());
    }
}

/// Makes the references of a schema lead into the document from outside of it.
fn refer_to_document(schema: &mut Value) {
    match schema {
        Value::Object(keywords) => {
            for (keyword, value) in keywords {
                match value {
                    Value::String(reference) if keyword == "$ref" => {
                        *reference = format!("{DOCUMENT}{reference}");
                    }
                    other => refer_to_document(other),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(refer_to_document),
        _ => {}
    }
}
