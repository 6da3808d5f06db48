//! `vault`: the master keys that secrets are sealed under.

use anyhow::{Result, anyhow, bail};
use indicatif::ProgressBar;
use tenantry_domain::sealing::SealedFor;
use tenantry_service::{MasterKeyPurpose, MasterKeyStanding, Progress, RotationError, Service};

use super::{print, progress, table};
use crate::config::Settings;
use crate::{installation, master_key};

/// What a bar says.
const SEALING: &str = "sealing anew";
/// How many secrets that do not open are named.
const NAMED: usize = 10;

/// Replaces the master key, unless that is under way, and seals everything anew.
pub(crate) async fn rewrap(settings: &Settings) -> Result<()> {
    let (place, given) = (settings.place(), master_key::given_next(settings)?);
    let service = installation::attach(settings).await?;
    let keys = service.master_keys().await?;
    let (mut bound, replaced) = two(&keys)?;
    match (replaced, given) {
        (Some(replaced), Some(given)) if given.id() != bound => {
            return Err(RotationError::UnderWay(replaced).into());
        }
        (Some(_), _) => {}
        (None, given) => {
            let known: Vec<_> = keys.into_iter().map(|key| key.id).collect();
            let next = master_key::next(settings, place, given, &known)?;
            bound = next.id();
            service.rotate_master_key(next).await?;
        }
    }
    master_key::adopt(settings, place, &bound)?;
    print(&format!("the master key is {bound}; the one before is good until it is retired\n"))?;
    reseal(&service).await?;
    print("once every server is started with the new key, run `tenantry vault retire`\n")
}

/// Has the master key that was replaced open nothing any more.
pub(crate) async fn retire(settings: &Settings, now: bool) -> Result<()> {
    let service = installation::attach(settings).await?;
    let (bound, replaced) = two(&service.master_keys().await?)?;
    let place = settings.place();
    master_key::adopt(settings, place, &bound)?;
    if replaced.is_some() {
        master_key::require(settings, place, &bound)?;
    }
    let bar = progress::bar(0, SEALING);
    let retired = service.retire_master_key(now, shown_on(&bar)).await;
    bar.finish_and_clear();
    match retired {
        Err(RotationError::NothingToRetire) => {
            print("no master key is being replaced\n")?;
            // A server that was held up can have sealed something under the one before.
            reseal(&service).await
        }
        Ok(retired) => print(&format!("retired {retired}: it opens nothing any more\n")),
        Err(RotationError::Unopened(unopened)) => Err(not_opened(&unopened)),
        Err(error) => Err(error.into()),
    }
}

/// Prints the ids of the master keys.
pub(crate) async fn list(settings: &Settings) -> Result<()> {
    let service = installation::attach(settings).await?;
    let mut rows = vec![["key", "purpose"].map(str::to_owned)];
    for key in service.master_keys().await? {
        let purpose = match key.purpose {
            MasterKeyPurpose::Seals => "seals".to_owned(),
            MasterKeyPurpose::ReplacedSince(at) => format!("replaced since {at}, not retired yet"),
            MasterKeyPurpose::Retired => "retired".to_owned(),
        };
        rows.push([key.id, purpose]);
    }
    print(&table::render(&rows))
}

/// Seals everything anew that is not sealed under the bound key, and says how much that was.
async fn reseal(service: &Service) -> Result<()> {
    let bar = progress::bar(0, SEALING);
    let rewrapped = service.rewrap(shown_on(&bar)).await;
    bar.finish_and_clear();
    let rewrapped = rewrapped?;
    print(&format!(
        "sealed anew: {} signing keys, {} credentials, {} kept answers\n",
        rewrapped.signing_keys, rewrapped.credentials, rewrapped.answers
    ))?;
    if rewrapped.unopened.is_empty() { Ok(()) } else { Err(not_opened(&rewrapped.unopened)) }
}

fn shown_on(bar: &ProgressBar) -> impl FnMut(Progress) + Send {
    |Progress { tenants_done, tenants, sealed }| {
        bar.set_length(tenants);
        bar.set_position(tenants_done);
        bar.set_message(format!("{SEALING}, {sealed} so far"));
    }
}

/// The ids of the key that seals, and of the one that it replaces, if it does.
fn two(keys: &[MasterKeyStanding]) -> Result<(String, Option<String>)> {
    let Some(bound) = keys.first() else { bail!("the installation has no master key") };
    let is_replaced =
        |key: &&MasterKeyStanding| matches!(key.purpose, MasterKeyPurpose::ReplacedSince(_));
    let replaced = keys.iter().find(is_replaced).map(|key| key.id.clone());
    Ok((bound.id.clone(), replaced))
}

fn not_opened(unopened: &[SealedFor]) -> anyhow::Error {
    let rest = unopened.len().saturating_sub(NAMED);
    let rest = (rest > 0).then(|| format!("{rest} more"));
    let named = unopened.iter().take(NAMED).map(ToString::to_string).chain(rest);
    anyhow!(
        "{} sealed things do not open, and keep the old master key from being retired; give the \
         credentials new secrets, or remove them: {}",
        unopened.len(),
        named.collect::<Vec<_>>().join(", ")
    )
}
