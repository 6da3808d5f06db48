//! What an OAuth client may be registered with (RFC 6749, RFC 8252, RFC 9700).
//!
//! Addresses are kept and compared as exact texts (RFC 9700, section 2.1), so what has more than
//! one spelling is refused where a mistake would go unnoticed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::FieldError;
use crate::oauth_client::{ClientType, GrantType};

/// The most redirect URIs, and the most origins, of one client.
pub const ADDRESSES_MAX: usize = 20;

/// The most characters of a redirect URI.
pub const REDIRECT_URI_MAX: usize = 2048;

/// The most characters of a host name (RFC 1035, section 2.3.4).
const HOST_MAX: usize = 253;

/// The most characters of an origin.
pub const ORIGIN_MAX: usize = "https://".len() + HOST_MAX + ":65535".len();

/// Reads the redirect URIs of a client: each once, at most [`ADDRESSES_MAX`] of them.
///
/// # Errors
/// What would be right, to follow the field's name.
pub fn redirect_uris(texts: &[&str]) -> Result<Vec<String>, String> {
    each_once(texts, check_redirect_uri)
}

/// Reads the web origins (RFC 6454) that a client runs in: each once, at most [`ADDRESSES_MAX`] of
/// them.
///
/// # Errors
/// What would be right, to follow the field's name.
pub fn origins(texts: &[&str]) -> Result<Vec<String>, String> {
    each_once(texts, check_origin)
}

/// Reads the grant types of a client: each once, and at least one.
///
/// # Errors
/// What would be right, to follow the field's name.
pub fn grant_types(texts: &[&str]) -> Result<Vec<GrantType>, String> {
    let grants = texts.iter().map(|text| text.parse()).collect::<Result<Vec<GrantType>, _>>()?;
    let twice = |grant| grants.iter().filter(|&other| other == grant).count() > 1;
    if grants.is_empty() || grants.iter().any(twice) {
        return Err("must name at least one grant type, and none twice".to_owned());
    }
    Ok(grants)
}

/// The grant type of a client that names none: a person's consent if it has somewhere to send
/// people back to or cannot keep a secret, else its own credentials.
pub fn usual_grant_type(client_type: ClientType, redirect_uris: &[String]) -> GrantType {
    if client_type == ClientType::Public || !redirect_uris.is_empty() {
        GrantType::AuthorizationCode
    } else {
        GrantType::ClientCredentials
    }
}

/// What does not fit together among the properties of a client.
pub fn contradictions(
    client_type: ClientType,
    redirect_uris: &[String],
    grant_types: &[GrantType],
) -> Vec<FieldError> {
    let mut problems = Vec::new();
    let mut problem = |field: &str, problem: &str| {
        problems.push(FieldError { field: field.to_owned(), problem: problem.to_owned() });
    };
    let by_consent = grant_types.contains(&GrantType::AuthorizationCode);
    if by_consent && redirect_uris.is_empty() {
        problem("redirectUris", "must have at least one for authorization_code");
    }
    if grant_types.contains(&GrantType::ClientCredentials) && client_type == ClientType::Public {
        problem("grantTypes", "must not name client_credentials for a public client");
    }
    let refreshes = grant_types.contains(&GrantType::RefreshToken);
    if refreshes && !by_consent && !grant_types.contains(&GrantType::ClientCredentials) {
        problem("grantTypes", "must name refresh_token beside another grant type");
    }
    problems
}

fn each_once(
    texts: &[&str],
    check: impl Fn(&str) -> Result<(), String>,
) -> Result<Vec<String>, String> {
    if texts.len() > ADDRESSES_MAX {
        return Err(format!("must have at most {ADDRESSES_MAX} items"));
    }
    let mut kept: Vec<String> = Vec::new();
    for text in texts {
        check(text)?;
        if kept.iter().any(|it| it == text) {
            return Err("must not have an item twice".to_owned());
        }
        kept.push((*text).to_owned());
    }
    Ok(kept)
}

/// An absolute URI without a fragment (RFC 6749, section 3.1.2), of one of the three kinds that
/// reach the client and nobody else: `https`, `http` on the machine's own loopback interface
/// (RFC 8252, section 7.3), or a private-use scheme (section 7.1).
fn check_redirect_uri(text: &str) -> Result<(), String> {
    if text.len() > REDIRECT_URI_MAX || !is_of_uri_characters(text) {
        return Err(format!(
            "must be absolute URIs (RFC 3986) of at most {REDIRECT_URI_MAX} characters"
        ));
    }
    if text.contains('#') {
        return Err("must not have a fragment".to_owned());
    }
    if text.contains('*') {
        return Err("must be exact, without wildcards".to_owned());
    }
    let (scheme, rest) = split_scheme(text)?;
    if is_private_use(scheme) {
        // There is nobody who hands out authorities (RFC 8252, section 7.1).
        let path = rest.strip_prefix('/').filter(|path| !path.starts_with('/'));
        return path.map(drop).ok_or_else(|| {
            format!("must have a single slash after the private-use scheme: {scheme}:/path")
        });
    }
    if !matches!(scheme, "https" | "http") {
        return Err("must be https, http on this machine, or of a private-use scheme with a dot, \
                    such as com.example.app:/path"
            .to_owned());
    }
    let authority = rest.strip_prefix("//").ok_or("must have a host after the scheme")?;
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("must not have a user or a password".to_owned());
    }
    let (host, _) = read_authority(authority)?;
    check_transport(scheme, host)
}

/// `scheme://host[:port]`, spelled as a browser spells it in `Origin`.
fn check_origin(text: &str) -> Result<(), String> {
    let wrong = "must be origins such as https://app.example.com, without a path";
    let (scheme, rest) = split_scheme(text)?;
    let authority = rest.strip_prefix("//").ok_or(wrong)?;
    let (host, port) = read_authority(authority).map_err(|_| wrong)?;
    check_transport(scheme, host)?;
    if !is_as_browsers_spell(authority) {
        return Err("must have an IPv6 address in its shortest spelling, such as [::1]".to_owned());
    }
    if authority.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("must be in lower case".to_owned());
    }
    let usual = if scheme == "https" { 443 } else { 80 };
    if port == Some(usual) {
        return Err("must leave out the scheme's own port".to_owned());
    }
    Ok(())
}

/// Whether an IPv6 address, if this is one, is spelled as RFC 5952 says. One that stands for an IPv4
/// address is not: browsers differ from others there.
fn is_as_browsers_spell(authority: &str) -> bool {
    let Some((text, _)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return true;
    };
    let plain = |address: &Ipv6Addr| address.to_ipv4_mapped().is_none();
    text.parse().ok().filter(plain).is_some_and(|address| address.to_string() == text)
}

/// Codes and tokens travel encrypted, or do not leave the machine (RFC 9700, section 2.6).
fn check_transport(scheme: &str, host: Host) -> Result<(), String> {
    match scheme {
        "https" => Ok(()),
        "http" if host == Host::Loopback => Ok(()),
        _ => Err("must be https, or http on localhost, 127.0.0.1 or [::1]".to_owned()),
    }
}

pub(crate) fn split_scheme(text: &str) -> Result<(&str, &str), String> {
    let wrong = "must begin with a scheme in lower case, such as https:";
    let (scheme, rest) = text.split_once(':').ok_or(wrong)?;
    let fits = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte)
        });
    if fits { Ok((scheme, rest)) } else { Err(wrong.to_owned()) }
}

/// A scheme that its owner's domain name vouches for, in reverse: `com.example.app`.
fn is_private_use(scheme: &str) -> bool {
    scheme.contains('.') && scheme.split('.').all(is_label)
}

/// The characters of RFC 3986, and percent signs only before two digits.
pub(crate) fn is_of_uri_characters(text: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    let encoded = |rest: &str| {
        let mut digits = rest.bytes();
        let two = [digits.next(), digits.next()];
        two.iter().all(|digit| digit.is_some_and(|digit| digit.is_ascii_hexdigit()))
    };
    text.bytes().all(allowed) && text.split('%').skip(1).all(encoded)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    /// This very machine.
    Loopback,
    /// Any other one.
    Elsewhere,
}

/// Reads `host[:port]`.
pub(crate) fn read_authority(authority: &str) -> Result<(Host, Option<u16>), String> {
    let wrong = "must have a host name or an IP address, and a port from 1 to 65535 if any";
    let (loopback, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or(wrong)?;
        (host.parse().ok().map(|address: Ipv6Addr| address.is_loopback()), port)
    } else {
        let end = authority.find(':').unwrap_or(authority.len());
        let (host, port) = authority.split_at_checked(end).ok_or(wrong)?;
        (name_or_v4(host), port)
    };
    let host = if loopback.ok_or(wrong)? { Host::Loopback } else { Host::Elsewhere };
    if port.is_empty() {
        return Ok((host, None));
    }
    let digits = port.strip_prefix(':').filter(|digits| !digits.starts_with(['0', '+']));
    let port: u16 = digits.and_then(|digits| digits.parse().ok()).ok_or(wrong)?;
    Ok((host, Some(port)))
}

/// Whether a host name or an IPv4 address is the machine itself; `None` if it is neither. What ends
/// in a number is an address to a browser, in whatever notation, so it must be a plain one.
fn name_or_v4(host: &str) -> Option<bool> {
    let last = host.rsplit('.').next().unwrap_or_default();
    if last.starts_with(|first: char| first.is_ascii_digit()) {
        let address: Ipv4Addr = host.parse().ok()?;
        return Some(IpAddr::from(address).is_loopback());
    }
    let is_name = host.len() <= HOST_MAX && host.split('.').all(is_label);
    is_name.then(|| host.eq_ignore_ascii_case("localhost"))
}

/// A label of a host name (RFC 1123, section 2.1).
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_uris_that_reach_the_client_alone() {
        for uri in [
            "https://app.example.com",
            "https://app.example.com/",
            "https://app.example.com:8443/cb?x=1&y=%2F@",
            "https://192.0.2.1/cb",
            "https://[2001:db8::1]:8443/cb",
            "https://xn--bcher-kva.example/cb",
            "http://localhost/cb",
            "http://localhost:3000/cb",
            "http://127.0.0.1:51004/oauth2redirect",
            "http://127.1.2.3/cb",
            "http://[::1]:51004/oauth2redirect",
            "com.example.app:/oauth2redirect/example-provider",
            "com.example.app:/",
        ] {
            assert_eq!(check_redirect_uri(uri), Ok(()), "{uri}");
        }
    }

    #[test]
    fn redirect_uris_that_do_not() {
        for uri in [
            "",
            "app.example.com/cb",
            "/cb",
            "//app.example.com/cb",
            "https:",
            "https:app.example.com",
            "https:/app.example.com",
            "https://",
            "https:///cb",
            "https://:443/cb",
            "https://app.example.com#",
            "https://app.example.com/cb#part",
            "https://*.example.com/cb",
            "https://app.example.com/*",
            "https://user@app.example.com/cb",
            "https://user:pass@app.example.com/cb",
            "https://app.example.com@evil.example/cb",
            "https://app.example.com\\@evil.example/cb",
            "https://app.example.com:0/cb",
            "https://app.example.com:65536/cb",
            "https://app.example.com:+443/cb",
            "https://app.example.com:/cb ",
            "https://app..example.com/cb",
            "https://-app.example.com/cb",
            "https://app.example.com./cb",
            "https://app_1.example.com/cb",
            "https://127.1/cb",
            "https://2130706433/cb",
            "https://0x7f.0.0.1.0x1/cb",
            "https://[::1/cb",
            "https://[fe80::1%25eth0]/cb",
            "https://%61pp.example.com/cb",
            "https://app.example.com/%",
            "https://app.example.com/%4",
            "https://app.example.com/%zz",
            "https://app.example.com/a b",
            "https://app.example.com/\u{202e}",
            "https://app.example.com/\0",
            "https://bücher.example/cb",
            "HTTPS://app.example.com/cb",
            "http://app.example.com/cb",
            "http://localhost.example.com/cb",
            "http://192.0.2.1/cb",
            "http://[2001:db8::1]/cb",
            "http://0.0.0.0/cb",
            "ftp://app.example.com/cb",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:text/html,x",
            "urn:ietf:wg:oauth:2.0:oob",
            "myapp:/cb",
            "myapp://cb",
            "com.example.app://cb",
            "com.example.app:cb",
            "com..app:/cb",
            ".example.app:/cb",
            "com.example.app:/cb#part",
        ] {
            assert!(check_redirect_uri(uri).is_err(), "{uri:?}");
        }
    }

    #[test]
    fn redirect_uris_are_bounded() {
        let base = "https://app.example.com/";
        let long = |length: usize| format!("{base}{}", "x".repeat(length - base.len()));
        assert!(check_redirect_uri(&long(REDIRECT_URI_MAX)).is_ok());
        assert!(check_redirect_uri(&long(REDIRECT_URI_MAX + 1)).is_err());
        let many: Vec<_> = (0..=ADDRESSES_MAX).map(|number| format!("{base}{number}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(redirect_uris(&many[1..]).unwrap(), many[1..]);
        assert!(redirect_uris(&many).is_err());
        assert!(redirect_uris(&[base, base]).is_err());
        assert_eq!(redirect_uris(&[]), Ok(Vec::new()));
    }

    #[test]
    fn origins_are_spelled_as_browsers_spell_them() {
        for origin in [
            "https://app.example.com",
            "https://app.example.com:8443",
            "http://localhost:3000",
            "http://127.0.0.1",
            "https://[2001:db8::1]:8443",
        ] {
            assert_eq!(check_origin(origin), Ok(()), "{origin}");
        }
        for origin in [
            "",
            "*",
            "null",
            "app.example.com",
            "https://",
            "https://*",
            "https://*.example.com",
            "https://app.example.com/",
            "https://app.example.com/a",
            "https://app.example.com?",
            "https://app.example.com#",
            "https://user@app.example.com",
            "https://App.example.com",
            "https://app.example.com:443",
            "https://app.example.com:",
            "http://localhost:80",
            "http://[0:0:0:0:0:0:0:1]",
            "https://[2001:db8:0::1]:8443",
            "https://[::ffff:192.0.2.1]",
            "http://app.example.com",
            "com.example.app://x",
            "file://",
        ] {
            assert!(check_origin(origin).is_err(), "{origin:?}");
        }
    }

    #[test]
    fn grant_types_are_a_set_of_some() {
        let both = grant_types(&["authorization_code", "refresh_token"]);
        assert_eq!(both, Ok(vec![GrantType::AuthorizationCode, GrantType::RefreshToken]));
        for wrong in [&[][..], &["implicit"], &["password"], &["refresh_token", "refresh_token"]] {
            assert!(grant_types(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_contradicts_itself() {
        use ClientType::{Confidential, Public};
        use GrantType::{AuthorizationCode, ClientCredentials, RefreshToken};
        let fields = |client_type, uris: &[&str], grants: &[GrantType]| {
            let uris: Vec<_> = uris.iter().map(|&uri| uri.to_owned()).collect();
            let problems = contradictions(client_type, &uris, grants);
            problems.into_iter().map(|it| it.field).collect::<Vec<_>>()
        };
        let uri = &["https://app.example.com"][..];
        assert!(fields(Confidential, &[], &[ClientCredentials]).is_empty());
        assert!(fields(Confidential, uri, &[ClientCredentials]).is_empty());
        assert!(
            fields(Confidential, uri, &[AuthorizationCode, RefreshToken, ClientCredentials])
                .is_empty()
        );
        assert!(fields(Public, uri, &[AuthorizationCode, RefreshToken]).is_empty());
        assert_eq!(fields(Public, &[], &[AuthorizationCode]), ["redirectUris"]);
        assert_eq!(fields(Public, uri, &[ClientCredentials]), ["grantTypes"]);
        assert_eq!(fields(Confidential, uri, &[RefreshToken]), ["grantTypes"]);
        assert_eq!(
            fields(Public, &[], &[AuthorizationCode, ClientCredentials]),
            ["redirectUris", "grantTypes"]
        );
        assert_eq!(usual_grant_type(Confidential, &[]), ClientCredentials);
        assert_eq!(usual_grant_type(Confidential, &["x".to_owned()]), AuthorizationCode);
        assert_eq!(usual_grant_type(Public, &[]), AuthorizationCode);
    }
}
