//! An answered call is a counted call, whatever callers do.

use std::sync::Arc;
use std::time::Duration;

use tenantry_domain::error::Error;
use tenantry_domain::id::TenantId;
use tenantry_domain::stats::Statistics;
use tenantry_domain::usage::Call;
use tenantry_testkit::TestApp;

fn call(app: &TestApp, tenant: TenantId) -> Call {
    Call::new(tenant, app.now(), true)
}

async fn counted(app: &TestApp, tenant: TenantId) -> u64 {
    statistics(app, tenant).await.calls_this_month
}

async fn statistics(app: &TestApp, tenant: TenantId) -> Statistics {
    let principal = tenantry_domain::access::CallerProbe::of_tenant(tenant);
    let (_, statistics) = app.service.store().statistics(&principal, tenant).await.unwrap();
    statistics.open(&TestApp::access(tenant)).unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_counted_once_before_it_returns() {
    let app = Arc::new(TestApp::start().await);
    let tenants = [app.tenant("One").await, app.tenant("Two").await];
    let tasks: Vec<_> = (0..400_usize)
        .map(|number| {
            let (app, tenant) = (Arc::clone(&app), *tenants.get(number % 2).unwrap());
            tokio::spawn(async move {
                let call = call(&app, tenant);
                app.service.meter().count(&call).await.unwrap();
                assert!(call.is_counted());
                // Counting it again changes nothing.
                app.service.meter().count(&call).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for tenant in tenants {
        assert_eq!(counted(&app, tenant).await, 200);
    }
    app.assert_exact().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_go_away_hold_up_nobody() {
    let app = Arc::new(TestApp::start().await);
    let tenant = app.tenant("Acme").await;
    for round in 0..50_u64 {
        let gone: Vec<_> = (0..8)
            .map(|_| {
                let app = Arc::clone(&app);
                tokio::spawn(async move {
                    let call = call(&app, tenant);
                    app.service.meter().count(&call).await
                })
            })
            .collect();
        tokio::task::yield_now().await;
        gone.iter().for_each(tokio::task::JoinHandle::abort);
        let before = counted(&app, tenant).await;
        app.service.meter().count(&call(&app, tenant)).await.unwrap();
        assert!(counted(&app, tenant).await > before, "round {round}");
    }
    let total = counted(&app, tenant).await;
    assert!((50..=450).contains(&total), "{total}");
    app.assert_exact().await;
}

#[tokio::test]
async fn a_closed_meter_has_written_what_it_took_and_takes_no_more() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    app.service.ready().await.unwrap();
    let first = call(&app, tenant);
    let (counted_first, ()) =
        tokio::join!(app.service.meter().count(&first), app.service.meter().close());
    // Whether it came before the closing or after, what it was told is what happened.
    assert_eq!(counted(&app, tenant).await, u64::from(counted_first.is_ok()));
    let late = app.service.meter().count(&call(&app, tenant)).await;
    assert!(matches!(late, Err(Error::Unavailable(_))));
    // A server whose calls are not counted has nothing to answer.
    assert!(matches!(app.service.ready().await, Err(Error::Unavailable(_))));
    app.service.meter().close().await;
    app.assert_exact().await;
}

#[tokio::test]
async fn the_settler_follows_the_clock() {
    let app = TestApp::start().await;
    let tenant = app.tenant("Acme").await;
    let draft = tenantry_service::ApiKeyDraft {
        name: tenantry_domain::text::Name::parse("short").unwrap(),
        scopes: tenantry_domain::scope::Scopes::default(),
        expires_at: Some(app.now().plus_millis(5)),
        ip_allowlist: Vec::new(),
        rate_limit: None,
    };
    app.service.create_api_key(&TestApp::access(tenant), draft).await.unwrap();
    let store = Arc::clone(app.service.store());
    let settler = tokio::spawn(tenantry_service::settler::run(
        Arc::clone(&store),
        Arc::clone(&app.clock) as _,
    ));
    let entries = async || store.entries_after(tenant, 0, 10).await.unwrap();
    assert_eq!(entries().await.len(), 2);
    app.clock.advance(5);
    let settled = async {
        while entries().await.len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), settled).await.unwrap();
    let newest = entries().await.pop().unwrap();
    assert_eq!(newest.action.as_str(), "API_KEY_EXPIRED");
    assert_eq!(newest.at, app.now());
    settler.abort();
    app.assert_exact().await;
}

#[tokio::test]
async fn a_call_on_behalf_of_a_tenant_is_counted_for_it_and_is_no_sign_of_its_life() {
    let app = TestApp::start().await;
    let (gateway, tenant) = (app.tenant("Gateway").await, app.tenant("Dormant").await);
    let call = call(&app, gateway);
    call.count_for(tenant);
    app.service.meter().count(&call).await.unwrap();
    let seen = statistics(&app, tenant).await;
    assert_eq!((seen.calls_this_month, seen.last_activity), (1, None));
    assert_eq!(counted(&app, gateway).await, 0);
    app.assert_exact().await;
}
