//! Reports of other services whose commit is cut off: each event is counted once, although nothing of
//! it is in the ledger.

mod databases;

use std::sync::Arc;
use std::time::Duration;

use tenantry_domain::usage::{UsageEvent, UsageOutcome, UsageReport};
use tenantry_store::conformance::builders::own;
use tenantry_store::conformance::{Fixture, ManualClock, SeededEntropy, assert_exact};
use tenantry_store_postgres::{Limits, Options, PostgresStore};
use tenantry_testkit_postgres::{Fault, Proxy};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_commit_is_cut_off_is_counted_once() {
    let database = databases::migrated().await;
    let proxy = Proxy::to(&database);
    let clock = Arc::new(ManualClock::default());
    let entropy = Arc::new(SeededEntropy::default());
    let options = Options::new(proxy.url(), None, Limits::default()).unwrap();
    let store = PostgresStore::serve(&options, clock.clone(), entropy.clone()).await.unwrap();
    let process = Fixture::new(Arc::new(store), clock, entropy, ());
    let tenant = process.tenant("Acme").await;
    let faults = [Fault::CutBefore, Fault::CutAfter, Fault::Late(Duration::from_millis(200))];
    for (number, fault) in (1..).zip(faults) {
        let event = UsageEvent {
            source: "gateway".to_owned(),
            id: format!("event-{number}"),
            time: process.now(),
            report: UsageReport::Calls(7),
        };
        let report = async || {
            let call = process.call(tenant);
            process.store.report_usage(&own(tenant, Some(&call)), vec![event.clone()]).await
        };
        let struck = proxy.struck();
        proxy.strike(fault, "INSERT INTO usage_events", "COMMIT");
        assert_eq!(report().await.unwrap(), [UsageOutcome::Counted]);
        let has_struck = async {
            while proxy.struck() == struck {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), has_struck).await.unwrap();
        assert_eq!(report().await.unwrap(), [UsageOutcome::Duplicate]);
        // Both reports are calls too.
        assert_eq!(process.statistics(tenant).await.calls_this_month, number * (7 + 2));
    }
    assert_exact(&process).await;
}
