//! Tokens, passwords, keys and the vault: everything that handles a secret.

pub mod api_key;
mod base62;
mod claims;
pub mod client_assertion;
pub mod entropy;
pub mod external;
mod jws;
pub mod master_key;
pub mod password;
pub mod provider_keys;
pub mod realm;
pub mod secret;
pub mod signing_key;
pub mod vault;

#[cfg(test)]
mod test_support;
