//! What a credential may hold, and which parts of a secret each type of it needs.

use crate::credential::{AuthType, SecretPart};
use crate::error::FieldError;

/// The most characters of a description.
pub const DESCRIPTION_MAX: usize = 2000;

/// The most scopes of a credential.
pub const SCOPES_MAX: usize = 50;

/// The most characters of one of its scopes.
pub const SCOPE_MAX: usize = 256;

/// The most characters of one part of its secret.
pub const SECRET_PART_MAX: usize = 65_536;

/// The most seconds that a credential can be good for when its life is given in seconds: ten years
/// of 365 days.
pub const EXPIRES_IN_MAX: u32 = 10 * 365 * 24 * 3_600;

/// The parts of a secret that a type takes.
struct Parts {
    /// All of them must be there.
    needed: &'static [SecretPart],
    /// These may be there; nothing else.
    possible: &'static [SecretPart],
}

fn parts_of(auth_type: AuthType) -> Parts {
    use SecretPart::{
        AccessToken, ApiKey, Assertion, ClientId, ClientSecret, Password, RefreshToken, Username,
    };
    let (needed, possible): (&[_], &[_]) = match auth_type {
        AuthType::Oauth2Bearer => (&[AccessToken], &[RefreshToken]),
        AuthType::Oauth2ClientCredentials => (&[ClientId, ClientSecret], &[]),
        AuthType::ApiKey => (&[ApiKey], &[]),
        AuthType::BasicAuth => (&[Username, Password], &[]),
        AuthType::BearerToken => (&[AccessToken], &[]),
        AuthType::Jwt | AuthType::Saml => (&[Assertion], &[]),
        AuthType::Custom => (&[], SecretPart::ALL),
    };
    Parts { needed, possible }
}

/// What is wrong with these parts as the secret of a credential of this type.
pub fn secret_problems(auth_type: AuthType, given: &[SecretPart]) -> Vec<FieldError> {
    let parts = parts_of(auth_type);
    let name = auth_type.as_str();
    let problem =
        |part: SecretPart, problem: String| FieldError { field: part.as_str().to_owned(), problem };
    let missing = parts.needed.iter().filter(|part| !given.contains(part));
    let foreign =
        given.iter().filter(|part| !parts.needed.contains(part) && !parts.possible.contains(part));
    let mut problems: Vec<_> = missing
        .map(|&part| problem(part, format!("is required for the type {name}")))
        .chain(foreign.map(|&part| problem(part, format!("is no part of the type {name}"))))
        .collect();
    if given.is_empty() && parts.needed.is_empty() {
        let names: Vec<_> = parts.possible.iter().map(|part| part.as_str()).collect();
        problems.push(FieldError {
            field: "authType".to_owned(),
            problem: format!("{name} takes at least one of {}", names.join(", ")),
        });
    }
    problems
}

/// Checks one part of a secret. A key in PEM has several lines; other control characters are a
/// mistake of whoever copied it.
///
/// # Errors
/// What would be right, to follow the part's name. It never quotes the part.
pub fn check_secret_part(text: &str) -> Result<(), String> {
    let fits = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
    if (1..=SECRET_PART_MAX).contains(&text.chars().count()) && text.chars().all(fits) {
        Ok(())
    } else {
        Err(format!(
            "must have 1 to {SECRET_PART_MAX} characters, of control characters only tabs and \
             line breaks"
        ))
    }
}

/// Reads the scopes that a credential has at the third party: tokens of RFC 6749, section 3.3,
/// each once, at most [`SCOPES_MAX`] of them.
///
/// # Errors
/// What would be right, to follow the field's name.
pub fn scopes(texts: &[&str]) -> Result<Vec<String>, String> {
    if texts.len() > SCOPES_MAX {
        return Err(format!("must have at most {SCOPES_MAX} items"));
    }
    let mut kept: Vec<String> = Vec::new();
    for text in texts {
        let token = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
        if !token || !(1..=SCOPE_MAX).contains(&text.len()) {
            return Err(format!(
                "must be items of 1 to {SCOPE_MAX} visible ASCII characters other than \" and \\"
            ));
        }
        if kept.iter().any(|it| it == text) {
            return Err("must not have an item twice".to_owned());
        }
        kept.push((*text).to_owned());
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_takes_its_parts_and_no_other() {
        let named = |auth_type, given: &[SecretPart]| {
            let mut fields: Vec<_> =
                secret_problems(auth_type, given).into_iter().map(|it| it.field).collect();
            fields.sort_unstable();
            fields
        };
        for (auth_type, complete, optional) in [
            ("oauth2_bearer", &["accessToken"][..], &["refreshToken"][..]),
            ("oauth2_client_credentials", &["clientId", "clientSecret"], &[]),
            ("api_key", &["apiKey"], &[]),
            ("basic_auth", &["password", "username"], &[]),
            ("bearer_token", &["accessToken"], &[]),
            ("jwt", &["assertion"], &[]),
            ("saml", &["assertion"], &[]),
        ] {
            let auth_type: AuthType = auth_type.parse().unwrap();
            let complete: Vec<SecretPart> = complete.iter().map(|it| it.parse().unwrap()).collect();
            assert!(named(auth_type, &complete).is_empty());
            let mut names: Vec<_> = complete.iter().map(|it| it.as_str()).collect();
            names.sort_unstable();
            assert_eq!(named(auth_type, &[]), names, "{auth_type:?}");
            for &part in SecretPart::ALL {
                if complete.contains(&part) {
                    continue;
                }
                let given = [&complete[..], &[part]].concat();
                let expected: &[&str] =
                    if optional.contains(&part.as_str()) { &[] } else { &[part.as_str()] };
                assert_eq!(named(auth_type, &given), expected, "{auth_type:?}");
            }
        }
        assert_eq!(named(AuthType::Custom, &[]), ["authType"]);
        assert!(named(AuthType::Custom, SecretPart::ALL).is_empty());
        for &part in SecretPart::ALL {
            assert!(named(AuthType::Custom, &[part]).is_empty());
        }
    }

    #[test]
    fn parts_are_bounded() {
        for good in ["x", " ", "-----BEGIN\n", &"ä".repeat(SECRET_PART_MAX)] {
            assert!(check_secret_part(good).is_ok());
        }
        for bad in ["", "a\0b", "\u{1b}[2J", "\u{85}", &"x".repeat(SECRET_PART_MAX + 1)] {
            assert!(check_secret_part(bad).is_err());
        }
    }

    #[test]
    fn scopes_are_tokens() {
        let names: Vec<_> = (0..=SCOPES_MAX).map(|number| format!("s{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        assert_eq!(scopes(&names[1..]).unwrap(), names[1..]);
        assert!(scopes(&names).is_err());
        assert!(scopes(&["https://third.example/auth/drive.read"]).is_ok());
        assert!(scopes(&[&"x".repeat(SCOPE_MAX)]).is_ok());
        for bad in ["", "a b", "a\"", "a\\", "ä", "a\0", &"x".repeat(SCOPE_MAX + 1)] {
            assert!(scopes(&[bad]).is_err(), "{bad:?}");
        }
        assert!(scopes(&["a", "a"]).is_err());
    }
}
