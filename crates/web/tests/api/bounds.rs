//! Every field that the document tells of has its bounds there, and is held to them: a value at each
//! edge is taken, and one beyond it is a 422 that names the field and changes nothing.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::fields::edges::{self, is};
use crate::fields::{Document, Field, Operation, Target, object, refuses};

/// Fields without bounds, and why.
const UNBOUNDED: [(&str, &str); 1] =
    [("validateApiKey key", "whatever is no key is answered, and told to be none")];

/// Parameters that lead to another status than 422, and why.
const OTHERWISE: [(&str, u16); 1] = [
    // A tenant's id is judged before the others, since it decides who may ask.
    ("tenantId", 400),
];

/// What a field is known by here.
fn named(operation: &Operation, field: &Field) -> String {
    format!("{} {}", operation.id, field.name)
}

/// The fields of a body, those of the objects in it too.
fn fields(operation: &Operation) -> Vec<&Field> {
    operation.body.iter().flat_map(Field::all).collect()
}

#[test]
fn every_field_has_bounds() {
    let operations = Document::read().operations();
    let mut unbounded = Vec::new();
    for operation in &operations {
        for field in operation.query.iter().chain(fields(operation)) {
            if field.members.is_empty() && edges::of(&field.schema).is_none() {
                unbounded.push(named(operation, field));
            }
        }
    }
    assert_eq!(unbounded, UNBOUNDED.map(|(name, _)| name));
}

#[tokio::test]
async fn what_is_beyond_a_bound_is_refused_by_name() {
    let target = Target::start().await;
    let operations = Document::read().operations();
    let before = target.state().await;
    for operation in &operations {
        for field in fields(operation) {
            for value in field.edges().refused {
                let body =
                    object(&operation.body, &BTreeMap::from([(field.name.as_str(), &*value)]));
                let answer = target.send(operation, body.clone()).await;
                let told = || format!("{}: {body:.200}: {}", named(operation, field), answer.text);
                assert!(refuses(&answer, &field.name), "{}", told());
            }
        }
    }
    assert_eq!(target.state().await, before, "a refused request changed something");
    assert!(target.sent.get() > 500, "{}", target.sent.get());
    target.app.stop().await;
}

#[tokio::test]
async fn what_is_at_a_bound_is_taken() {
    let target = Target::start().await;
    for operation in &Document::read().operations() {
        for field in fields(operation) {
            for value in field.edges().accepted {
                let body =
                    object(&operation.body, &BTreeMap::from([(field.name.as_str(), &*value)]));
                let answer = target.send(operation, body.clone()).await;
                let told = || format!("{}: {body:.200}: {}", named(operation, field), answer.text);
                assert!(answer.status < 500 && answer.status != 400, "{}", told());
                assert!(!refuses(&answer, &field.name), "{}", told());
            }
        }
    }
    target.app.stop().await;
}

#[tokio::test]
async fn a_form_with_every_field_wrong_names_them_all() {
    let target = Target::start().await;
    let before = target.state().await;
    for operation in Document::read().operations().iter().filter(|it| !it.body.is_empty()) {
        let leaves: Vec<_> =
            fields(operation).into_iter().filter(|field| field.members.is_empty()).collect();
        let wrong: Vec<_> =
            leaves.iter().map(|field| field.edges().refused.last().unwrap().clone()).collect();
        let names = leaves.iter().map(|field| field.name.as_str());
        let changed = names.clone().zip(wrong.iter().map(String::as_str)).collect();
        let body = object(&operation.body, &changed);
        let body = format!("{},\"nickname\":1}}", body.strip_suffix('}').unwrap());
        let told = target.send(operation, body.clone()).await.fields();
        let missing: Vec<_> =
            names.chain(["nickname"]).filter(|name| !told.iter().any(|it| it == name)).collect();
        assert!(missing.is_empty(), "{}: {missing:?} of {body}", operation.id);
    }
    assert_eq!(target.state().await, before, "a refused request changed something");
    target.app.stop().await;
}

/// A JSON text as a value of a query; none for what no query can say.
fn in_query(schema: &Value, json: &str) -> Option<String> {
    let text = match serde_json::from_str(json).unwrap() {
        Value::String(text) => text,
        Value::Number(_) if !is(schema, "string") => json.to_owned(),
        Value::Bool(_) if is(schema, "boolean") => json.to_owned(),
        _ => return None,
    };
    let encode = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    Some(text.bytes().map(encode).collect())
}

#[tokio::test]
async fn queries_are_held_to_their_bounds() {
    let target = Target::start().await;
    let before = target.state().await;
    for operation in &Document::read().operations() {
        for field in &operation.query {
            let edges = field.edges();
            let told = |value: &str| format!("{} {value:.100}", named(operation, field));
            for value in edges.refused.iter().filter_map(|json| in_query(&field.schema, json)) {
                let answer = target.ask(operation, &field.name, &value).await;
                let otherwise = OTHERWISE.iter().find(|(name, _)| *name == field.name);
                let refused = match otherwise {
                    Some((_, status)) => answer.status == *status,
                    None => refuses(&answer, &field.name),
                };
                assert!(refused, "{}: {}", told(&value), answer.text);
            }
            if operation.method == "GET" {
                for value in edges.accepted.iter().filter_map(|json| in_query(&field.schema, json))
                {
                    let answer = target.ask(operation, &field.name, &value).await;
                    let missing = field.name == "tenantId" && answer.status == 404;
                    // Only the server makes cursors; their bounds say no more than how long they get.
                    let not_ours = field.name == "cursor" && refuses(&answer, "cursor");
                    assert!(
                        answer.status == 200 || missing || not_ours,
                        "{}: {}",
                        told(&value),
                        answer.text
                    );
                }
            }
        }
    }
    assert_eq!(target.state().await, before, "a question changed something");
    target.app.stop().await;
}
