//! What opening a data directory refuses, and what it says.

use std::path::Path;
use std::sync::Arc;

use tenantry_domain::api_key::{ApiKeyField, ApiKeyFilter};
use tenantry_domain::credential::{CredentialField, CredentialFilter};
use tenantry_domain::id::TenantId;
use tenantry_domain::oauth_client::{OauthClientField, OauthClientFilter};
use tenantry_domain::page::{PageRequest, PageStart};
use tenantry_domain::sort::{Listed, Sort};
use tenantry_domain::tenant::TenantFilter;
use tenantry_domain::text::Name;
use tenantry_domain::user::{UserField, UserFilter};
use tenantry_store::conformance::builders::{self, all, platform, system};
use tenantry_store::conformance::{Fixture, ManualClock, SeededEntropy, assert_exact};
use tenantry_store::{Recounts as _, Seals as _, Tenants as _};
use tenantry_store_sqlite::{OpenError, SqliteStore};

fn serve(directory: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::serve(
        directory,
        Arc::new(ManualClock::default()),
        Arc::new(SeededEntropy::default()),
    )
}

fn attach(directory: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::attach(
        directory,
        Arc::new(ManualClock::default()),
        Arc::new(SeededEntropy::default()),
    )
}

/// Runs SQL on the database behind Tenantry's back.
fn tamper(directory: &Path, sql: &str) {
    rusqlite::Connection::open(directory.join("tenantry.db")).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_second_server_is_refused_and_the_command_line_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path()).unwrap();
    assert!(matches!(serve(directory.path()), Err(OpenError::InUse(_))));
    drop(attach(directory.path()).unwrap());
    drop(server);
    serve(directory.path()).unwrap();
}

#[test]
fn migrations_are_applied_once() {
    let directory = tempfile::tempdir().unwrap();
    let migrate = || {
        let (clock, entropy) = (ManualClock::default(), SeededEntropy::default());
        SqliteStore::migrate(directory.path(), Arc::new(clock), Arc::new(entropy)).unwrap().1
    };
    assert_eq!(
        migrate(),
        [
            "0001_initial",
            "0002_api_key_rotation",
            "0003_erasure_and_purge",
            "0004_idempotency",
            "0005_sort_keys",
            "0006_marks_of_people",
            "0007_outside_changes",
            "0008_outside_changes_are_announced",
            "0009_api_key_uses",
            "0010_revoked_tokens",
            "0011_realms",
            "0012_sessions",
            "0013_signing_keys_rotate",
            "0014_wrapped_keys",
            "0001_calls",
            "0002_calls_installation",
            "0003_calls_api_key_uses",
        ]
    );
    assert!(migrate().is_empty());
}

#[test]
fn keys_that_were_there_keep_their_secrets() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection.execute_batch(include_str!("../../migrations/0001_initial.sql")).unwrap();
    connection
        .execute_batch(
            "INSERT INTO api_keys VALUES
                 (x'01', x'02', 'key', 'tnt_1', x'aa', '', NULL, '[]', 1, NULL, NULL),
                 (x'01', x'03', 'key', 'tnt_2', x'bb', '', NULL, '[]', 1, NULL, 5)",
        )
        .unwrap();
    connection.execute_batch(include_str!("../../migrations/0002_api_key_rotation.sql")).unwrap();
    let find = |hash: &str| -> (String, Option<i64>) {
        let sql = format!(
            "SELECT prefix, ends_at FROM api_key_secrets JOIN api_keys USING (tenant_id, key_id)
             WHERE tenant_id = x'01' AND secret_hash = {hash}"
        );
        connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    assert_eq!(find("x'aa'"), ("tnt_1".to_owned(), None));
    assert_eq!(find("x'bb'"), ("tnt_2".to_owned(), None));

    // One of them is rotated before it is kept how each text begins and when it came.
    connection
        .execute_batch(
            "UPDATE api_key_secrets SET ends_at = 7 WHERE secret_hash = x'aa';
             INSERT INTO api_key_secrets VALUES (x'01', x'cc', x'02', NULL)",
        )
        .unwrap();
    connection.execute_batch(include_str!("../../migrations/0009_api_key_uses.sql")).unwrap();
    let told = |hash: &str| -> (String, i64) {
        let sql =
            format!("SELECT prefix, created_at FROM api_key_secrets WHERE secret_hash = {hash}");
        connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    assert_eq!(told("x'aa'"), (String::new(), 1));
    assert_eq!(told("x'bb'"), ("tnt_2".to_owned(), 1));
    assert_eq!(told("x'cc'"), ("tnt_1".to_owned(), 1));
}

/// Names from before there were keys to sort by have one after the migration.
#[tokio::test]
async fn names_that_were_there_are_sorted_and_found() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = || {
        let (clock, entropy) = Default::default();
        let store = Arc::new(serve(directory.path()).unwrap());
        Fixture::new(store, clock, entropy, ())
    };
    let f = fixture();
    let tenant = f.tenant("ÄRZTE").await;
    for (place, name) in ["ß", "ÆRØ", "ann"].into_iter().enumerate() {
        let mut new = f.new_user(&format!("{place}@example.com"));
        new.name = Some(builders::name(name));
        f.store.create_user(&system(tenant), new).await.unwrap();
        let mut new = f.new_api_key(None);
        new.name = builders::name(name);
        f.store.create_api_key(&system(tenant), new).await.unwrap();
        let mut new = f.new_oauth_client();
        new.name = builders::name(name);
        f.store.create_oauth_client(&system(tenant), new).await.unwrap();
        let mut new = f.new_credential(None);
        new.credential_name = builders::name(name);
        f.store.create_credential(&system(tenant), new).await.unwrap();
    }
    f.user(tenant, "nameless@example.com").await;
    drop(f);
    tamper(
        directory.path(),
        "ALTER TABLE tenants DROP COLUMN name_key;
         ALTER TABLE tenants DROP COLUMN display_name_key;
         ALTER TABLE tenants ADD COLUMN search_key TEXT NOT NULL DEFAULT '';
         ALTER TABLE users DROP COLUMN name_key;
         ALTER TABLE users ADD COLUMN search_key TEXT NOT NULL DEFAULT '';
         ALTER TABLE api_keys DROP COLUMN name_key;
         ALTER TABLE oauth_clients DROP COLUMN name_key;
         ALTER TABLE credentials DROP COLUMN credential_name_key;
         DROP INDEX idempotency_marks_by_user;
         ALTER TABLE idempotency_marks DROP COLUMN user_id;
         DROP TABLE api_key_uses;
         DROP TABLE revoked_tokens;
         DROP TABLE sessions;
         DROP TABLE refresh_tokens;
         DROP TABLE sign_in_failures;
         DROP TABLE invitations;
         ALTER TABLE oauth_clients DROP COLUMN jwks;
         ALTER TABLE api_keys ADD COLUMN last_used_at INTEGER;
         ALTER TABLE api_keys DROP COLUMN rate_limit;
         ALTER TABLE api_key_secrets DROP COLUMN prefix;
         ALTER TABLE api_key_secrets DROP COLUMN created_at;
         DROP TABLE realms;
         ALTER TABLE signing_keys DROP COLUMN needed_until;
         DROP TABLE wrapped_keys;
         DELETE FROM schema_migrations WHERE version >= 5",
    );

    let f = fixture();
    let access = system(tenant);
    let filter = TenantFilter { q: Some("äRz".to_owned()), ..TenantFilter::default() };
    let found = f.store.list_tenants(&platform(), &filter, &all()).await.unwrap();
    assert_eq!(found.items.iter().map(|it| it.id).collect::<Vec<_>>(), [tenant]);
    let page = by(UserField::Name);
    let users = f.store.list_users(&access, &UserFilter::default(), &page).await.unwrap().items;
    let names: Vec<_> = users.iter().map(|it| it.name.as_ref().map(Name::as_str)).collect();
    assert_eq!(names, [Some("ann"), Some("ß"), Some("ÆRØ"), None]);
    let page = by(ApiKeyField::Name);
    let keys = f.store.list_api_keys(&access, ApiKeyFilter::default(), &page).await.unwrap();
    let page = by(OauthClientField::Name);
    let filter = OauthClientFilter::default();
    let clients = f.store.list_oauth_clients(&access, filter, &page).await.unwrap();
    let page = by(CredentialField::CredentialName);
    let filter = CredentialFilter::default();
    let credentials = f.store.list_credentials(&access, &filter, &page).await.unwrap();
    for names in [
        keys.items.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(),
        clients.items.iter().map(|it| it.name.as_str()).collect(),
        credentials.items.iter().map(|it| it.credential_name.as_str()).collect(),
    ] {
        assert_eq!(names, ["ann", "ß", "ÆRØ"]);
    }
    assert_exact(&f).await;
}

/// The first page in the order of this field.
fn by<T: Listed>(field: T::Field) -> PageRequest<T> {
    let sort = Sort { field, descending: false };
    PageRequest { limit: 500, from: PageStart::Offset { sort, offset: 0 } }
}

/// A process that died between the migrations and what comes after them.
#[tokio::test]
async fn the_platform_is_made_if_it_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    drop(serve(directory.path()).unwrap());
    tamper(directory.path(), "DELETE FROM tenants; DELETE FROM ledger; DELETE FROM ledger_heads");
    let store = serve(directory.path()).unwrap();
    let platform = store.tenant(&system(TenantId::PLATFORM)).await.unwrap();
    assert_eq!(platform.name.as_str(), "Platform");
    drop(store);
    let store = serve(directory.path()).unwrap();
    assert_eq!(store.entries_after(TenantId::PLATFORM, 0, 10).await.unwrap().len(), 1);
}

#[test]
fn a_database_from_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(serve(directory.path()).unwrap());
    tamper(directory.path(), "INSERT INTO schema_migrations VALUES (999, 'later', 'x', 0)");
    for refused in [serve(directory.path()), attach(directory.path())] {
        let error = refused.unwrap_err();
        assert!(matches!(error, OpenError::Newer { found: 999, .. }), "{error}");
        assert!(error.to_string().contains("run the newer Tenantry"), "{error}");
    }
}

#[test]
fn a_changed_migration_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(serve(directory.path()).unwrap());
    tamper(directory.path(), "UPDATE schema_migrations SET checksum = 'other'");
    assert!(matches!(serve(directory.path()), Err(OpenError::Altered { version: 1, .. })));
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tenantry.db");
    let letter = "Dear reader, this is not a database. ".repeat(100);
    std::fs::write(&file, &letter).unwrap();
    assert!(matches!(serve(directory.path()), Err(OpenError::Corrupt { .. })));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), letter);
}

#[test]
fn another_programs_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    tamper(directory.path(), "CREATE TABLE recipes (name TEXT)");
    assert!(matches!(serve(directory.path()), Err(OpenError::Corrupt { .. })));
}

#[test]
fn the_command_line_needs_a_database() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(attach(directory.path()), Err(OpenError::Absent(_))));
    assert!(!directory.path().join("tenantry.db").exists());
}

#[test]
fn a_path_below_a_file_cannot_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = serve(&file.join("data")).unwrap_err();
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error}");
}

#[tokio::test]
async fn what_a_stopped_writer_was_given_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = serve(directory.path()).unwrap();
    store.bind_master_key("first").await.unwrap();
    drop(store);
    let store = serve(directory.path()).unwrap();
    assert_eq!(store.master_keys().await.unwrap().bound.as_deref(), Some("first"));
}
