//! Hostile text and JSON in every field that the document tells of: refused, nothing changed, and
//! the server goes on answering.

use std::collections::BTreeMap;

use serde_json::Value;
use tenantry_testkit::Answer;

use crate::fields::edges::is;
use crate::fields::{Document, Field, Operation, Target, object, refuses};

/// Opaque texts: somebody else made them, and nobody is shown them as a name. Control characters are
/// refused there too, and nothing else is.
const OPAQUE: [&str; 9] = [
    "accessToken",
    "refreshToken",
    "token",
    "clientId",
    "clientSecret",
    "username",
    "password",
    "apiKey",
    "assertion",
];

/// Whatever is no API key is answered, and told to be none.
const ANY_TEXT: &str = "validateApiKey";

/// Characters that have no place in any text.
const CONTROL: [char; 6] = ['\0', '\u{7}', '\u{1b}', '\u{7f}', '\u{85}', '\u{9f}'];

/// Characters that show nothing, turn the text around, or are none.
const DECEIVING: [char; 15] = [
    '\u{ad}',
    '\u{61c}',
    '\u{200b}',
    '\u{200d}',
    '\u{200f}',
    '\u{202a}',
    '\u{202e}',
    '\u{2066}',
    '\u{2069}',
    '\u{3164}',
    '\u{feff}',
    '\u{fdd0}',
    '\u{ffff}',
    '\u{10ffff}',
    '\u{e0041}',
];

/// How an object of the hostile value in one field is answered.
async fn send_with(
    target: &Target,
    operation: &Operation,
    field: &Field,
    value: &str,
) -> (String, Answer) {
    let body = object(&operation.body, &BTreeMap::from([(field.name.as_str(), value)]));
    let answer = target.send(operation, body.clone()).await;
    (format!("{} {}: {body:.300}: {}", operation.id, field.name, answer.text), answer)
}

/// Every operation with a body, and every leaf in it.
fn leaves(operations: &[Operation]) -> Vec<(&Operation, &Field)> {
    let all = operations.iter().flat_map(|operation| {
        let fields = operation.body.iter().flat_map(Field::all);
        fields.map(move |field| (operation, field))
    });
    all.filter(|(_, field)| field.members.is_empty()).collect()
}

fn holds_text(field: &Field) -> bool {
    is(&field.schema, "string")
        || (is(&field.schema, "array") && is(&field.schema["items"], "string"))
}

/// A right value of the field, with something put into its text; one of any form if there is none.
fn with_inside(operation: &Operation, field: &Field, inside: &str) -> String {
    if operation.id == ANY_TEXT {
        return format!("\"a{inside}b\"");
    }
    let mut right = field.edges().accepted;
    right.retain(|value| value.contains('"'));
    let right = right.pop().unwrap();
    let at = right.rfind('"').unwrap() - 1;
    format!("{}{inside}{}", &right[..at], &right[at..])
}

async fn still_answers(target: Target, before: &Value) {
    assert_eq!(target.state().await, *before, "a hostile request changed something");
    target.app.stop().await;
}

#[tokio::test]
async fn hostile_characters_are_refused_in_every_text() {
    let target = Target::start().await;
    let operations = Document::read().operations();
    let before = target.state().await;
    for (operation, field) in leaves(&operations) {
        if !holds_text(field) {
            continue;
        }
        let last = field.name.rsplit('.').next().unwrap();
        let deceiving = if OPAQUE.contains(&last) { &[][..] } else { &DECEIVING };
        for character in CONTROL.iter().chain(deceiving) {
            let units = character.encode_utf16(&mut [0; 2]).to_vec();
            let escaped: Vec<_> = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let mut ways = vec![escaped.concat()];
            if *character >= ' ' {
                ways.push(character.to_string());
            }
            for inside in ways {
                let value = with_inside(operation, field, &inside);
                let (told, answer) = send_with(&target, operation, field, &value).await;
                if operation.id == ANY_TEXT {
                    assert_eq!(answer.expect(200).data()["reason"], "MALFORMED", "{told}");
                } else {
                    assert!(refuses(&answer, &field.name), "{told}");
                }
            }
        }
    }
    assert!(target.sent.get() > 500, "{}", target.sent.get());
    still_answers(target, &before).await;
}

/// All of C0 and C1, and the characters that turn text around, in one name.
#[tokio::test]
async fn no_control_character_passes() {
    let target = Target::start().await;
    let before = target.state().await;
    let controls = (0..0x20).chain(0x7f..0xa0).chain(0x200e..0x2010).chain(0x2028..0x2030);
    let turning = controls.chain(0x2066..0x2070).filter(|it| !(0x202f..=0x202f).contains(it));
    for code in turning {
        let body = format!("{{\"name\":\"a\\u{code:04x}b\"}}");
        let request = target.request("POST", "/api/v1/api-keys").body("application/json", body);
        assert_eq!(request.send().await.fields(), ["name"], "{code:x}");
    }
    still_answers(target, &before).await;
}

#[tokio::test]
async fn what_is_no_json_is_refused_in_every_field() {
    let target = Target::start().await;
    let operations = Document::read().operations();
    let before = target.state().await;
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let objects = |levels: usize| "{\"a\":".repeat(levels) + "1" + &"}".repeat(levels);
    let values = [
        r#""\ud800""#.to_owned(),
        r#""\udc00\ud800""#.to_owned(),
        r#""\u12""#.to_owned(),
        "\"a\nb\"".to_owned(),
        deep(10_000),
        objects(10_000),
        r#"{"a": 1, "a": 2}"#.to_owned(),
        r#"[{"a": {"b": 1, "\u0062": 2}}]"#.to_owned(),
        "1e400".to_owned(),
        "-1e400".to_owned(),
        "NaN".to_owned(),
        "01".to_owned(),
        "0x10".to_owned(),
    ];
    for (operation, field) in leaves(&operations) {
        for value in &values {
            let (told, answer) = send_with(&target, operation, field, value).await;
            assert_eq!(answer.code(), "MALFORMED_REQUEST", "{told:.600}");
        }
        // The member twice, and bytes that are no UTF-8 in it.
        let body = object(&operation.body, &BTreeMap::from([(field.name.as_str(), "\"__\"")]));
        let last = field.name.rsplit('.').next().unwrap();
        let twice = body.replacen("\"__\"", &format!("1,\"{last}\":1"), 1);
        let mut bytes = body.into_bytes();
        let at = bytes.windows(2).position(|window| window == b"__").unwrap();
        for wrong in [[0xff, 0xfe], [0xc0, 0x80], [0xed, 0xa0]] {
            bytes[at..at + 2].copy_from_slice(&wrong);
            assert_eq!(target.send(operation, bytes.clone()).await.code(), "MALFORMED_REQUEST");
        }
        assert_eq!(target.send(operation, twice).await.code(), "MALFORMED_REQUEST");
    }
    still_answers(target, &before).await;
}

#[tokio::test]
async fn no_field_takes_a_megabyte() {
    let target = Target::start().await;
    let operations = Document::read().operations();
    let before = target.state().await;
    for (operation, field) in leaves(&operations) {
        // A little less than a body may have, and a little more.
        for (length, status) in [(1_000_000, 422), (1024 * 1024, 413)] {
            for value in [
                format!("\"{}\"", "x".repeat(length)),
                format!("[\"{}\"]", "x".repeat(length)),
                format!("{{\"{}\":1}}", "x".repeat(length)),
            ] {
                let (told, answer) = send_with(&target, operation, field, &value).await;
                if operation.id == ANY_TEXT && answer.status == 200 {
                    assert_eq!(answer.data()["reason"], "MALFORMED");
                    continue;
                }
                assert_eq!(answer.status, status, "{told:.200}");
                assert!(answer.text.len() < 20_000, "the answer has {} bytes", answer.text.len());
                assert!(status == 413 || refuses(&answer, &field.name), "{told:.200}");
            }
        }
    }
    still_answers(target, &before).await;
}

#[tokio::test]
async fn numbers_are_what_they_say() {
    let target = Target::start().await;
    let operations = Document::read().operations();
    let before = target.state().await;
    let huge = ["9223372036854775808", "-9223372036854775809", "18446744073709551616", "1e300"];
    let not_whole = ["1.0", "1e0", "-0", "0.1", "1e-7"];
    let mut fields = 0;
    for (operation, field) in leaves(&operations) {
        let whole = is(&field.schema, "integer");
        if !whole && !is(&field.schema, "number") {
            continue;
        }
        fields += 1;
        for value in huge.iter().chain(if whole { &not_whole[..] } else { &[][..] }) {
            let (told, answer) = send_with(&target, operation, field, value).await;
            assert!(refuses(&answer, &field.name), "{told}");
        }
    }
    assert!(fields > 5, "{fields}");
    still_answers(target, &before).await;
}

/// A file has as many ways to be wrong as a body.
#[tokio::test]
async fn hostile_lines_are_not_imported() {
    let target = Target::start().await;
    let before = target.state().await;
    let deep = format!("{{\"email\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let long = format!("{{\"email\":\"{}@example.com\"}}", "x".repeat(1_000_000));
    let lines: [&[u8]; 9] = [
        br#"{"email":"a\u0000@example.com"}"#,
        br#"{"email":"a@example.com","name":"a\u202eb"}"#,
        br#"{"email":"a@example.com","name":"\ud800"}"#,
        br#"{"email":"a@example.com","email":"b@example.com"}"#,
        b"{\"email\":\"\xff@example.com\"}",
        b"{\"email\":\"a@example.com\",\"name\":\"\xe2\x80\xae\"}",
        b"1e400",
        deep.as_bytes(),
        long.as_bytes(),
    ];
    let csv: [&[u8]; 5] = [
        b"email\na\0@example.com\n",
        b"email,name\na@example.com,a\xe2\x80\xaeb\n",
        b"email,name\na@example.com,\xff\n",
        b"email,email\na@example.com,b@example.com\n",
        b"\"email\na@example.com\n",
    ];
    let files = lines.map(|file| ("application/x-ndjson", file));
    for (kind, file) in files.into_iter().chain(csv.map(|file| ("text/csv", file))) {
        let path = "/api/v1/admin/tenants/{tenantId}/users/import";
        let answer = target.request("POST", path).body(kind, file.to_vec()).send().await;
        let told = String::from_utf8_lossy(file);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (422, "VALIDATION_FAILED"),
            "{told:.80}"
        );
        assert!(!answer.json()["error"]["lines"].as_array().unwrap().is_empty(), "{told:.80}");
        assert!(answer.text.len() < 2_000, "{}", answer.text.len());
    }
    still_answers(target, &before).await;
}

/// What no query says: encoded bytes that are no text, controls, and names without an end.
#[tokio::test]
async fn hostile_queries_change_nothing() {
    let target = Target::start().await;
    let operations = Document::read().operations();
    let before = target.state().await;
    for operation in &operations {
        for field in &operation.query {
            for value in ["%00", "%1B", "%C2%85", "a%0Ab", "%FF%FE", "%C0%80", "%ED%A0%80"] {
                let answer = target.ask(operation, &field.name, value).await;
                let refused = refuses(&answer, &field.name) || refuses(&answer, "query");
                let judged_before = field.name == "tenantId" && answer.status == 400;
                assert!(refused || judged_before, "{} {value}: {}", operation.id, answer.text);
            }
        }
        if !operation.query.is_empty() {
            let name = "x".repeat(8_000);
            let answer = target.ask(operation, &name, "1").await;
            assert!(refuses(&answer, &name), "{}: {:.200}", operation.id, answer.text);
        }
    }
    still_answers(target, &before).await;
}
