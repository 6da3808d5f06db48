//! A cluster is there when it is asked for, and is gone with the process that asked.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::sync::LazyLock;

use tenantry_testkit_postgres::Cluster;

static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

#[test]
fn a_copy_is_a_database_of_its_own() {
    let template = CLUSTER.database();
    template.run("CREATE TABLE things (name text); INSERT INTO things VALUES ('one')");
    let copy = CLUSTER.copy_of(&template);
    copy.run("INSERT INTO things VALUES ('two')");
    let count = "SELECT count(*) FROM things";
    assert_eq!((template.run(count), copy.run(count)), ("1".to_owned(), "2".to_owned()));
    assert_ne!(template.url(), copy.url());
}

/// A test that forgets to say how text is sorted is to find out.
#[test]
fn text_is_not_sorted_by_code_points_unless_that_is_said() {
    let database = CLUSTER.database();
    assert_eq!(database.run("SELECT 'a' < 'B', 'a' COLLATE \"C\" < 'B'"), "t|f");
}
