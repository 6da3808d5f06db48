//! The one bearer token of a request (RFC 6750, section 2.1).

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use tenantry_domain::error::AuthFailure;

/// What a request identifies itself with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Presented<'a> {
    /// The token.
    pub(crate) token: &'a str,
    /// The realm that the caller says issued it.
    pub(crate) realm: Option<&'a str>,
}

/// Reads what a request identifies itself with: one token, one way.
pub(crate) fn presented(headers: &HeaderMap) -> Result<Presented<'_>, AuthFailure> {
    let mut authorizations = headers.get_all(AUTHORIZATION).iter();
    let authorization = authorizations.next().ok_or(AuthFailure::Missing)?;
    if authorizations.next().is_some() || headers.contains_key("x-api-key") {
        return Err(AuthFailure::Ambiguous);
    }
    let text = authorization.to_str().map_err(|_| AuthFailure::Malformed)?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AuthFailure::Missing);
    }
    let token = token.trim_start_matches(' ');
    if token.is_empty() {
        return Err(AuthFailure::Malformed);
    }
    let mut realms = headers.get_all("realmname").iter();
    let realm = realms
        .next()
        .map(|realm| realm.to_str().map_err(|_| AuthFailure::UnknownRealm))
        .transpose()?;
    if realms.next().is_some() {
        return Err(AuthFailure::Ambiguous);
    }
    Ok(Presented { token, realm })
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
        presented(&map).map(|it| (it.token.to_owned(), it.realm.map(str::to_owned)))
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
    fn tells_no_token_from_a_bad_one() {
        assert_eq!(read(&[]), Err(AuthFailure::Missing));
        assert_eq!(read(&[("x-api-key", "tk_1")]), Err(AuthFailure::Missing));
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
        let realm = ("realmname", "tenantry");
        assert_eq!(read(&[token, realm, realm]), Err(AuthFailure::Ambiguous));
    }
}
