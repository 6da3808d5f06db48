//! What a realm may be set up with, and how a place in its tokens is named.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::client_rules::{Host, is_of_uri_characters, read_authority, split_scheme};
use crate::realm::{Algorithm, RoleMapping};
use crate::text::line;

/// The most characters of an issuer and of a `jwksUri`.
pub const URL_MAX: usize = 2048;
/// The most characters of an audience.
pub const AUDIENCE_MAX: usize = 500;
/// The most characters of the name of a place in a token.
pub const CLAIM_MAX: usize = 200;
/// The most words of a mapping.
pub const MAPPING_MAX: usize = 100;
/// The most characters of a word of a mapping.
pub const WORD_MAX: usize = 200;
/// The most seconds that a realm's clock may be off.
pub const LEEWAY_MAX: u32 = 300;
/// How many it may be off unless it is said.
pub const LEEWAY: u32 = 5;
/// Where tokens name the tenant unless it is said.
pub const TENANT_CLAIM: &str = "tenant";
/// Where tokens name the roles unless it is said.
pub const ROLES_CLAIM: &str = "roles";

/// Where providers may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Anywhere, by `https`.
    #[default]
    Encrypted,
    /// Also on this very machine, by `http`: for development and tests.
    OrLoopback,
}

impl Reach {
    /// Refuses an address that nobody may be asked at.
    ///
    /// # Errors
    /// What would be right, to follow the field's name.
    pub fn check(self, url: &str) -> Result<(), String> {
        let wrong = || match self {
            Self::Encrypted => {
                format!("must be an absolute https URL of at most {URL_MAX} characters")
            }
            Self::OrLoopback => format!(
                "must be an absolute https URL of at most {URL_MAX} characters, or http on this \
                 machine"
            ),
        };
        if url.len() > URL_MAX || !is_of_uri_characters(url) || url.contains('#') {
            return Err(wrong());
        }
        let (scheme, rest) = split_scheme(url).map_err(|_| wrong())?;
        let authority = rest.strip_prefix("//").ok_or_else(wrong)?;
        let authority = authority.split(['/', '?']).next().unwrap_or_default();
        let (host, _) = read_authority(authority).map_err(|_| wrong())?;
        match (scheme, host) {
            ("https", _) => Ok(()),
            ("http", Host::Loopback) if self == Self::OrLoopback => Ok(()),
            _ => Err(wrong()),
        }
    }

    /// Reads an issuer: an address without query and fragment (`OpenID` Connect Discovery, section 3).
    ///
    /// # Errors
    /// What would be right, to follow the field's name.
    pub fn issuer(self, text: &str) -> Result<String, String> {
        self.check(text)?;
        if text.contains('?') {
            return Err("must not have a query".to_owned());
        }
        Ok(text.to_owned())
    }

    /// Reads the address of a key set.
    ///
    /// # Errors
    /// What would be right, to follow the field's name.
    pub fn jwks_uri(self, text: &str) -> Result<String, String> {
        self.check(text).map(|()| text.to_owned())
    }
}

/// Reads an audience.
///
/// # Errors
/// What would be right, to follow the field's name.
pub fn audience(text: &str) -> Result<String, String> {
    line(text, AUDIENCE_MAX)
}

/// Reads algorithms: each once, and at least one.
///
/// # Errors
/// What would be right, to follow the field's name.
pub fn algorithms(names: &[&str]) -> Result<Vec<Algorithm>, String> {
    let algorithms = names.iter().map(|name| name.parse()).collect::<Result<Vec<_>, _>>()?;
    let twice = |it| algorithms.iter().filter(|&other| other == it).count() > 1;
    if algorithms.is_empty() || algorithms.iter().any(twice) {
        return Err("must name at least one algorithm, and none twice".to_owned());
    }
    Ok(algorithms)
}

/// Checks that a mapping has not too many words.
///
/// # Errors
/// What would be right, to follow the field's name.
pub(crate) fn check_mapping(mapping: &RoleMapping) -> Result<(), String> {
    if mapping.len() > MAPPING_MAX {
        return Err(format!("must have at most {MAPPING_MAX} members"));
    }
    Ok(())
}

/// Checks a word of a mapping.
///
/// # Errors
/// What would be right, to follow the mapping's name.
pub fn mapping_word(word: &str) -> Result<(), String> {
    line(word, WORD_MAX).map(drop).map_err(|_| {
        format!("must have members whose names are lines of 1 to {WORD_MAX} characters")
    })
}

/// A place in a token: the names of members, one within the other, with dots between them. A name
/// can have dots itself, as those that are URLs have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ClaimPath(String);

impl ClaimPath {
    /// Reads a path.
    ///
    /// # Errors
    /// What would be right, to follow the field's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        line(text, CLAIM_MAX).map(Self)
    }

    /// A path that a store kept.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is there: of several readings the one whose first name is longest.
    pub fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        find(claims, &self.0)
    }
}

fn find<'a>(members: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(found) = members.get(path) {
        return Some(found);
    }
    path.rmatch_indices('.').find_map(|(end, _)| {
        let (name, rest) = path.split_at_checked(end)?;
        find(members.get(name)?.as_object()?, rest.strip_prefix('.')?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_asked_encrypted() {
        for url in [
            "https://id.example.com",
            "https://id.example.com/realms/acme",
            "https://login.example.com:8443/a/b?c=d",
            "https://192.0.2.1/",
            "https://localhost",
        ] {
            assert_eq!(Reach::Encrypted.check(url), Ok(()), "{url}");
            assert_eq!(Reach::OrLoopback.check(url), Ok(()), "{url}");
        }
        for url in ["http://localhost:8080/a", "http://127.0.0.1:1/", "http://[::1]:1/jwks"] {
            assert!(Reach::Encrypted.check(url).is_err(), "{url}");
            assert_eq!(Reach::OrLoopback.check(url), Ok(()), "{url}");
        }
        for url in [
            "",
            "id.example.com",
            "http://id.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://127.0.0.1@id.example.com/",
            "https://user@id.example.com",
            "https://id.example.com/#part",
            "https://id.example.com/a b",
            "https://",
            "file:///etc/passwd",
            &format!("https://a.example/{}", "x".repeat(URL_MAX)),
        ] {
            assert!(Reach::OrLoopback.check(url).is_err(), "{url}");
        }
        assert!(Reach::Encrypted.issuer("https://id.example.com/?a=b").is_err());
        assert!(Reach::Encrypted.jwks_uri("https://id.example.com/?a=b").is_ok());
    }

    #[test]
    fn a_path_leads_into_objects() {
        let claims = serde_json::json!({
            "tenant": "a",
            "realm_access": {"roles": ["b"]},
            "https://tenantry.example/tenant": "c",
            "https://tenantry.example/app": {"roles": "d"},
            "a.b": {"c": 1},
            "a": {"b.c": 2, "b": {"c": 3}, "d": {"e": 4}},
            "list": [{"x": 1}]
        });
        let claims = claims.as_object().unwrap();
        for (path, found) in [
            ("tenant", Some(serde_json::json!("a"))),
            ("realm_access.roles", Some(serde_json::json!(["b"]))),
            ("https://tenantry.example/tenant", Some(serde_json::json!("c"))),
            ("https://tenantry.example/app.roles", Some(serde_json::json!("d"))),
            ("a.b.c", Some(serde_json::json!(1))),
            ("a.d.e", Some(serde_json::json!(4))),
            ("a.d.f", None),
            ("tenant.x", None),
            ("list.0", None),
            ("list.x", None),
            (".", None),
        ] {
            assert_eq!(ClaimPath::parse(path).unwrap().find(claims), found.as_ref(), "{path}");
        }
    }

    #[test]
    fn a_path_of_many_dots_is_soon_found_to_lead_nowhere() {
        let claims = serde_json::json!({"a": {"a": {"a": {"a": {}}}}});
        let path = ClaimPath::parse(&"a.".repeat(CLAIM_MAX / 2 - 1)).unwrap();
        assert_eq!(path.find(claims.as_object().unwrap()), None);
    }

    #[test]
    fn algorithms_are_named_once() {
        assert_eq!(algorithms(&["ES256", "RS256"]), Ok(vec![Algorithm::Es256, Algorithm::Rs256]));
        for names in [&[] as &[&str], &["none"], &["HS256"], &["RS256", "RS256"]] {
            assert!(algorithms(names).is_err(), "{names:?}");
        }
    }
}
