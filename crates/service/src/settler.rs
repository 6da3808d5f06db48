//! The settler: appends an entry for what has expired, soon after it has, so that the next read
//! and the next change of its tenant need not. Beside that it purges what deleted tenants leave, and
//! forgets the marks of requests that have had their 24 hours.

use std::sync::Arc;
use std::time::Duration;

use tenantry_domain::clock::Clock;
use tenantry_domain::error::Result;
use tenantry_store::Store;

/// Instants settled at once, so that no change waits long behind them.
const CHUNK: usize = 500;
/// How often to look again: something that expires sooner may have been made meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Rows of deleted tenants, or old marks, removed at once: a few milliseconds of the one writer.
const PURGE: u32 = 500;
/// How long others have the writer to themselves between two such removals.
const PURGE_AGAIN: Duration = Duration::from_millis(20);

/// Settles what is due and purges what is left, again and again, until it is dropped.
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
        let pause = match store.purge(PURGE).await {
            Ok(purged) if purged.more => pause.min(PURGE_AGAIN),
            Ok(_) => pause,
            Err(error) => {
                tracing::warn!(%error, "rows of deleted tenants could not be purged; they are left");
                pause
            }
        };
        let pause = after(store.forget_marks(PURGE).await, "old answers", pause);
        let pause = after(store.forget_ended_tokens(PURGE).await, "tokens that have ended", pause);
        let pause = after(store.forget_sessions(PURGE).await, "sessions that are over", pause);
        let pause = after(store.forget_sign_ins(PURGE).await, "old failures to sign in", pause);
        tokio::time::sleep(pause).await;
    }
}

/// How long to pause when something was removed, of which there may be more.
fn after(removed: Result<u32>, what: &str, pause: Duration) -> Duration {
    match removed {
        Ok(PURGE) => pause.min(PURGE_AGAIN),
        Ok(_) => pause,
        Err(error) => {
            tracing::warn!(%error, what, "what nobody needs any more could not be removed");
            pause
        }
    }
}
