//! A server that has become a standby behind the connections to it: what is asked of it fails with what
//! passes, and its connections are not used again.

use std::sync::Arc;
use std::time::Duration;

use tenantry_domain::error::{Error, Result};
use tenantry_domain::usage::Tally;
use tenantry_store::conformance::builders::{calls, own};
use tenantry_store::conformance::{Fixture, ManualClock, SeededEntropy, assert_exact};
use tenantry_store_postgres::{Limits, Options, PostgresStore};
use tenantry_testkit_postgres::{Cluster, Proxy};

fn passes<T: std::fmt::Debug>(result: &Result<T>) {
    assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_a_standby_is_given_up() {
    let primary: &'static Cluster = Box::leak(Box::new(Cluster::start()));
    let database = primary.database();
    let proxy = Proxy::to(&database);
    let (clock, entropy) = (Arc::new(ManualClock::default()), Arc::new(SeededEntropy::default()));
    let queue_timeout = Duration::from_millis(300);
    let limits = Limits { pool_size: 1, queue_timeout, ..Limits::default() };
    let options = Options::new(proxy.url(), None, limits).unwrap();
    let store = PostgresStore::serve(&options, clock.clone(), entropy.clone()).await.unwrap();
    let process = Fixture::new(Arc::new(store), clock, entropy, ());
    let tenant = process.tenant("Acme").await;
    let counted = || Tally::from_iter([calls(tenant, 1, process.now())]);
    process.store.count_calls(counted()).await.unwrap();

    let standby: &'static Cluster = Box::leak(Box::new(primary.standby()));
    proxy.lead_to(&standby.following(&database));
    proxy.close();
    proxy.open();
    let create = async |email| {
        let user = process.new_user(email);
        process.store.create_user(&own(tenant, None), user).await
    };
    passes(&create("ann@example.com").await);
    passes(&process.store.ping().await);
    passes(&process.store.count_calls(counted()).await);

    // No connection is cut.
    proxy.lead_to(&database);
    create("ann@example.com").await.unwrap();
    process.store.ping().await.unwrap();
    process.store.count_calls(counted()).await.unwrap();
    let statistics = process.statistics(tenant).await;
    assert_eq!((statistics.counts.users(), statistics.calls_this_month), (1, 2));
    assert_exact(&process).await;
}
