//! The bare route: a server that answers the statistics' bytes without any work. Whatever else a
//! request costs, it costs this.
//!
//! Takes the file that holds the bytes; prints the address it answers on.

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use mimalloc::MiMalloc;
use tokio::net::TcpListener;

/// The server's allocator, so that no difference comes from that.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[expect(clippy::print_stdout, reason = "whoever starts it reads the address")]
#[tokio::main]
async fn main() -> Result<()> {
    let file = std::env::args().nth(1).context("the file with the answer's bytes is missing")?;
    let body = Bytes::from(std::fs::read(&file).with_context(|| format!("cannot read {file}"))?);
    let answer = move || {
        let body = body.clone();
        async move { ([(CONTENT_TYPE, "application/json")], body) }
    };
    let app = Router::new().route("/api/v1/admin/tenants/{tenantId}/stats", get(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // Only the latency of a measurement depends on it.
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, app).await?)
}
