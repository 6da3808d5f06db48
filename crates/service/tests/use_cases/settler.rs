//! What the settler does beside settling.

use std::sync::Arc;
use std::time::Duration;

use tenantry_domain::tenant::Governance;
use tenantry_testkit::TestApp;

#[tokio::test]
async fn the_settler_purges_what_deleted_tenants_leave() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    // More than is removed at once.
    for number in 0..600 {
        app.user(tenant, &format!("user-{number}@example.com"), false).await;
    }
    app.service.govern_tenant(&TestApp::access(tenant), Governance::Delete).await.unwrap();
    let store = Arc::clone(app.service.store());
    let remains = async || store.recount(tenant).await.unwrap().unwrap().remains;
    assert_eq!(remains().await, 600);
    let settler = tokio::spawn(tenantry_service::settler::run(
        Arc::clone(&store),
        Arc::clone(&app.clock) as _,
    ));
    let purged = async {
        while remains().await > 0 {
            app.assert_exact().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), purged).await.unwrap();
    settler.abort();
    app.assert_exact().await;
}
