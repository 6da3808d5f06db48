//! PostgreSQL that crashes, and has lost calls that were answered and not yet on its disk.

use std::sync::Arc;
use std::time::Duration;

use tenantry_domain::error::Error;
use tenantry_domain::usage::Tally;
use tenantry_store::conformance::builders::calls;
use tenantry_store::conformance::{Fixture, ManualClock, SeededEntropy, assert_exact};
use tenantry_store_postgres::{Limits, Options, PostgresStore};
use tenantry_testkit_postgres::Cluster;

/// Whoever has counted the calls knows how many there were, also if it has given up calls meanwhile
/// that it could not write.
#[tokio::test(flavor = "multi_thread")]
async fn lost_calls_come_back_after_others_were_given_up() {
    // Not shared, since it crashes; and it writes late, so that there is something to lose.
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start()));
    cluster.stop();
    cluster.set("wal_writer_delay = 10s");
    cluster.start_again();
    let database = cluster.database();
    let (clock, entropy) = (Arc::new(ManualClock::default()), Arc::new(SeededEntropy::default()));
    let limits = Limits { queue_timeout: Duration::from_millis(300), ..Limits::default() };
    let options = Options::new(&database.url(), None, limits).unwrap();
    let store = PostgresStore::serve(&options, clock.clone(), entropy.clone()).await.unwrap();
    let process = Fixture::new(Arc::new(store), clock, entropy, ());
    let tenant = process.tenant("Acme").await;
    let count = |number| {
        process.store.count_calls(Tally::from_iter([calls(tenant, number, process.now())]))
    };
    count(1).await.unwrap();
    database.run("CHECKPOINT");
    let mut counted = 1;
    for _ in 0..3 {
        count(5).await.unwrap();
        cluster.kill();
        for _ in 0..2 {
            assert!(matches!(count(100).await, Err(Error::Unavailable(_))));
        }
        cluster.start_again();
        let kept = database.run("SELECT sum(calls) FROM usage_months").parse::<u64>().unwrap();
        assert!(kept < counted + 5, "nothing was lost: {kept}");
        count(1).await.unwrap();
        counted += 6;
        assert_eq!(process.statistics(tenant).await.calls_this_month, counted);
    }
    assert_exact(&process).await;
}
