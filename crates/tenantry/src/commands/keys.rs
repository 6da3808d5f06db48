//! `keys`: the keys that the built-in realm signs its tokens with.

use anyhow::Result;
use tenantry_service::{KeyPurpose, Service};

use super::{print, table};
use crate::config::Settings;
use crate::installation;

/// Makes a new signing key, and says what becomes of all of them.
pub(crate) async fn rotate(settings: &Settings, now: bool) -> Result<()> {
    let service = installation::attach(settings).await?;
    let rotated = service.rotate_signing_keys(now).await?;
    let retired = rotated.retired.iter().map(|kid| format!("retired {kid}\n"));
    let told: String = std::iter::once(format!("made {}\n", rotated.kid)).chain(retired).collect();
    print(&format!("{told}\n{}", listed(&service).await?))
}

/// Prints the signing keys.
pub(crate) async fn list(settings: &Settings) -> Result<()> {
    let service = installation::attach(settings).await?;
    print(&listed(&service).await?)
}

async fn listed(service: &Service) -> Result<String> {
    let mut rows = vec![["key", "created", "purpose"].map(str::to_owned)];
    for key in service.signing_keys().await? {
        let purpose = match key.purpose {
            KeyPurpose::SignsFrom(at) => format!("signs from {at}"),
            KeyPurpose::Signs => "signs".to_owned(),
            KeyPurpose::VerifiesUntil(at) => format!("verifies until {at}"),
        };
        rows.push([key.kid, key.created_at.to_string(), purpose]);
    }
    Ok(table::render(&rows))
}
