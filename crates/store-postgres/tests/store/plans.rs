//! What the schema and the statements owe to being spread over machines by tenant: each key begins
//! with the tenant, and so does each condition of each statement, so that it is answered from the
//! index by the one machine that has the tenant.
//!
//! No statement is written down here: the store does what it is for on a loaded and analysed database,
//! and the server logs how it went about every statement that came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tenantry_domain::tenant::{Governance, TenantFilter};
use tenantry_store::conformance::builders::{all, platform, system};
use tenantry_store::conformance::{self as suite, Fixture, ManualClock, SeededEntropy};
use tenantry_store_postgres::PostgresStore;
use tenantry_testkit_postgres::Database;

use crate::databases;

/// What is there once, not of one tenant.
const GLOBAL: &[&str] = &[
    "installation",
    "realms",
    "signing_keys",
    "tenantry_migrations",
    "usage_slots",
    "wrapped_keys",
];

/// Statements that are about all tenants, by their beginnings; with the one index that they may use
/// for that, or none if they may read a whole table.
const ABOUT_ALL: &[(&str, Option<&str>)] = &[
    // The settler's.
    ("SELECT min(due_at) FROM expiries", Some("expiries_by_time")),
    ("SELECT tenant_id FROM expiries WHERE due_at <= $1", Some("expiries_by_time")),
    // Marks that have had their time.
    ("SELECT tenant_id, mark_id FROM idempotency_marks", Some("idempotency_marks_by_time")),
    ("SELECT tenant_id, token_id FROM revoked_tokens", Some("revoked_tokens_by_expiry")),
    ("SELECT tenant_id, session_id FROM sessions", Some("sessions_by_expiry")),
    ("SELECT tenant_id, subject FROM sign_in_failures", Some("sign_in_failures_by_age")),
    ("SELECT tenant_id, user_id FROM invitations", Some("invitations_by_expiry")),
    // This one names its tenant, and both indexes are as good.
    ("DELETE FROM idempotency_marks WHERE tenant_id = $1", Some("idempotency_marks_by_time")),
    // Deleted tenants, of which there are few.
    ("SELECT tenant_id FROM purges LIMIT 2", None),
    ("DELETE FROM purges WHERE tenant_id = $1", None),
    // The platform's list of tenants.
    ("SELECT count(*) FROM tenants", None),
    ("SELECT tenant_id, name, display_name", None),
];

/// Fills every table with what other tenants have: so much that reading a whole one would never do.
const OTHERS: &str = "
    CREATE TEMP TABLE others AS SELECT gen_random_uuid() AS id, n FROM generate_series(1, 4000) n;
    INSERT INTO tenants (tenant_id, name, name_key, status, settings, created_at, updated_at)
        SELECT id, 'Other', 'other', 'active', '{}', n, n FROM others;
    INSERT INTO ledger_heads SELECT id, 1, ''::bytea, 0, NULL, 0,0,0,0,0,0,0,0,0,0 FROM others;
    INSERT INTO ledger SELECT id, seq, gen_random_uuid(), seq, 'USER_CREATED', 'user', seq::text,
        NULL, NULL, '', seq::text, 1, NULL, NULL, '', 0,0,0,0,0,0,0,0,0,0, ''
        FROM others, generate_series(1, 6) seq;
    INSERT INTO expiries
        SELECT id, 9000000000000000 + at, 'credential', 1 FROM others, generate_series(1, 3) at;
    INSERT INTO users (tenant_id, user_id, email, email_key, name, name_key, status, tenant_admin,
            member, external_realm, external_subject, created_at, updated_at)
        SELECT id, gen_random_uuid(), u::text, u::text, u::text, u::text, 'active', u = 1, true,
            'realm', u::text, u, u FROM others, generate_series(1, 6) u;
    INSERT INTO api_keys (tenant_id, key_id, name, name_key, prefix, scopes, ip_allowlist, created_at)
        SELECT id, gen_random_uuid(), 'k', 'k', 'tnt', '', '[]', k
        FROM others, generate_series(1, 3) k;
    INSERT INTO api_key_secrets
        SELECT tenant_id, decode(md5(key_id::text), 'hex'), key_id, NULL, 'tnt', 0 FROM api_keys;
    INSERT INTO api_key_uses
        SELECT tenant_id, key_id, secret_hash, s, 0, '192.0.2.1'
        FROM api_key_secrets, generate_series(1, 3) s;
    INSERT INTO oauth_clients (tenant_id, oauth_client_id, client_id, name, name_key, client_type,
            redirect_uris, grant_types, scopes, allowed_origins, ip_allowlist, status, created_at)
        SELECT id, gen_random_uuid(), c::text, 'c', 'c', 'public', '[]', '[]', '', '[]', '[]',
            'active', c FROM others, generate_series(1, 3) c;
    INSERT INTO credentials (tenant_id, credential_id, integration_id, credential_name,
            credential_name_key, auth_type, scopes, metadata, secret, created_at, updated_at)
        SELECT id, gen_random_uuid(), 'github', 'c', 'c', 'custom', '[]', '{}', '', c, c
        FROM others, generate_series(1, 3) c;
    INSERT INTO usage_months SELECT id, m, s, 1
        FROM others, generate_series(24305, 24307) m, generate_series(0, 3) s;
    INSERT INTO usage_hours SELECT id, h, s, 1
        FROM others, generate_series(486000, 486002) h, generate_series(0, 3) s;
    INSERT INTO usage_heartbeats SELECT id, s, 0, 0 FROM others, generate_series(1, 3) s;
    INSERT INTO usage_events SELECT id, 'gateway', e::text, 0 FROM others, generate_series(1, 6) e;
    INSERT INTO storage_sources SELECT id, s::text, 1, 0 FROM others, generate_series(1, 3) s;
    INSERT INTO storage_totals SELECT id, 3 FROM others;
    INSERT INTO revoked_tokens
        SELECT id, gen_random_uuid(), 9000000000000000 FROM others, generate_series(1, 3);
    INSERT INTO sessions
        SELECT id, gen_random_uuid(), gen_random_uuid(), NULL, NULL, 0, 9000000000000000, NULL
        FROM others, generate_series(1, 3);
    INSERT INTO refresh_tokens
        SELECT tenant_id, decode(md5(session_id::text), 'hex'), session_id, 0, NULL FROM sessions;
    INSERT INTO sign_in_failures SELECT id, decode(md5(f::text), 'hex'), 1, 9000000000000000
        FROM others, generate_series(1, 3) f;
    INSERT INTO invitations
        SELECT tenant_id, user_id, decode(md5(user_id::text), 'hex'), 0, 9000000000000000 FROM users;
    INSERT INTO idempotency_marks SELECT id, decode(md5(m::text), 'hex'), '', '',
        9000000000000000, NULL FROM others, generate_series(1, 3) m;
";

/// Has the server log the plan of each statement, from the next connection on.
const LOG_PLANS: &str = "
    DO $$ DECLARE setting text; BEGIN
        FOREACH setting IN ARRAY ARRAY[
            'session_preload_libraries = auto_explain', 'auto_explain.log_min_duration = 0',
            'auto_explain.log_format = json', 'auto_explain.log_timing = off'] LOOP
            EXECUTE format('ALTER DATABASE %I SET %s', current_database(), setting);
        END LOOP;
    END $$";

/// Does, on a loaded database, what the store is for.
async fn exercise(f: &Fixture) {
    let tenant = f.tenant("Late").await;
    f.credential(tenant, Some(f.in_millis(10))).await;
    f.clock.advance(10);
    assert_eq!(f.store.settle(10).await.unwrap().entries, 1);
    suite::marks::old_marks_are_forgotten(f).await;
    suite::users::each_step_is_counted(f).await;
    suite::users::callers_are_known_as_they_are_now(f).await;
    suite::users::an_external_id_is_unique_in_its_tenant(f).await;
    suite::imports::one_collision_keeps_all_out(f).await;
    suite::imports::an_import_is_one_entry(f).await;
    suite::erasure::a_person_is_erased_everywhere(f).await;
    suite::api_keys::each_step_is_counted(f).await;
    suite::api_keys::an_old_secret_lives_to_the_end_of_its_grace(f).await;
    suite::key_uses::each_text_has_its_newest_use(f).await;
    suite::key_uses::a_change_notes_the_use_of_its_key(f).await;
    suite::oauth_clients::each_step_is_counted(f).await;
    suite::tokens::what_is_over_is_forgotten(f).await;
    suite::tokens::what_was_ended_is_known_at_once(f).await;
    suite::tokens::clients_are_known_as_they_are_now(f).await;
    suite::tokens::a_client_is_found_by_what_it_presents(f).await;
    suite::oauth_clients::a_new_secret_leaves_an_entry(f).await;
    suite::credentials::each_step_is_counted(f).await;
    suite::credentials::revealing_leaves_an_entry(f).await;
    suite::seals::everything_that_is_sealed_is_gone_through(f).await;
    suite::realms::each_step_is_told(f).await;
    suite::realms::a_change_after_the_realm_has_changed_does_not_happen(f).await;
    suite::lists::totals_are_the_statistics(f).await;
    suite::lists::users_are_found_by_a_part(f).await;
    suite::lists::credentials_are_found_by_integration(f).await;
    suite::pages::a_cursor_keeps_its_place(f).await;
    suite::pages::filters_and_orders_go_together(f).await;
    suite::audit_log::entries_are_found(f).await;
    suite::history::the_past_is_as_it_was_seen(f).await;
    suite::calls::calls_add_up(f).await;
    suite::calls::a_change_counts_its_call(f).await;
    suite::reports::a_repeat_is_counted_once(f).await;
    suite::reports::storage_is_the_sum_of_its_sources(f).await;
    suite::expiry::a_change_settles_what_is_due(f).await;
    suite::marks::a_repetition_gets_the_first_answer(f).await;
    suite::marks::no_answer_tells_of_who_was_erased(f).await;
    f.store.list_tenants(&platform(), &TenantFilter::default(), &all()).await.unwrap();
    f.store.govern_tenant(&system(tenant), Governance::Delete).await.unwrap();
    while f.store.purge(1_000).await.unwrap().more {}
    // These let months pass.
    suite::sessions::a_session_ends_by_itself(f).await;
    suite::sign_ins::failures_are_forgotten_after_a_day(f).await;
    suite::sign_ins::an_invitation_has_its_time(f).await;
    suite::sessions::a_refresh_token_is_good_once(f).await;
    suite::sessions::who_is_shut_out_has_no_session(f).await;
    suite::sign_ins::success_takes_failures_back(f).await;
    suite::sign_ins::an_invitation_sets_a_password_once(f).await;
}

/// Counts calls of several tenants at once, and of one that is gone.
async fn count_calls(f: &Fixture) {
    suite::calls::calls_add_up(f).await;
    suite::calls::only_activity_is_activity(f).await;
    suite::tenants::calls_of_a_deleted_tenant_hold_nobody_up(f).await;
    suite::key_uses::each_text_has_its_newest_use(f).await;
}

/// Waits until nobody is connected.
async fn alone(database: &Database) {
    let others = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    while database.run(others) != "0" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A node of a plan that reads a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Scan {
    statement: String,
    table: String,
    index: Option<String>,
    /// What is looked for in the index.
    condition: String,
}

impl Scan {
    /// Whether its statement counts calls of many tenants.
    fn is_of_many(&self) -> bool {
        self.statement.contains("unnest($2::uuid[]")
    }

    /// What is wrong with it, if something is.
    fn is_wrong(&self) -> bool {
        // Calls of many tenants are counted at once where tenants are in one database; else it is a
        // value, and not what another table has.
        let names_tenant = if self.is_of_many() {
            self.condition.contains("(tenant_id = ")
        } else {
            ["(tenant_id = '", "(tenant_id = $"].iter().any(|it| self.condition.contains(it))
        };
        let may = |index: Option<&str>| index.is_none_or(|it| self.index.as_deref() == Some(it));
        let is_exception = |(beginning, index): &(&str, Option<&str>)| {
            self.statement.starts_with(beginning) && may(*index)
        };
        !names_tenant && !ABOUT_ALL.iter().any(is_exception)
    }
}

/// The scans of every plan in a part of the server's log, and how many plans there are.
fn scans(log: &str) -> (BTreeSet<Scan>, usize) {
    let mut scans = BTreeSet::new();
    let mut count = 0;
    for text in log.split("  plan:\n").skip(1) {
        let text: String = text.lines().take_while(|line| line.starts_with('\t')).collect();
        let plan: Value = serde_json::from_str(&text.replace('\t', " ")).unwrap();
        let statement = plan["Query Text"].as_str().unwrap();
        let statement = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        collect(&plan["Plan"], &statement, None, &mut scans);
        count += 1;
    }
    (scans, count)
}

fn collect(node: &Value, statement: &str, table: Option<&str>, scans: &mut BTreeSet<Scan>) {
    let text = |name: &str| node[name].as_str();
    let kind = text("Node Type").unwrap();
    let table = text("Relation Name").or(table);
    // What a bitmap finds is read by the node above it.
    let is_scan = kind.ends_with("Scan") && kind != "Bitmap Heap Scan";
    if let (true, Some(table)) = (is_scan, table) {
        scans.insert(Scan {
            statement: statement.to_owned(),
            table: table.to_owned(),
            index: text("Index Name").map(str::to_owned),
            condition: text("Index Cond").unwrap_or_default().to_owned(),
        });
    }
    let table = table.filter(|_| kind.starts_with("Bitmap"));
    for child in node["Plans"].as_array().into_iter().flatten() {
        collect(child, statement, table, scans);
    }
}

async fn open(database: &Database, seed: u64) -> Fixture {
    let (clock, entropy) = (Arc::new(ManualClock::default()), Arc::new(SeededEntropy::new(seed)));
    let options = databases::options(database);
    let store = PostgresStore::serve(&options, clock.clone(), entropy.clone()).await.unwrap();
    Fixture::new(Arc::new(store), clock, entropy, ())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_names_its_tenant_and_is_answered_from_an_index() {
    let database = databases::migrated().await;
    database.run(OTHERS);
    database.run("VACUUM ANALYZE");
    let tables = tenant_tables(&database);
    database.run(LOG_PLANS);
    let served = open(&database, 1).await;
    exercise(&served).await;
    drop(served);
    alone(&database).await;
    let in_one_database = database.log();
    // The same database, as if it were the one that others are beside.
    database.run(CITUS);
    let served = open(&database, 2).await;
    count_calls(&served).await;
    drop(served);
    alone(&database).await;

    let log = database.log();
    let (of_calls, _) = scans(log.strip_prefix(&in_one_database).unwrap());
    let counts = |scan: &&Scan| {
        ["INSERT INTO usage_", "INSERT INTO api_key_uses"]
            .iter()
            .any(|it| scan.statement.starts_with(it))
    };
    let counting: Vec<_> = of_calls.iter().filter(counts).collect();
    assert!(!counting.is_empty());
    assert!(counting.iter().all(|scan| !scan.is_of_many()), "{counting:#?}");
    let (mut scans, plans) = scans(&log);
    assert!(plans > 1_000, "only {plans} plans were logged");
    assert!(scans.iter().any(Scan::is_of_many));
    // What the others have does not fit together, and was never meant to.
    for table in tables.iter().filter(|table| *table != "tenants") {
        let others = "SELECT tenant_id FROM tenants WHERE name = 'Other'";
        database.run(&format!("DELETE FROM {table} WHERE tenant_id IN ({others})"));
    }
    database.run("DELETE FROM tenants WHERE name = 'Other'");
    suite::assert_exact(&open(&database, 3).await).await;
    scans.retain(|scan| tables.contains(&scan.table));
    let wrong: Vec<_> = scans.iter().filter(|scan| scan.is_wrong()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let mut by_index = BTreeMap::<_, BTreeSet<_>>::new();
    for scan in &scans {
        by_index.entry(&scan.table).or_default().extend(&scan.index);
    }
    // Each table was asked for something.
    assert!(by_index.keys().copied().eq(&tables), "{by_index:#?}");
    // Each exception is one still.
    for (beginning, _) in ABOUT_ALL {
        assert!(scans.iter().any(|scan| scan.statement.starts_with(beginning)), "{beginning}");
    }
}

fn lines(database: &Database, sql: &str) -> BTreeSet<String> {
    database.run(sql).lines().map(str::to_owned).collect()
}

fn tenant_tables(database: &Database) -> BTreeSet<String> {
    let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'";
    let mut tables = lines(database, tables);
    tables.retain(|table| !GLOBAL.contains(&table.as_str()));
    tables
}

#[tokio::test]
async fn the_schema_can_be_spread_by_tenant() {
    let database = databases::migrated().await;
    let tables = tenant_tables(&database);
    let with_tenant = "SELECT table_name FROM information_schema.columns
        WHERE table_schema = 'public' AND column_name = 'tenant_id'
            AND data_type = 'uuid' AND is_nullable = 'NO'";
    assert_eq!(lines(&database, with_tenant), tables);
    // Each primary key, and each unique one.
    let keys = "SELECT r.relname || '.' || i.relname, c.attname
        FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class r ON r.oid = x.indrelid
            JOIN pg_attribute c ON c.attrelid = r.oid AND c.attnum = x.indkey[0]
        WHERE x.indisunique AND r.relnamespace = 'public'::regnamespace";
    let keys = lines(&database, keys);
    let keys: Vec<_> = keys
        .iter()
        .filter(|key| !GLOBAL.iter().any(|table| key.starts_with(&format!("{table}."))))
        .collect();
    assert!(keys.len() >= tables.len());
    assert!(keys.iter().all(|key| key.ends_with("|tenant_id")), "{keys:#?}");
    // None but those of the database itself.
    let triggers = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT conname FROM pg_constraint WHERE contype = 'f' AND confdeltype IN ('n', 'd')
        UNION ALL SELECT rulename FROM pg_rules WHERE schemaname = 'public'";
    assert_eq!(database.run(triggers), "");
    // Each foreign key, of which there is none yet.
    let foreign = "SELECT conname FROM pg_constraint f
            JOIN pg_attribute c ON c.attrelid = f.conrelid AND c.attnum = f.conkey[1]
        WHERE contype = 'f' AND c.attname <> 'tenant_id'";
    assert_eq!(database.run(foreign), "");
}

/// What looks like Citus to whoever migrates, and notes what is asked of it. It is not loaded, so
/// nothing is spread.
const CITUS: &str = "
    CREATE SCHEMA citus;
    CREATE TABLE citus.asked (number serial, function text, spread regclass, of text, beside text);
    CREATE FUNCTION create_distributed_table(spread regclass, of text, colocate_with text DEFAULT 'default')
        RETURNS void LANGUAGE plpgsql AS $$ BEGIN
            ASSERT colocate_with = 'default'
                OR colocate_with IN (SELECT table_name::text FROM citus_tables);
            INSERT INTO citus.asked (function, spread, of, beside)
                VALUES ('distributed', $1, $2, $3);
        END $$;
    CREATE VIEW citus_tables AS
        SELECT spread AS table_name, function AS citus_table_type FROM citus.asked;
    CREATE FUNCTION create_reference_table(copied regclass)
        RETURNS void LANGUAGE sql AS $$ INSERT INTO citus.asked (function, spread, of, beside)
            VALUES ('reference', $1, '', '') $$;
    INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
        VALUES (16000, 'citus', 10, 'citus'::regnamespace, false, '13.2')";

#[tokio::test]
async fn where_tables_are_spread_each_has_its_place() {
    let database = databases::CLUSTER.database();
    database.run(CITUS);
    let (clock, entropy) = (Arc::new(ManualClock::default()), Arc::new(SeededEntropy::new(1)));
    let options = databases::options(&database);
    let (store, applied) = PostgresStore::migrate(&options, clock, entropy).await.unwrap();
    drop(store);
    let tables = tenant_tables(&database);
    let told = [
        "0001_initial (Citus: 17 tables spread by tenant_id, 3 copied to every node)",
        "0002_api_key_uses (Citus: 1 tables spread by tenant_id, 0 copied to every node)",
        "0003_revoked_tokens (Citus: 1 tables spread by tenant_id, 0 copied to every node)",
        "0004_realms (Citus: 0 tables spread by tenant_id, 1 copied to every node)",
        "0005_sessions (Citus: 4 tables spread by tenant_id, 0 copied to every node)",
        "0006_signing_keys_rotate (Citus: 0 tables spread by tenant_id, 0 copied to every node)",
        "0007_wrapped_keys (Citus: 0 tables spread by tenant_id, 1 copied to every node)",
    ];
    assert_eq!(applied, told);
    let asked = |condition: &str| {
        lines(&database, &format!("SELECT spread FROM citus.asked WHERE {condition}"))
    };
    assert_eq!(asked("function = 'distributed' AND of = 'tenant_id'"), tables);
    // Tenants first, and all others beside them.
    assert_eq!(asked("number = 1 AND beside = 'default'"), BTreeSet::from(["tenants".to_owned()]));
    assert_eq!(asked("beside = 'tenants'").len(), tables.len() - 1);
    // Which migrations were applied is asked for by whoever migrates alone.
    let mut global: BTreeSet<_> = GLOBAL.iter().map(|table| (*table).to_owned()).collect();
    global.remove("tenantry_migrations");
    assert_eq!(asked("function = 'reference'"), global);
}

/// The tables that every node has a copy of: which migrations were applied is asked for by whoever
/// migrates alone.
const COPIED: usize = GLOBAL.len() - 1;

/// What is told when so many tables are spread.
fn spread_of(tables: usize) -> String {
    format!("Citus: {tables} tables spread by tenant_id, {COPIED} copied to every node")
}

/// So are those that a later version makes beside them.
#[tokio::test]
async fn tables_of_before_are_spread_after_the_next_migrations() {
    let (newest, database) = (databases::migrated().await, databases::CLUSTER.database());
    let first = "SELECT checksum FROM tenantry_migrations WHERE version = 1";
    let first = newest.run(first);
    database.run(include_str!("../../migrations/0001_initial.sql"));
    database.run(&format!(
        "CREATE TABLE tenantry_migrations (version bigint PRIMARY KEY, name text NOT NULL,
             checksum text NOT NULL, applied_at bigint NOT NULL);
         INSERT INTO tenantry_migrations VALUES (1, 'initial', '{first}', 0)"
    ));
    database.run(CITUS);
    let (clock, entropy) = (Arc::new(ManualClock::default()), Arc::new(SeededEntropy::new(1)));
    let options = databases::options(&database);
    let (store, done) = PostgresStore::migrate(&options, clock, entropy).await.unwrap();
    drop(store);
    let tables = tenant_tables(&database);
    let told = spread_of(tables.len());
    assert_eq!((done[0].as_str(), done.last()), ("0002_api_key_uses", Some(&told)));
    let spread = "SELECT spread FROM citus.asked WHERE function = 'distributed'";
    assert_eq!(lines(&database, spread), tables);
}

/// Those that are there when the extension is made are spread by the next who migrates, once.
#[tokio::test]
async fn tables_of_before_are_spread_too() {
    let database = databases::migrated().await;
    let migrate = async || {
        let clock = Arc::new(ManualClock::default());
        let entropy = Arc::new(SeededEntropy::new(1));
        let options = databases::options(&database);
        PostgresStore::migrate(&options, clock, entropy).await.unwrap().1
    };
    assert_eq!(migrate().await, [""; 0]);
    let tables = tenant_tables(&database);
    database.run(CITUS);
    // Whoever serves does not begin with it.
    drop(open(&database, 1).await);
    assert_eq!(database.run("SELECT count(*) FROM citus.asked"), "0");
    // One has its place already.
    database.run("SELECT create_distributed_table('tenants', 'tenant_id')");
    assert_eq!(migrate().await, [spread_of(tables.len() - 1)]);
    let spread = "SELECT spread FROM citus.asked WHERE function = 'distributed'";
    assert_eq!(lines(&database, spread), tables);
    assert_eq!(migrate().await, [""; 0]);
    assert_eq!(
        database.run("SELECT count(*) FROM citus.asked"),
        (tables.len() + COPIED).to_string()
    );
}
