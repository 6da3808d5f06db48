//! What a request identifies itself with: one bearer token (RFC 6750, section 2.1), or one API key.

use std::fmt;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tenantry_domain::error::AuthFailure;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const REALM_NAME: HeaderName = HeaderName::from_static("realmname");

/// What a request identifies itself with.
#[derive(PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    /// A token.
    Token {
        /// The token itself.
        token: &'a str,
        /// The realm that the caller says issued it.
        realm: Option<&'a str>,
    },
    /// The text of an API key.
    ApiKey(&'a str),
}

/// What a request has brought whose token an external realm vouches for: so that it can be judged once
/// more, by what the realm is then. The values are shared with the headers.
#[derive(Clone)]
pub(crate) struct ExternalToken {
    authorization: HeaderValue,
    realm: Option<HeaderValue>,
}

impl ExternalToken {
    /// Of headers that were found right.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let authorization = headers.get(AUTHORIZATION)?.clone();
        Some(Self { authorization, realm: headers.get(REALM_NAME).cloned() })
    }

    /// The token, and the realm that the caller says issued it.
    pub(crate) fn presented(&self) -> Result<(&str, Option<&str>), AuthFailure> {
        let realm = self.realm.as_ref().map(realm_name).transpose()?;
        Ok((bearer_token(&self.authorization)?, realm))
    }
}

impl fmt::Debug for ExternalToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExternalToken(…)")
    }
}

/// Reads what a request identifies itself with: one thing, one way.
pub(crate) fn presented(headers: &HeaderMap) -> Result<Presented<'_>, AuthFailure> {
    match (one(headers, &AUTHORIZATION)?, one(headers, &X_API_KEY)?) {
        (None, None) => Err(AuthFailure::Missing),
        (Some(_), Some(_)) => Err(AuthFailure::Ambiguous),
        (Some(authorization), None) => {
            let token = bearer_token(authorization)?;
            let realm = one(headers, &REALM_NAME)?.map(realm_name).transpose()?;
            Ok(Presented::Token { token, realm })
        }
        (None, Some(key)) => {
            key.to_str().map(Presented::ApiKey).map_err(|_| AuthFailure::Malformed)
        }
    }
}

/// The value of a header that may be there once.
fn one<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, AuthFailure> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(AuthFailure::Ambiguous);
    }
    Ok(value)
}

fn realm_name(value: &HeaderValue) -> Result<&str, AuthFailure> {
    value.to_str().map_err(|_| AuthFailure::UnknownRealm)
}

fn bearer_token(authorization: &HeaderValue) -> Result<&str, AuthFailure> {
    let text = authorization.to_str().map_err(|_| AuthFailure::Malformed)?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AuthFailure::Missing);
    }
    let token = token.trim_start_matches(' ');
    if token.is_empty() {
        return Err(AuthFailure::Malformed);
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn read(
        headers: &[(&'static str, &'static str)],
    ) -> Result<(String, Option<String>), AuthFailure> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            map.append(HeaderName::from_static(name), value);
        }
        presented(&map).map(|it| match it {
            Presented::Token { token, realm } => (token.to_owned(), realm.map(str::to_owned)),
            Presented::ApiKey(text) => (format!("key {text}"), None),
        })
    }

    #[test]
    fn reads_one_token_and_the_realm() {
        assert_eq!(read(&[("authorization", "Bearer abc")]), Ok(("abc".to_owned(), None)));
        assert_eq!(read(&[("authorization", "bEARER  abc")]), Ok(("abc".to_owned(), None)));
        assert_eq!(
            read(&[("authorization", "Bearer abc"), ("realmname", "corp")]),
            Ok(("abc".to_owned(), Some("corp".to_owned())))
        );
    }

    #[test]
    fn reads_one_key() {
        let key = |text: &str| Ok((format!("key {text}"), None));
        assert_eq!(read(&[("x-api-key", "tnt_1")]), key("tnt_1"));
        // Which realm has issued a token says nothing of a key.
        assert_eq!(read(&[("x-api-key", "tnt_1"), ("realmname", "corp")]), key("tnt_1"));
        assert_eq!(read(&[("x-api-key", "é")]), Err(AuthFailure::Malformed));
    }

    #[test]
    fn tells_no_token_from_a_bad_one() {
        assert_eq!(read(&[]), Err(AuthFailure::Missing));
        assert_eq!(read(&[("authorization", "Basic YTpi")]), Err(AuthFailure::Missing));
        assert_eq!(read(&[("authorization", "Bearer")]), Err(AuthFailure::Malformed));
        assert_eq!(read(&[("authorization", "Bearer ")]), Err(AuthFailure::Malformed));
        assert_eq!(read(&[("authorization", "Bearer é")]), Err(AuthFailure::Malformed));
    }

    #[test]
    fn refuses_to_choose() {
        let token = ("authorization", "Bearer abc");
        for second in [token, ("authorization", "Basic YTpi"), ("x-api-key", "tk_1")] {
            assert_eq!(read(&[token, second]), Err(AuthFailure::Ambiguous));
        }
        let key = ("x-api-key", "tk_1");
        for second in [key, ("authorization", "Basic YTpi")] {
            assert_eq!(read(&[key, second]), Err(AuthFailure::Ambiguous));
        }
        let realm = ("realmname", "tenantry");
        assert_eq!(read(&[token, realm, realm]), Err(AuthFailure::Ambiguous));
    }
}
