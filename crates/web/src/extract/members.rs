//! The members of a JSON object, taken by name, so that one answer tells everything that is wrong
//! with all of them.

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;

use axum::body::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tenantry_domain::error::{Error, Problems, Result};
use tenantry_domain::json;
use tenantry_domain::patch::Patch;
use tenantry_domain::usage::{Bytes as StorageBytes, Megabytes};
use tenantry_security::secret::SecretText;
use zeroize::Zeroize as _;

use super::query::MAX_INTEGER;
use super::values::not_in;

const UNKNOWN: &str = "is not a member of this object";
const REQUIRED: &str = "is required";
const NOT_NULL: &str = "must not be null";
const NOT_AN_OBJECT: &str = "must be an object";

/// The members of an object that nobody has taken yet.
#[derive(Debug)]
pub(crate) struct Members {
    values: Map<String, Value>,
    /// What to put before the names: `subscription.`.
    prefix: &'static str,
    problems: Problems,
    /// The whole body, for what a [`Value`] does not keep.
    text: Bytes,
}

impl Members {
    /// Reads a body.
    ///
    /// # Errors
    /// `Malformed` for what is not JSON, `Invalid` for JSON that is no object.
    pub(crate) fn parse(text: Bytes) -> Result<Self> {
        match json::parse(&text).map_err(Error::Malformed)? {
            Value::Object(values) => {
                Ok(Self { values, prefix: "", problems: Problems::default(), text })
            }
            _ => Err(Error::invalid("body", NOT_AN_OBJECT)),
        }
    }

    /// The members of an object that was not a JSON text.
    pub(crate) fn of(values: Map<String, Value>) -> Self {
        Self { values, prefix: "", problems: Problems::default(), text: Bytes::new() }
    }

    /// A member as it is, for what looks at it before it is taken.
    pub(crate) fn peek(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// A member that must not be there.
    pub(crate) fn refuse(&mut self, name: &str, problem: &str) {
        if self.values.remove(name).is_some() {
            self.problem(name, problem);
        }
    }

    /// Whether a member of this name was given and not taken yet.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A member that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value) -> Result<T, String>,
    ) -> Option<T> {
        if !self.values.contains_key(name) {
            self.problem(name, REQUIRED);
        }
        self.given(name, read)
    }

    /// A member that may be absent, but not `null`.
    pub(crate) fn given<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value) -> Result<T, String>,
    ) -> Option<T> {
        match self.patch(name, read) {
            Patch::Keep => None,
            Patch::Clear => {
                self.problem(name, NOT_NULL);
                None
            }
            Patch::Set(value) => Some(value),
        }
    }

    /// A member that may be absent or, which is the same, `null`.
    pub(crate) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value) -> Result<T, String>,
    ) -> Option<T> {
        match self.patch(name, read) {
            Patch::Keep | Patch::Clear => None,
            Patch::Set(value) => Some(value),
        }
    }

    /// A member of a merge patch that `null` clears.
    pub(crate) fn patch<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value) -> Result<T, String>,
    ) -> Patch<T> {
        match self.values.remove(name) {
            None => Patch::Keep,
            Some(Value::Null) => Patch::Clear,
            Some(value) => match read(value) {
                Ok(value) => Patch::Set(value),
                Err(problem) => {
                    self.problem(name, &problem);
                    Patch::Keep
                }
            },
        }
    }

    /// A member, at the top, that is a number of megabytes; read from its own digits, since a
    /// binary fraction does not hold all of them.
    pub(crate) fn megabytes(&mut self, name: &str) -> Patch<StorageBytes> {
        let text = self.text.clone();
        self.patch(name, |value| {
            if !value.is_number() {
                return Err("must be a number".to_owned());
            }
            let raw: HashMap<String, &RawValue> =
                serde_json::from_slice(&text).map_err(|error| error.to_string())?;
            let digits = raw.get(name).map_or("", |raw| raw.get());
            let Megabytes(bytes) = digits.parse().map_err(|problem| format!("{problem}"))?;
            Ok(bytes)
        })
    }

    /// The members of an object that is itself a member, read by `read`, with their problems
    /// noted among the others. `prefix` is the member's name and a dot. Absent: no members.
    pub(crate) fn object<T>(
        &mut self,
        prefix: &'static str,
        read: impl FnOnce(&mut Self) -> T,
    ) -> Patch<T> {
        let name = prefix.trim_end_matches('.');
        let taken = self.patch(name, |value| match value {
            Value::Object(values) => Ok(values),
            _ => Err(NOT_AN_OBJECT.to_owned()),
        });
        let values = match taken {
            Patch::Keep => return Patch::Keep,
            Patch::Clear => return Patch::Clear,
            Patch::Set(values) => values,
        };
        let outer_values = std::mem::replace(&mut self.values, values);
        let outer_prefix = std::mem::replace(&mut self.prefix, prefix);
        let value = read(self);
        self.refuse_unknown();
        self.values = outer_values;
        self.prefix = outer_prefix;
        Patch::Set(value)
    }

    /// Notes that a member is wrong.
    pub(crate) fn problem(&mut self, name: &str, problem: &str) {
        self.problems.add(format!("{}{name}", self.prefix), problem);
    }

    /// Fails with everything that is wrong, unknown members included.
    fn finish(mut self) -> Result<()> {
        self.refuse_unknown();
        std::mem::take(&mut self.problems).check()
    }

    /// What was read from the members, unless something is wrong with them.
    pub(crate) fn build<T>(self, value: Option<T>) -> Result<T> {
        self.finish()?;
        value.ok_or_else(|| Error::internal("a required member is missing without a problem"))
    }

    fn refuse_unknown(&mut self) {
        for (name, mut value) in std::mem::take(&mut self.values) {
            wipe(&mut value);
            self.problem(&name, UNKNOWN);
        }
    }
}

/// What nobody took can be a secret under a mistyped name.
impl Drop for Members {
    fn drop(&mut self) {
        self.values.values_mut().for_each(wipe);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Takes a secret over, without a copy of it.
pub(crate) fn secret(
    check: impl FnOnce(&str) -> Result<(), String>,
) -> impl FnOnce(Value) -> Result<SecretText, String> {
    |mut value| {
        if let Value::String(text) = &mut value {
            let text = SecretText::new(std::mem::take(text));
            return check(text.expose()).map(|()| text);
        }
        wipe(&mut value);
        Err("must be a string".to_owned())
    }
}

/// Reads a string with `parse`.
pub(crate) fn string<T, E: fmt::Display>(
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> impl FnOnce(Value) -> Result<T, String> {
    |value| match value {
        Value::String(text) => parse(&text).map_err(|problem| problem.to_string()),
        _ => Err("must be a string".to_owned()),
    }
}

/// Reads a list of strings with `parse`.
pub(crate) fn strings<T>(
    parse: impl FnOnce(&[&str]) -> Result<T, String>,
) -> impl FnOnce(Value) -> Result<T, String> {
    |value| {
        let texts: Option<Vec<_>> =
            value.as_array().and_then(|items| items.iter().map(Value::as_str).collect());
        parse(&texts.ok_or("must be a list of strings")?)
    }
}

/// Reads a boolean.
pub(crate) fn boolean(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "must be true or false".to_owned())
}

/// Reads an integer of the range.
pub(crate) fn integer_in(range: RangeInclusive<u32>) -> impl FnOnce(Value) -> Result<u32, String> {
    move |value| {
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let wrong = || not_in(&(u64::from(*range.start())..=u64::from(*range.end())));
        number.filter(|number| range.contains(number)).ok_or_else(wrong)
    }
}

/// Reads an integer that every JSON reader holds exactly.
pub(crate) fn count(value: &Value) -> Result<u64, String> {
    let range = 0..=MAX_INTEGER;
    value.as_u64().filter(|number| range.contains(number)).ok_or_else(|| not_in(&range))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(json: &str) -> Members {
        Members::parse(Bytes::copy_from_slice(json.as_bytes())).unwrap()
    }

    fn problems(members: Members) -> Vec<(String, String)> {
        match members.finish() {
            Ok(()) => Vec::new(),
            Err(Error::Invalid(fields)) => {
                fields.into_iter().map(|it| (it.field, it.problem)).collect()
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn text(value: Value) -> Result<String, String> {
        string(|text| Ok::<_, String>(text.to_owned()))(value)
    }

    #[test]
    fn tells_everything_at_once() {
        let mut body = members(r#"{"a": 1, "b": null, "d": "x", "o": {"p": 1, "q": 2}}"#);
        assert_eq!(body.required("a", text), None);
        assert_eq!(body.given("b", text), None);
        assert_eq!(body.required("c", text), None);
        assert_eq!(body.object("o.", |inner| inner.given("p", text)), Patch::Set(None));
        let expected = [
            ("a", "must be a string"),
            ("b", NOT_NULL),
            ("c", REQUIRED),
            ("o.p", "must be a string"),
            ("o.q", UNKNOWN),
            ("d", UNKNOWN),
        ];
        let expected = expected.map(|(field, problem)| (field.to_owned(), problem.to_owned()));
        assert_eq!(problems(body), expected);
    }

    #[test]
    fn tells_absent_from_null() {
        let mut body = members(r#"{"cleared": null, "set": "x"}"#);
        assert_eq!(body.patch("kept", text), Patch::Keep);
        assert_eq!(body.patch("cleared", text), Patch::Clear);
        assert_eq!(body.patch("set", text), Patch::Set("x".to_owned()));
        assert_eq!(problems(body), []);
    }

    #[test]
    fn reads_megabytes_to_the_last_digit() {
        let mut body = members(r#"{"mb": 9007199254.740991}"#);
        let exact = StorageBytes::new(9_007_199_254_740_991);
        assert_eq!(body.megabytes("mb"), Patch::Set(exact));
        assert_eq!(problems(body), []);
        for json in [r#"{"mb": "1"}"#, r#"{"mb": -1}"#, r#"{"mb": 0.0000001}"#, r#"{"mb": 1e3}"#] {
            let mut body = members(json);
            assert_eq!(body.megabytes("mb"), Patch::Keep);
            assert_eq!(problems(body).len(), 1, "{json}");
        }
    }

    #[test]
    fn a_body_is_an_object() {
        for json in ["[]", "1", "null", r#""x""#] {
            let parsed = Members::parse(Bytes::copy_from_slice(json.as_bytes()));
            assert!(matches!(parsed, Err(Error::Invalid(_))), "{json}");
        }
        assert!(matches!(Members::parse(Bytes::new()), Err(Error::Malformed(_))));
    }

    #[test]
    fn counts_are_whole() {
        assert_eq!(count(&serde_json::json!(9_007_199_254_740_992_u64)), Ok(MAX_INTEGER));
        for value in [serde_json::json!(-1), serde_json::json!(1.5), serde_json::json!("1")] {
            assert!(count(&value).is_err(), "{value}");
        }
        assert!(count(&serde_json::json!(MAX_INTEGER + 1)).is_err());
    }
}
