//! What a provider is asked for: where its keys are (`OpenID` Connect Discovery), and the keys.

use async_trait::async_trait;
use tenantry_domain::json;
use tenantry_domain::realm::Realm;
use tenantry_domain::realm_rules::Reach;
use tenantry_security::provider_keys::KeySet;

/// Fetches documents of providers.
#[async_trait]
pub(crate) trait Fetch: Send + Sync {
    /// The document at an address, if it is there and not too long.
    ///
    /// # Errors
    /// Why it is not to be had, for the log.
    async fn fetch(&self, url: &str) -> Result<Vec<u8>, String>;
}

/// Where the keys of a realm come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    issuer: String,
    /// Unless its discovery document says.
    jwks_uri: Option<String>,
}

impl Source {
    pub(crate) fn of(realm: &Realm) -> Self {
        Self { issuer: realm.issuer.clone(), jwks_uri: realm.jwks_uri.clone() }
    }

    /// Fetches the keys: answers them as they came, too.
    pub(crate) async fn keys(
        &self,
        fetch: &dyn Fetch,
        reach: Reach,
    ) -> Result<(KeySet, Vec<u8>), String> {
        let uri = match &self.jwks_uri {
            Some(uri) => uri.clone(),
            None => self.discover(fetch, reach).await?,
        };
        let text = document(fetch, reach, &uri).await?;
        let keys = KeySet::parse(&text).map_err(|problem| format!("{uri}: {problem}"))?;
        Ok((keys, text))
    }

    /// Asks where the keys are.
    async fn discover(&self, fetch: &dyn Fetch, reach: Reach) -> Result<String, String> {
        let base = self.issuer.strip_suffix('/').unwrap_or(&self.issuer);
        let url = format!("{base}/.well-known/openid-configuration");
        let text = document(fetch, reach, &url).await?;
        let told = json::parse(&text).map_err(|problem| format!("{url}: {problem}"))?;
        // Whoever answers for another issuer vouches for nothing here (section 4.3).
        if told.get("issuer").and_then(serde_json::Value::as_str) != Some(&self.issuer) {
            return Err(format!("{url} is another issuer's"));
        }
        let uri = told.get("jwks_uri").and_then(serde_json::Value::as_str);
        uri.map(str::to_owned).ok_or_else(|| format!("{url} names no jwks_uri"))
    }
}

/// The document at an address that may be asked at: what a discovery document names and what was kept
/// before the setting was another one, too.
async fn document(fetch: &dyn Fetch, reach: Reach, url: &str) -> Result<Vec<u8>, String> {
    reach.check(url).map_err(|problem| format!("{url} {problem}"))?;
    fetch.fetch(url).await.map_err(|cause| format!("{url}: {cause}"))
}
