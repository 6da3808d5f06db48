//! The settler: appends an entry for what has expired, soon after it has, so that the next read
//! and the next change of its tenant need not. It also removes the marks of requests that have had
//! their 24 hours.

use std::sync::Arc;
use std::time::Duration;

use tenantry_domain::clock::Clock;
use tenantry_store::Store;

/// Entries appended, or marks removed, at once, so that no change waits long behind them.
const CHUNK: usize = 500;
/// How often to look again: something that expires sooner may have been made meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Settles what is due and removes what is over, again and again, until it is dropped.
pub async fn run(store: Arc<dyn Store>, clock: Arc<dyn Clock>) {
    loop {
        let pause = match store.settle(CHUNK).await {
            Ok(settled) => settled.next_due.map_or(LOOK_AGAIN, |due| {
                let wait = due.as_millis().saturating_sub(clock.now().as_millis());
                Duration::from_millis(u64::try_from(wait).unwrap_or_default()).min(LOOK_AGAIN)
            }),
            Err(error) => {
                tracing::warn!(%error, "what has expired could not be settled; reads stay exact");
                LOOK_AGAIN
            }
        };
        match store.forget_marks(CHUNK).await {
            // There may be more.
            Ok(CHUNK) => continue,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "old answers could not be removed; nobody gets them");
            }
        }
        tokio::time::sleep(pause).await;
    }
}
