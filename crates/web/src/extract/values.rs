//! The bounds of single values, in queries and bodies.

use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::http::Uri;
use tenantry_domain::realm::{NAME_MAX, RealmName};
use tenantry_domain::text::line;
use tenantry_domain::user::SUBJECT_MAX;

/// The most characters of a URL.
pub(crate) const URL_MAX: usize = 2048;
/// The most characters of a subscription's plan.
pub(crate) const PLAN_MAX: usize = 100;
/// The most characters of a text to search for.
pub(crate) const SEARCH_MAX: usize = 200;
/// The most characters of an actor's id. The longest are those of people of external realms.
pub(crate) const ACTOR_MAX: usize = NAME_MAX + "/".len() + SUBJECT_MAX;

/// Reads digits.
pub(crate) fn integer(text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    // The library also takes a leading plus.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.filter(|number| range.contains(number)).ok_or_else(|| not_in(&range))
}

/// What is said of a number that is not an integer of the range.
pub(crate) fn not_in(range: &RangeInclusive<u64>) -> String {
    format!("must be an integer from {} to {}", range.start(), range.end())
}

/// Reads an absolute `http` or `https` URL.
pub(crate) fn http_url(text: &str) -> Result<String, String> {
    let wrong = || format!("must be an absolute http or https URL of at most {URL_MAX} characters");
    // The library drops fragments without a word and takes any byte beyond ASCII, and an address has
    // no use for a password.
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"#@".contains(&byte);
    let plain = text.len() <= URL_MAX && text.bytes().all(fits);
    let uri = Uri::from_str(text).ok().filter(|_| plain).ok_or_else(wrong)?;
    let web = uri.scheme_str().is_some_and(|scheme| matches!(scheme, "http" | "https"));
    let host = uri.host().is_some_and(|host| !host.is_empty());
    if web && host { Ok(text.to_owned()) } else { Err(wrong()) }
}

/// Reads an absolute `https` URL.
pub(crate) fn https_url(text: &str) -> Result<String, String> {
    let wrong = || format!("must be an absolute https URL of at most {URL_MAX} characters");
    http_url(text).ok().filter(|url| url.starts_with("https:")).ok_or_else(wrong)
}

/// Reads the name of a realm, whether or not there is one.
pub(crate) fn realm_name(text: &str) -> Result<String, String> {
    RealmName::parse(text).map(|name| name.to_string())
}

/// Reads a text to search for.
pub(crate) fn search(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    if (1..=SEARCH_MAX).contains(&length) && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err(format!("must have 1 to {SEARCH_MAX} characters and no control characters"))
    }
}

/// Reads one line of at most this many characters.
pub(crate) fn line_of(max: usize) -> impl Fn(&str) -> Result<String, String> {
    move |text| line(text, max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_absolute_and_of_the_web() {
        for url in ["https://acme.example", "http://localhost:8080/a?b=c", "https://[::1]/"] {
            assert_eq!(http_url(url).as_deref(), Ok(url));
        }
        let long = format!("https://a.example/{}", "x".repeat(URL_MAX));
        for url in [
            "",
            "acme.example",
            "/path",
            "ftp://a.example",
            "https://",
            "https://a b",
            "javascript:alert(1)",
            "https://u:p@a.example",
            "https://a.example/#x",
            "https://a.example/\u{202e}",
            "https://ä.example",
            &long,
        ] {
            assert!(http_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn secrets_travel_encrypted() {
        assert!(https_url("https://third.example.com/token?x=1").is_ok());
        for url in ["http://third.example.com/token", "https://u:p@third.example.com", "token"] {
            assert!(https_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn searches_are_bounded() {
        assert!(search("ä").is_ok());
        assert!(search(&"ä".repeat(SEARCH_MAX)).is_ok());
        for text in ["", "a\0b", &"ä".repeat(SEARCH_MAX + 1)] {
            assert!(search(text).is_err(), "{text:?}");
        }
    }
}
