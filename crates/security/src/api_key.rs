//! Secrets that Tenantry makes: API keys, the ids and secrets of OAuth clients, refresh tokens, and
//! the one-time tokens that set a password.
//!
//! | What | Text |
//! |---|---|
//! | API key | `tnt_`, tenant, 256 random bits, checksum |
//! | client id | `tnc_`, tenant, 128 random bits |
//! | client secret | `tns_`, 256 random bits, checksum |
//! | refresh token | `tnr_`, tenant, 256 random bits, checksum |
//! | invitation | `tni_`, tenant, 256 random bits, checksum |
//!
//! All in base 62 with fixed lengths, so that each value has one spelling. The checksum lets a
//! reader (and a scanner for leaked secrets) tell a mistyped key from a wrong one without a
//! look-up.

use aws_lc_rs::{constant_time, digest};
use tenantry_domain::api_key::SecretHash;
use tenantry_domain::entropy::Entropy;
use tenantry_domain::id::TenantId;
use uuid::Uuid;

use crate::base62::{self, U32_DIGITS, U128_DIGITS};
use crate::secret::SecretText;

const API_KEY: &str = "tnt_";
const CLIENT_ID: &str = "tnc_";
const CLIENT_SECRET: &str = "tns_";
const REFRESH_TOKEN: &str = "tnr_";
const INVITATION: &str = "tni_";
/// How long each of these is.
const TAG_LEN: usize = API_KEY.len();

const TENANT_LEN: usize = U128_DIGITS as usize;
const SECRET_LEN: usize = 2 * U128_DIGITS as usize;
const CHECKSUM_LEN: usize = U32_DIGITS as usize;
/// The tag and the tenant, and four characters of the secret: enough to recognise a key by, and
/// more than 230 bits remain unknown.
const PREFIX_LEN: usize = API_KEY.len() + TENANT_LEN + 4;

/// A new API key. Its text is shown once; what is kept is the rest.
#[derive(Debug)]
pub struct IssuedKey {
    /// The key itself.
    pub text: SecretText,
    /// Its first characters, to recognise it by.
    pub prefix: String,
    /// The hash of the text.
    pub hash: SecretHash,
}

/// Makes an API key of a tenant.
pub fn issue_api_key(tenant: TenantId, entropy: &dyn Entropy) -> IssuedKey {
    let (text, hash) = issue(API_KEY, tenant, entropy);
    let prefix = text.expose().chars().take(PREFIX_LEN).collect();
    IssuedKey { text, prefix, hash }
}

/// The tenant of an API key and the hash to look it up by. `None` if the text cannot be a key:
/// wrong in its length, its characters or its checksum.
pub fn parse_api_key(text: &str) -> Option<(TenantId, SecretHash)> {
    parse(API_KEY, text)
}

/// Makes a refresh token of a session of a tenant.
pub fn issue_refresh_token(tenant: TenantId, entropy: &dyn Entropy) -> (SecretText, SecretHash) {
    issue(REFRESH_TOKEN, tenant, entropy)
}

/// As [`parse_api_key`], for a refresh token.
pub fn parse_refresh_token(text: &str) -> Option<(TenantId, SecretHash)> {
    parse(REFRESH_TOKEN, text)
}

/// Makes a one-time token by which a user of a tenant sets its password.
pub fn issue_invitation(tenant: TenantId, entropy: &dyn Entropy) -> (SecretText, SecretHash) {
    issue(INVITATION, tenant, entropy)
}

/// As [`parse_api_key`], for a one-time token.
pub fn parse_invitation(text: &str) -> Option<(TenantId, SecretHash)> {
    parse(INVITATION, text)
}

/// Makes a secret of a tenant.
fn issue(tag: &str, tenant: TenantId, entropy: &dyn Entropy) -> (SecretText, SecretHash) {
    // Each text has its full size from the start: growing would leave a copy of it behind.
    let mut text = String::with_capacity(TAG_LEN + TENANT_LEN + SECRET_LEN + CHECKSUM_LEN);
    text.push_str(tag);
    push_tenant(&mut text, tenant);
    push_secret(&mut text, entropy);
    let hash = hash_secret(&text);
    (SecretText::new(text), hash)
}

/// The tenant of a secret and the hash to look it up by.
fn parse(tag: &str, text: &str) -> Option<(TenantId, SecretHash)> {
    let (tenant, rest) = text.strip_prefix(tag)?.split_at_checked(TENANT_LEN)?;
    let (secret, _) = rest.split_at_checked(SECRET_LEN)?;
    let (high, low) = secret.split_at_checked(SECRET_LEN / 2)?;
    let tenant = Uuid::from_u128(base62::read(tenant)?);
    base62::read(high).and(base62::read(low))?;

    let (body, given) = text.split_at_checked(TAG_LEN + TENANT_LEN + SECRET_LEN)?;
    let checksum_matches =
        given.len() == CHECKSUM_LEN && base62::read(given) == Some(checksum(body));
    checksum_matches.then(|| (TenantId::from_uuid(tenant), hash_secret(text)))
}

/// Makes what an OAuth client of a tenant presents itself as. It is no secret.
pub fn issue_client_id(tenant: TenantId, entropy: &dyn Entropy) -> String {
    let mut text = CLIENT_ID.to_owned();
    push_tenant(&mut text, tenant);
    base62::push(&mut text, u128::from_be_bytes(entropy.bytes()), U128_DIGITS);
    text
}

/// The tenant of what an OAuth client presents itself as. `None` if the text cannot be that.
pub fn parse_client_id(text: &str) -> Option<TenantId> {
    let (tenant, rest) = text.strip_prefix(CLIENT_ID)?.split_at_checked(TENANT_LEN)?;
    let is_whole = rest.len() == TENANT_LEN && base62::read(rest).is_some();
    is_whole.then_some(TenantId::from_uuid(Uuid::from_u128(base62::read(tenant)?)))
}

/// Makes the secret of a confidential OAuth client.
pub fn issue_client_secret(entropy: &dyn Entropy) -> (SecretText, SecretHash) {
    let mut text = String::with_capacity(CLIENT_SECRET.len() + SECRET_LEN + CHECKSUM_LEN);
    text.push_str(CLIENT_SECRET);
    push_secret(&mut text, entropy);
    let hash = hash_secret(&text);
    (SecretText::new(text), hash)
}

/// The hash of the whole text of a secret.
pub fn hash_secret(text: &str) -> SecretHash {
    SecretHash(sha256(text.as_bytes()))
}

/// Whether two hashes are equal, in a time that does not depend on them.
pub fn hashes_equal(one: &SecretHash, other: &SecretHash) -> bool {
    constant_time::verify_slices_are_equal(&one.0, &other.0).is_ok()
}

/// The SHA-256 of these bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

fn push_tenant(text: &mut String, tenant: TenantId) {
    base62::push(text, tenant.as_uuid().as_u128(), U128_DIGITS);
}

fn push_secret(text: &mut String, entropy: &dyn Entropy) {
    for _ in 0..2 {
        base62::push(text, u128::from_be_bytes(entropy.bytes()), U128_DIGITS);
    }
    let checksum = checksum(text);
    base62::push(text, checksum, U32_DIGITS);
}

/// The first four bytes of the SHA-256 of what precedes it.
fn checksum(body: &str) -> u128 {
    let [a, b, c, d, ..] = sha256(body.as_bytes());
    u32::from_be_bytes([a, b, c, d]).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{SeededEntropy, uuid};

    fn tenant() -> TenantId {
        TenantId::from_uuid(uuid(0x3fa8_5f64_5717_4562_b3fc_2c96_3f66_afa6))
    }

    #[test]
    fn a_key_tells_its_tenant_and_its_hash() {
        let entropy = SeededEntropy::new(1);
        for tenant in [tenant(), TenantId::PLATFORM, TenantId::from_uuid(uuid(u128::MAX))] {
            let key = issue_api_key(tenant, &entropy);
            assert_eq!(key.text.expose().len(), 4 + 22 + 44 + 6);
            assert_eq!(key.prefix.len(), 30);
            assert!(key.text.expose().starts_with(&key.prefix));
            assert_eq!(parse_api_key(key.text.expose()), Some((tenant, key.hash)));
            let shown = format!("{key:?}");
            assert!(!shown.contains(&key.text.expose()[30..34]), "{shown}");
        }
    }

    #[test]
    fn no_secret_is_taken_for_another_kind() {
        let entropy = SeededEntropy::new(1);
        let key = issue_api_key(tenant(), &entropy).text;
        let (refresh_token, refresh_hash) = issue_refresh_token(tenant(), &entropy);
        let (invitation, invitation_hash) = issue_invitation(tenant(), &entropy);
        let refresh = parse_refresh_token(refresh_token.expose());
        assert_eq!(refresh, Some((tenant(), refresh_hash)));
        assert_eq!(parse_invitation(invitation.expose()), Some((tenant(), invitation_hash)));
        for other in [&key, &invitation] {
            assert_eq!(parse_refresh_token(other.expose()), None);
        }
        for other in [&key, &refresh_token] {
            assert_eq!(parse_invitation(other.expose()), None);
        }
        for other in [&refresh_token, &invitation] {
            assert_eq!(parse_api_key(other.expose()), None);
        }
    }

    #[test]
    fn one_wrong_character_is_noticed() {
        let key = issue_api_key(tenant(), &SeededEntropy::new(1));
        let text = key.text.expose();
        for position in 0..text.len() {
            for other in ["0", "z", "_", " ", "ü"] {
                let mut changed = text.to_owned();
                changed.replace_range(position..=position, other);
                assert_eq!(parse_api_key(&changed).is_some(), changed == text, "{changed}");
            }
        }
    }

    #[test]
    fn only_the_exact_length_is_a_key() {
        let key = issue_api_key(tenant(), &SeededEntropy::new(1));
        let text = key.text.expose();
        for length in 0..text.len() {
            assert_eq!(parse_api_key(&text[..length]), None, "{length}");
        }
        assert_eq!(parse_api_key(&format!("{text}0")), None);
        assert_eq!(parse_api_key(&format!("{text} ")), None);
        // Zeros in front leave the checksum's number as it is.
        let (body, checksum) = text.split_at(text.len() - CHECKSUM_LEN);
        assert_eq!(parse_api_key(&format!("{body}0{checksum}")), None);
    }

    #[test]
    fn numbers_beyond_128_bits_are_refused_even_with_a_right_checksum() {
        let digits = |tenant: char, high: char, low: char| {
            let mut text = API_KEY.to_owned();
            for digit in [tenant, high, low] {
                text.extend(std::iter::repeat_n(digit, 22));
            }
            let checksum = checksum(&text);
            base62::push(&mut text, checksum, U32_DIGITS);
            text
        };
        assert!(parse_api_key(&digits('1', '1', '1')).is_some());
        assert_eq!(parse_api_key(&digits('z', '1', '1')), None);
        assert_eq!(parse_api_key(&digits('1', 'z', '1')), None);
        assert_eq!(parse_api_key(&digits('1', '1', 'z')), None);
    }

    #[test]
    fn clients_have_ids_and_secrets_of_their_own() {
        let entropy = SeededEntropy::new(1);
        let id = issue_client_id(tenant(), &entropy);
        assert_eq!(id.len(), 48);
        assert_eq!(base62::read(&id[4..26]), Some(tenant().as_uuid().as_u128()));
        assert_ne!(id, issue_client_id(tenant(), &entropy));

        let (secret, hash) = issue_client_secret(&entropy);
        let (_, other) = issue_client_secret(&entropy);
        assert!(secret.expose().starts_with("tns_") && secret.expose().len() == 54);
        assert!(hashes_equal(&hash_secret(secret.expose()), &hash));
        assert!(!hashes_equal(&hash, &other));
    }
}
