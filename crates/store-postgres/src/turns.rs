//! Whose turn it is to change a tenant. Changes of one tenant come one after the other in any case,
//! by the lock on its ledger's head. They wait here, where it costs nothing, and not each on a
//! connection: so a tenant that many want to change leaves connections to the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tenantry_domain::id::TenantId;
use tokio::sync::{Mutex as Queue, OwnedMutexGuard};

/// Those who wait, and those whose turn it is, by tenant.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<TenantId, Weak<Queue<()>>>>);

/// A turn, over when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _queue: OwnedMutexGuard<()>,
}

impl Turns {
    /// Waits for a turn, first come first served; `None` if it does not come in time.
    pub(crate) async fn take(&self, tenant: TenantId, patience: Duration) -> Option<Turn> {
        let turn = self.queue(tenant).lock_owned();
        tokio::time::timeout(patience, turn).await.ok().map(|queue| Turn { _queue: queue })
    }

    fn queue(&self, tenant: TenantId) -> Arc<Queue<()>> {
        // What the lock guards is whole between any two statements.
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(&tenant).and_then(Weak::upgrade) {
            return queue;
        }
        if queues.len() == queues.capacity() {
            queues.retain(|_, queue| queue.strong_count() > 0);
        }
        let queue = Arc::default();
        queues.insert(tenant, Arc::downgrade(&queue));
        queue
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_for_each_tenant() {
        let turns = Turns::default();
        let [acme, other] = [1, 2].map(|number| TenantId::from_uuid(Uuid::from_u128(number)));
        let first = turns.take(acme, Duration::ZERO).await;
        assert!(first.is_some());
        assert!(turns.take(acme, Duration::ZERO).await.is_none());
        assert!(turns.take(other, Duration::ZERO).await.is_some());
        drop(first);
        assert!(turns.take(acme, Duration::ZERO).await.is_some());
    }

    #[tokio::test]
    async fn nothing_is_kept_of_turns_that_are_over() {
        let turns = Turns::default();
        for number in 0..10_000 {
            let tenant = TenantId::from_uuid(Uuid::from_u128(number));
            assert!(turns.take(tenant, Duration::ZERO).await.is_some());
        }
        assert!(turns.0.lock().unwrap().len() < 100);
    }
}
