//! A server that does not let a process in any more, or not so often: what is asked of it fails with
//! what passes, and goes on by itself once it does.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tenantry_domain::access::CallerProbe;
use tenantry_domain::error::{Error, Result};
use tenantry_domain::usage::Tally;
use tenantry_store::conformance::builders::{calls, own};
use tenantry_store::conformance::{Fixture, ManualClock, SeededEntropy, assert_exact};
use tenantry_store_postgres::{Limits, Options, PostgresStore};
use tenantry_testkit_postgres::{Cluster, Database, ENCRYPTED, PASSWORD, PLAIN};

/// One that asks for a password.
static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start_with_tls);

/// A process that has little patience.
async fn process(url: &str) -> Fixture {
    let clock = Arc::new(ManualClock::default());
    let entropy = Arc::new(SeededEntropy::default());
    let limits = Limits { queue_timeout: Duration::from_millis(300), ..Limits::default() };
    let options = Options::new(url, Some(PASSWORD), limits).unwrap();
    let store = PostgresStore::serve(&options, clock.clone(), entropy.clone()).await;
    Fixture::new(Arc::new(store.unwrap()), clock, entropy, ())
}

fn passes<T: std::fmt::Debug>(result: &Result<T>) {
    assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
}

fn end_connections_of(database: &Database, user: &str) {
    let end = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE usename";
    assert_ne!(database.run(&format!("{end} = '{user}'")), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_not_the_one_any_more() {
    let database = CLUSTER.database();
    let process = process(&database.tcp_url(PLAIN, "sslmode=disable")).await;
    let tenant = process.tenant("Acme").await;
    let counted = Tally::from_iter([calls(tenant, 1, process.now())]);
    process.store.count_calls(counted.clone()).await.unwrap();
    database.run(&format!("ALTER ROLE {PLAIN} PASSWORD 'another'"));
    // Who is there already may stay.
    process.user(tenant, "ann@example.com").await;
    end_connections_of(&database, PLAIN);
    passes(&process.store.ping().await);
    passes(&process.store.statistics(&CallerProbe::of_tenant(tenant), tenant).await);
    let ben = process.new_user("ben@example.com");
    passes(&process.store.create_user(&own(tenant, None), ben).await);
    passes(&process.store.count_calls(counted.clone()).await);
    database.run(&format!("ALTER ROLE {PLAIN} PASSWORD '{PASSWORD}'"));
    process.store.ping().await.unwrap();
    process.user(tenant, "ben@example.com").await;
    process.store.count_calls(counted).await.unwrap();
    let statistics = process.statistics(tenant).await;
    assert_eq!((statistics.counts.users(), statistics.calls_this_month), (2, 2));
    assert_exact(&process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_there_may_be() {
    let database = CLUSTER.database();
    drop(process(&database.url()).await);
    // No number is too high for a superuser.
    database.run(&format!(
        "ALTER ROLE {ENCRYPTED} NOSUPERUSER;
         GRANT ALL ON ALL TABLES IN SCHEMA public TO {ENCRYPTED}"
    ));
    let process = process(&database.tcp_url(ENCRYPTED, "sslmode=require")).await;
    // It has one, which changes something.
    database.run(&format!("ALTER ROLE {ENCRYPTED} CONNECTION LIMIT 1"));
    let tenant = process.tenant("Acme").await;
    let counted = Tally::from_iter([calls(tenant, 1, process.now())]);
    passes(&process.store.statistics(&CallerProbe::of_tenant(tenant), tenant).await);
    passes(&process.store.count_calls(counted.clone()).await);
    process.user(tenant, "ann@example.com").await;
    database.run(&format!("ALTER ROLE {ENCRYPTED} CONNECTION LIMIT -1"));
    process.store.count_calls(counted).await.unwrap();
    let statistics = process.statistics(tenant).await;
    assert_eq!((statistics.counts.users(), statistics.calls_this_month), (1, 1));
    assert_exact(&process).await;
}
