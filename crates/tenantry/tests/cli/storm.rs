//! Two servers whose lines to the database are slow, break again and again at whichever statement is
//! under way, and are gone now and then: every change is made once, and every answered call is counted.

use std::time::Duration;

use tenantry_testkit_postgres::Proxy;
use tokio::time::sleep;

use crate::load::Load;
use crate::postgres::Installation;

/// A line breaks at each so many statements: a prime number, so that it is another one each time.
const STATEMENTS: u64 = 97;
/// How often the lines are gone altogether.
const OUTAGES: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_often_lines_break_what_was_answered_is_there_once() {
    let installation = Installation::new();
    installation.run("migrate").succeeded();
    let proxies = [(); 2].map(|()| Proxy::to(&installation.0));
    let servers = proxies.each_ref().map(|proxy| installation.serve_by(proxy, ""));
    let load = Load::on(&installation, &servers).await;
    let clients = load.start(3);
    load.more(5, 10).await;
    for proxy in &proxies {
        proxy.slow_down(Duration::from_millis(1));
        proxy.strike_each(Some(STATEMENTS));
    }
    for _ in 0..OUTAGES {
        load.more(15, 30).await;
        for proxy in &proxies {
            proxy.close();
            sleep(Duration::from_millis(100)).await;
            proxy.open();
        }
    }
    load.more(5, 10).await;
    let struck: u64 = proxies.iter().map(Proxy::struck).sum();
    assert!(struck > 10, "{struck}");
    for proxy in &proxies {
        proxy.strike_each(None);
        proxy.slow_down(Duration::ZERO);
    }
    load.end(clients, &installation, 0).await;
    for server in servers {
        server.terminate();
        assert_eq!(server.end().code, Some(0));
    }
    installation.run("verify").succeeded();
}
