//! Values at the edges of a schema, and just beyond them.

use std::cell::Cell;

use serde_json::Value;

/// JSON texts.
#[derive(Debug, Default)]
pub(crate) struct Edges {
    /// Those that the schema takes; the last one is nothing special.
    pub(crate) accepted: Vec<String>,
    /// Those that it does not.
    pub(crate) refused: Vec<String>,
}

/// Any text; what there are no bounds for is one.
pub(crate) fn of_any_text(schema: &Value) -> Edges {
    assert_eq!(schema["type"], "string", "{schema}");
    let mut edges = Edges { accepted: vec!["\"x\"".to_owned()], ..Edges::default() };
    edges.add_types(schema, &["\"x\""]);
    edges
}

/// The edges of an object whose members have edges of their own.
pub(crate) fn of_object(schema: &Value) -> Edges {
    let mut edges = Edges::default();
    edges.add_types(schema, &["{}"]);
    edges
}

/// The edges of a schema; none if it has no bounds.
pub(crate) fn of(schema: &Value) -> Option<Edges> {
    let mut edges = Edges::default();
    if is(schema, "string") {
        strings(schema, &mut edges)?;
        edges.add_types(schema, &["\"x\""]);
    } else if is(schema, "integer") || is(schema, "number") {
        numbers(schema, &mut edges)?;
        edges.add_types(schema, &["1"]);
    } else if is(schema, "array") {
        arrays(schema, &mut edges)?;
        edges.add_types(schema, &["[]"]);
    } else if is(schema, "boolean") {
        edges.accepted = vec!["true".to_owned(), "false".to_owned()];
        edges.add_types(schema, &["true"]);
    } else if schema["format"] == "jwk-set" {
        // Which keys are taken, and by whom, is no matter of bounds.
        edges.refused = ["{\"keys\":[]}", "{\"keys\":{}}"].map(str::to_owned).to_vec();
        edges.refused.push(format!("{{\"keys\":[],\"pad\":\"{}\"}}", "x".repeat(16_384)));
        edges.add_types(schema, &[]);
    } else if schema["additionalProperties"].is_object() {
        maps(&schema["additionalProperties"], &mut edges)?;
        edges.add_types(schema, &["{}"]);
    } else {
        // An object whose members are nobody's business.
        assert_eq!(schema["additionalProperties"], true, "{schema}");
        let nested = |levels: usize| "{\"a\":".repeat(levels - 1) + "{}" + &"}".repeat(levels - 1);
        let filled = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        edges.accepted = vec![nested(16), filled(16_384), "{}".to_owned()];
        edges.refused = vec![nested(17), filled(16_385), r#"{"a":"\u0000"}"#.to_owned()];
        edges.add_types(schema, &["{}"]);
    }
    Some(edges)
}

impl Edges {
    /// Adds a value of each type but these, and `null` as the schema says.
    fn add_types(&mut self, schema: &Value, right: &[&str]) {
        let others = ["\"x\"", "1", "true", "[]", "{}", "[[]]"];
        let wrong = others.into_iter().filter(|other| !right.contains(other));
        self.refused.extend(wrong.map(str::to_owned));
        let nullable =
            schema["type"].as_array().is_some_and(|kinds| kinds.contains(&"null".into()));
        let with_null = if nullable { &mut self.accepted } else { &mut self.refused };
        with_null.insert(0, "null".to_owned());
    }
}

pub(crate) fn is(schema: &Value, kind: &str) -> bool {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(|it| it == kind),
        only => only == kind,
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn strings(schema: &Value, edges: &mut Edges) -> Option<()> {
    if let Some(words) = schema["enum"].as_array() {
        edges.accepted = words.iter().map(Value::to_string).collect();
        // One of them can be null.
        let words = words.iter().filter_map(Value::as_str);
        edges.refused = words.map(|word| quoted(&format!("{word}x"))).collect();
        return Some(());
    }
    let (accepted, refused): (Vec<String>, &[&str]) = match schema["format"].as_str() {
        Some("uuid") => (vec![uuid()], &["", "x", "3fa85f64-5717-4562-b3fc-2c963f66afa"]),
        Some("date-time") => (
            ["9999-12-30T22:00:00.000Z", "2999-12-31T23:59:59.999+14:00", "2999-01-01T00:00:00Z"]
                .map(str::to_owned)
                .to_vec(),
            &[
                "",
                "tomorrow",
                "2999-02-30T00:00:00Z",
                "2999-01-01T00:00:00",
                "2999-01-01",
                "9999-12-30T22:00:00.001Z",
                "10000-01-01T00:00:00Z",
            ],
        ),
        _ => {
            let (least, most) = lengths(schema)?;
            edges.refused.push(quoted(&text(schema, most + 1)));
            if least > 0 {
                edges.refused.push(quoted(&text(schema, least - 1)));
            }
            let refused: &[&str] = match schema["pattern"].as_str() {
                // Whatever is not listed: control characters are, always.
                Some(pattern) if pattern.starts_with("^[^") => &["a\0b23456789012"],
                _ => &["ä ö"],
            };
            (
                vec![text(schema, least), text(schema, most), text(schema, (least + 30).min(most))],
                refused,
            )
        }
    };
    edges.accepted.extend(accepted.iter().map(|text| quoted(text)));
    edges.refused.extend(refused.iter().map(|text| quoted(text)));
    Some(())
}

/// The least and the most characters of a text.
fn lengths(schema: &Value) -> Option<(usize, usize)> {
    let bound = |name: &str| schema[name].as_u64().map(|bound| usize::try_from(bound).unwrap());
    if let Some(most) = bound("maxLength") {
        let shortest = match schema["format"].as_str() {
            Some("idn-email") => "a@b".len(),
            Some("uri") => "https://a".len(),
            _ => 0,
        };
        return Some((bound("minLength").unwrap_or(shortest), most));
    }
    // A pattern that ends in `{1,64}$`.
    let (_, counts) = schema["pattern"].as_str()?.strip_suffix("}$")?.rsplit_once('{')?;
    let (least, most) = counts.split_once(',')?;
    Some((least.parse().ok()?, most.parse().ok()?))
}

/// A text of so many characters that has the schema's form, and not been there before where there is
/// room for that.
fn text(schema: &Value, length: usize) -> String {
    let fill = |start: &str, with: &str| {
        let serial =
            if length >= start.len() + 10 { format!("{:08}", serial()) } else { String::new() };
        let rest = length.saturating_sub(start.len() + serial.len());
        let text = format!("{start}{}{serial}", with.repeat(rest));
        text.chars().take(length).collect::<String>()
    };
    let pattern = schema["pattern"].as_str().unwrap_or_default();
    match schema["format"].as_str() {
        Some("idn-email") if length <= 60 => {
            fill("", "a").chars().skip(2).collect::<String>() + "@b"
        }
        Some("idn-email") => {
            let local = format!("{}{:08}", "a".repeat(56), serial());
            format!("{local}@{}", host(length - local.len() - 1))
        }
        Some("uri") => fill("https://a/", "b"),
        _ if pattern.starts_with("^https?://[a-z") => match length - "https://".len() {
            short @ 0..=63 => format!("https://{}", host(short)),
            long => format!("https://{}:65535", host(long - ":65535".len())),
        },
        _ if pattern.starts_with("^[a-z]") => fill("a.b:/", "x"),
        _ if pattern.starts_with("^[0-9A-Fa-f.:/]") => match length {
            0..=9 => ":".repeat(length),
            10..=40 => format!("2001:db8::{:x}", serial()),
            _ => {
                format!("2001:0db8:{}255.255.255.255/128", "0000:".repeat(4))
                    + &" ".repeat(length - 49)
            }
        },
        _ if pattern.starts_with("^[^") => fill("", "ä"),
        _ => fill("", "A"),
    }
}

/// A host name of so many characters.
fn host(length: usize) -> String {
    let mut host = format!("a{:08}{}", serial(), "a".repeat(length));
    host.truncate(length);
    for at in (60..length.saturating_sub(1)).step_by(61) {
        host.replace_range(at..=at, ".");
    }
    host
}

fn uuid() -> String {
    format!("3fa85f64-5717-4562-b3fc-2c96{:08x}", serial())
}

/// A number that was not there before.
fn serial() -> u32 {
    thread_local!(static NEXT: Cell<u32> = const { Cell::new(1) });
    NEXT.replace(NEXT.get() + 1)
}

fn numbers(schema: &Value, edges: &mut Edges) -> Option<()> {
    let (least, most) = (schema.get("minimum")?, schema.get("maximum")?);
    edges.accepted = vec![least.to_string(), most.to_string()];
    if is(schema, "number") {
        edges.accepted.push("0.000001".to_owned());
        edges.refused = ["-0.000001", "9007199254.740993", "0.0000001"].map(str::to_owned).to_vec();
        return Some(());
    }
    let (least, most) = (least.as_i64()?, most.as_i64()?);
    edges.accepted.push((least + 1).to_string());
    edges.refused = vec![(least - 1).to_string(), (most + 1).to_string(), format!("{least}.5")];
    Some(())
}

/// An object whose members have names of 1 to 200 characters, at most 100 of them.
fn maps(member: &Value, edges: &mut Edges) -> Option<()> {
    let object = |names: &[String], value: &str| {
        let members: Vec<_> =
            names.iter().map(|name| format!("{}:{value}", quoted(name))).collect();
        format!("{{{}}}", members.join(","))
    };
    let many = |count: u32| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
    let member = of(member)?;
    let good = member.accepted.last()?;
    let names = ["a".to_owned(), "ä".repeat(200)];
    edges.accepted = member.accepted.iter().map(|value| object(&names, value)).collect();
    edges.accepted.extend([object(&many(99), good), "{}".to_owned()]);
    edges.refused = member.refused.iter().map(|value| object(&names, value)).collect();
    for names in [vec![String::new()], vec!["a\0b".to_owned()], vec!["ä".repeat(201)], many(101)] {
        edges.refused.push(object(&names, good));
    }
    Some(())
}

fn arrays(schema: &Value, edges: &mut Edges) -> Option<()> {
    let items = &schema["items"];
    let list = |items: &[String]| format!("[{}]", items.join(","));
    let item = of(items)?;
    let good = |item: &Edges| item.accepted.last().unwrap().clone();
    assert_eq!(schema["uniqueItems"], true, "{schema}");
    edges.refused.push(list(&[good(&item), good(&item)]));
    edges.refused.extend(item.refused.iter().map(|wrong| list(std::slice::from_ref(wrong))));
    match schema["minItems"].as_u64() {
        Some(least) => {
            assert_eq!(least, 1, "{schema}");
            edges.refused.push("[]".to_owned());
        }
        None => edges.accepted.push("[]".to_owned()),
    }
    if items["enum"].is_array() {
        // As many as there are words, each once.
        edges.accepted.push(list(&item.accepted));
        edges.accepted.push(list(&item.accepted[..1]));
        return Some(());
    }
    let most = schema["maxItems"].as_u64()?;
    let mut many: Vec<_> = (0..most).map(|_| good(&of(items).unwrap())).collect();
    edges.accepted.push(list(&many));
    many.push(good(&of(items)?));
    edges.refused.push(list(&many));
    edges.accepted.extend(item.accepted.iter().map(|item| list(std::slice::from_ref(item))));
    Some(())
}
