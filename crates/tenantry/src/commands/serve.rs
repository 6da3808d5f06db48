//! `serve`: runs the server.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tenantry_domain::clock::SystemClock;
use tenantry_service::{Service, master_keys, settler, signing_keys};
use tokio::net::TcpListener;

use super::print;
use crate::cli::ServerFlags;
use crate::config::Settings;
use crate::{files, installation, shutdown};

/// Runs the server until it is asked to stop.
pub(crate) async fn run(settings: &Settings, flags: &ServerFlags) -> Result<()> {
    let listener = listen(settings.listen(flags)).await?;
    let clock = Arc::new(SystemClock);
    let service = installation::serve(settings, settings.place(), clock).await?;
    serve(settings, flags, listener, service, |_| Ok(())).await
}

/// Binds the address before anything else is done, so that a mistaken one changes nothing.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: choose another address with --listen")
    })
}

/// Answers requests; `ready` is called with the server's URL once it does.
pub(crate) async fn serve(
    settings: &Settings,
    flags: &ServerFlags,
    listener: TcpListener,
    service: Service,
    ready: impl FnOnce(&str) -> Result<()>,
) -> Result<()> {
    let url = format!("http://{}", listener.local_addr()?);
    let service = Arc::new(service);
    let settler = tokio::spawn(settler::run(Arc::clone(service.store()), Arc::new(SystemClock)));
    let age = settings.signing_key_age(flags);
    let signing_keys = tokio::spawn(signing_keys::run(Arc::clone(&service), age));
    let master_keys = tokio::spawn(master_keys::run(Arc::clone(&service)));
    // Whoever reads the line may ask to stop at once.
    let stop = shutdown::listen().context("cannot listen for signals")?;
    print(&format!("tenantry listening on {url}\n"))?;
    ready(&url)?;
    let mut web = settings.web(flags);
    let (room, wanted) = (files::room_for_connections(), web.limits.max_connections);
    if room < wanted {
        tracing::info!(
            room,
            wanted,
            "fewer connections are taken, as the limit of open files asks"
        );
        web.limits.max_connections = room;
    }
    tenantry_web::serve(listener, service, web, stop).await;
    master_keys.abort();
    signing_keys.abort();
    settler.abort();
    tracing::info!("stopped");
    Ok(())
}
