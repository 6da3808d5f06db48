//! Platforms of different sizes, each made once in a run, verified, and copied by whoever measures
//! it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use anyhow::Result;

use crate::fill::Filler;
use crate::installation::Installation;

/// What has been made so far.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    users: BTreeMap<u64, Installation>,
}

impl Templates {
    /// A copy of a platform with one tenant of so many users.
    pub(crate) fn users(&mut self, number: u64) -> Result<Installation> {
        let template = match self.users.entry(number) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(place) => place.insert(make(|filler| {
                filler.tenants(1)?;
                filler.users(number)
            })?),
        };
        template.copy()
    }
}

/// A new installation, filled and verified.
pub(crate) fn make(fill: impl FnOnce(&Filler) -> Result<()>) -> Result<Installation> {
    let installation = Installation::empty()?;
    fill(&Filler::of(installation.path())?)?;
    installation.verify()?;
    Ok(installation)
}
