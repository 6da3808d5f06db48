//! The full recount: every number against the rows it stands for, every entry against the one
//! before it.

use tenantry_domain::counts::Counts;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::id::TenantId;
use tenantry_domain::ledger::Head;

use crate::{Pair, Recount, Store};

/// Tenants, or entries of a ledger, that are read at a time.
const CHUNK: u32 = 1_000;

/// What the verification of one tenant found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The tenant.
    pub tenant: TenantId,
    /// How many entries its ledger has.
    pub entries: u64,
    /// How many things its rows are.
    pub rows: u64,
    /// What does not fit, a sentence each. Empty: everything does.
    pub flaws: Vec<String>,
}

/// The tenants that there are, and those that there were.
pub async fn all_tenants(store: &dyn Store) -> Result<Vec<TenantId>> {
    let mut tenants: Vec<TenantId> = Vec::new();
    loop {
        let next = store.tenant_ids(tenants.last().copied(), CHUNK).await?;
        if next.is_empty() {
            return Ok(tenants);
        }
        tenants.extend(next);
    }
}

/// Recounts one tenant and walks its ledger; `None` if there never was such a tenant.
pub async fn verify(store: &dyn Store, tenant: TenantId) -> Result<Option<Report>> {
    let Some(recount) = store.recount(tenant).await? else { return Ok(None) };
    let mut flaws = book_flaws(&recount);
    let end = walk(store, tenant, recount.head.seq, &mut flaws).await?;
    if end.hash != recount.head.hash || end.seq != recount.head.seq {
        flaws.push(format!(
            "the ledger ends with entry {} and its head says {}",
            end.seq, recount.head.seq
        ));
    }
    if end.counts != recount.head.counts || end.at != recount.head.at {
        flaws.push("the ledger's head is not its newest entry".to_owned());
    }
    let rows = &recount.rows;
    let rows = rows.users() + rows.credentials() + rows.api_keys() + rows.oauth_clients();
    Ok(Some(Report { tenant, entries: recount.head.seq, rows, flaws }))
}

/// Walks the ledger up to the entry `last`; answers the head that it leads to.
async fn walk(
    store: &dyn Store,
    tenant: TenantId,
    last: u64,
    flaws: &mut Vec<String>,
) -> Result<Head> {
    let mut head = Head::EMPTY;
    while head.seq < last {
        let entries = match store.entries_after(tenant, head.seq, CHUNK).await {
            // An entry that does not even read back was not written by Tenantry.
            Err(Error::Internal(cause)) => {
                flaws.push(format!("the ledger cannot be read after entry {}: {cause}", head.seq));
                return Ok(head);
            }
            entries => entries?,
        };
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            if head.seq == last {
                break;
            }
            if let Some(flaw) = entry.flaw_after(&head) {
                flaws.push(format!("ledger entry {}: {flaw}", entry.seq));
                // Everything after it would be wrong too, and say nothing new.
                return Ok(head);
            }
            head = Head {
                seq: entry.seq,
                hash: entry.hash,
                at: entry.at,
                counts: entry.counts,
                last_activity: None,
            };
        }
    }
    Ok(head)
}

fn book_flaws(recount: &Recount) -> Vec<String> {
    if recount.deleted {
        return remains_flaws(recount);
    }
    let counts = Counts::NAMES
        .into_iter()
        .zip(recount.head.counts.to_array())
        .zip(recount.rows.to_array())
        .map(|((name, books), counted)| (name, Pair { books, counted }));
    let others = [
        ("expiries to come", recount.expiries),
        ("instants of expiry that differ", Pair { books: 0, counted: recount.expiry_mismatches }),
        ("calls by month and by hour", recount.calls),
        ("bytes of storage", recount.storage),
    ];
    counts
        .chain(others)
        .filter(|(_, pair)| pair.books != pair.counted)
        .map(|(name, pair)| {
            format!("{name}: the books say {}, counting says {}", pair.books, pair.counted)
        })
        .collect()
}

/// Of a deleted tenant there is at no time more than there was when it was deleted, time no longer
/// passes for it, and whatever is left is known to be left.
fn remains_flaws(recount: &Recount) -> Vec<String> {
    let counts =
        Counts::NAMES.into_iter().zip(recount.head.counts.to_array()).zip(recount.rows.to_array());
    let grown =
        counts.filter(|((_, books), counted)| counted > books).map(|((name, books), counted)| {
            format!("{name}: {books} when the tenant was deleted, and counting says {counted}")
        });
    let mut flaws: Vec<_> = grown.collect();
    if recount.expiries.books > 0 {
        flaws.push("expiries of a deleted tenant are to come".to_owned());
    }
    if recount.remains > 0 && !recount.purge_due {
        flaws.push(format!("{} rows are left that nothing will purge", recount.remains));
    }
    flaws
}
