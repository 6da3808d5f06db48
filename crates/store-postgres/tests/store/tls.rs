//! What each mode of TLS takes and refuses, of a server that speaks it and admits some only so.

use std::sync::{Arc, LazyLock};

use tenantry_store::Installation as _;
use tenantry_store::conformance::{ManualClock, SeededEntropy};
use tenantry_store_postgres::{Limits, OpenError, Options, PostgresStore};
use tenantry_testkit_postgres::{Cluster, Database, ENCRYPTED, PASSWORD, PLAIN};

static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start_with_tls);

async fn open(url: &str, password: &str) -> Result<(), OpenError> {
    let options = Options::new(url, Some(password), Limits::default())?;
    let (clock, entropy) = (ManualClock::default(), SeededEntropy::default());
    let store = PostgresStore::serve(&options, Arc::new(clock), Arc::new(entropy)).await?;
    store.ping().await.unwrap();
    Ok(())
}

async fn refused(url: &str, password: &str, words: &str) {
    let error = open(url, password).await.unwrap_err();
    assert!(error.to_string().contains(words), "{url}: {error}");
    assert!(!format!("{error} {error:?}").contains(PASSWORD), "{error}");
}

fn verified(database: &Database, file: &str) -> String {
    database.tcp_url(ENCRYPTED, &format!("sslmode=verify-full&sslrootcert={file}"))
}

#[tokio::test]
async fn each_mode_takes_what_it_says() {
    let database = CLUSTER.database();
    let root = database.root_certificate().display().to_string();
    let url = |user, mode: &str| database.tcp_url(user, mode);
    // Of two who are admitted in one way each, it is told which way was taken.
    open(&url(PLAIN, "sslmode=disable"), PASSWORD).await.unwrap();
    refused(&url(ENCRYPTED, "sslmode=disable"), PASSWORD, "no encryption").await;
    for mode in ["", "sslmode=prefer", "sslmode=require"] {
        open(&url(ENCRYPTED, mode), PASSWORD).await.unwrap();
        refused(&url(PLAIN, mode), PASSWORD, "SSL encryption").await;
    }
    open(&verified(&database, &root), PASSWORD).await.unwrap();
    // A password that is bound to the connection cannot be passed on by somebody between the two.
    open(&url(ENCRYPTED, "sslmode=require&channel_binding=require"), PASSWORD).await.unwrap();
    refused(&url(ENCRYPTED, "sslmode=require"), "hunter2", "password authentication failed").await;
}

#[tokio::test]
async fn a_server_is_believed_for_its_name_and_by_its_root_alone() {
    let database = CLUSTER.database();
    let root = database.root_certificate();
    // The roots of the system do not know it.
    let unknown = database.tcp_url(ENCRYPTED, "sslmode=verify-full");
    refused(&unknown, PASSWORD, "certificate").await;
    // Nor does another root, nor a file without any.
    let certificate = root.with_file_name("other.crt");
    std::fs::write(&certificate, tenantry_testkit_postgres::other_root()).unwrap();
    refused(
        &verified(&database, &certificate.display().to_string()),
        PASSWORD,
        "invalid peer certificate",
    )
    .await;
    let absent = root.with_file_name("absent.crt").display().to_string();
    refused(&verified(&database, &absent), PASSWORD, "cannot be used").await;
    std::fs::write(root.with_file_name("empty.crt"), "").unwrap();
    let empty = root.with_file_name("empty.crt").display().to_string();
    refused(&verified(&database, &empty), PASSWORD, "there is none").await;
    // The certificate is for localhost.
    let by_address = verified(&database, &root.display().to_string());
    let by_address = by_address.replace("@localhost", "@127.0.0.1");
    refused(&by_address, PASSWORD, "not valid for name").await;
    let unverified = database.tcp_url(ENCRYPTED, "sslmode=require");
    open(&unverified.replace("@localhost", "@127.0.0.1"), PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_it_is_needed() {
    let database = CLUSTER.database();
    // By its socket a server speaks no TLS.
    open(&database.url(), "").await.unwrap();
    refused(&format!("{}&sslmode=require", database.url()), "", "TLS").await;
}
