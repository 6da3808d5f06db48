//! API keys, refresh tokens, one-time tokens and the ids of clients: a text is one exactly if it has the
//! form of one, which is told here once more.

use tenantry_domain::api_key::SecretHash;
use tenantry_domain::id::TenantId;
use tenantry_security::api_key::{
    hash_secret, parse_api_key, parse_client_id, parse_invitation, parse_refresh_token, sha256,
};

type Parser = fn(&str) -> Option<(TenantId, SecretHash)>;

const SECRETS: [(&str, Parser); 3] =
    [("tnt_", parse_api_key), ("tnr_", parse_refresh_token), ("tni_", parse_invitation)];
const CLIENT_ID: &str = "tnc_";

/// In the order of their codes, so numbers of as many digits are in the order of their texts.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// As many digits as a number of 128 bits has.
const LONG: usize = 22;
/// As many as one of 32 bits has.
const SHORT: usize = 6;

/// Reads a text as all of them, and once more with the checksum that it should have: none is guessed.
pub fn check(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let summed = format!("{text}{}", checksum(text));
    is_right(text) | is_right(&summed)
}

fn is_right(text: &str) -> bool {
    let mut taken = false;
    for (tag, parse) in SECRETS {
        let parsed = parse(text);
        assert_eq!(parsed.is_some(), is_secret(tag, text), "{text:?} as {tag}");
        if let Some((tenant, hash)) = parsed {
            taken = true;
            assert_eq!(hash, hash_secret(text));
            assert_eq!(text[tag.len()..][..LONG], digits(tenant.as_uuid().as_u128(), LONG));
        }
    }
    let client = parse_client_id(text);
    assert_eq!(client.is_some(), are_numbers(text.strip_prefix(CLIENT_ID), 2), "{text:?}");
    if let Some(tenant) = client {
        taken = true;
        assert_eq!(text[CLIENT_ID.len()..][..LONG], digits(tenant.as_uuid().as_u128(), LONG));
    }
    taken
}

fn is_secret(tag: &str, text: &str) -> bool {
    let parts = text.split_at_checked(text.len().saturating_sub(SHORT));
    parts.is_some_and(|(body, sum)| are_numbers(body.strip_prefix(tag), 3) && sum == checksum(body))
}

/// Whether a text is as many numbers of 128 bits, and nothing else.
fn are_numbers(text: Option<&str>, count: usize) -> bool {
    let largest = digits(u128::MAX, LONG);
    text.is_some_and(|text| {
        text.len() == count * LONG
            && text.bytes().all(|byte| DIGITS.contains(&byte))
            && text.as_bytes().chunks(LONG).all(|number| number <= largest.as_bytes())
    })
}

fn checksum(body: &str) -> String {
    let [a, b, c, d, ..] = sha256(body.as_bytes());
    digits(u32::from_be_bytes([a, b, c, d]).into(), SHORT)
}

fn digits(mut number: u128, count: usize) -> String {
    let mut text = vec![DIGITS[0]; count];
    for digit in text.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(number % 62).expect("a digit")];
        number /= 62;
    }
    String::from_utf8(text).expect("digits are text")
}
