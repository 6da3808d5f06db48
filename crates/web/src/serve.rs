//! The server: from a listening socket to the last answer.

use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tenantry_service::Service;
use tokio::net::TcpListener;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout};

use crate::app::AppState;
use crate::config::WebConfig;
use crate::router::router;
use connections::Connections;

mod activity;
mod connections;
mod ends;

/// How often the connections are looked after.
const LOOK: Duration = Duration::from_secs(1);
/// How long no connection is taken when the last one could not be.
const PAUSE: Duration = Duration::from_millis(50);
/// How many are closed then, if so many have no request.
const CLOSED: usize = 8;

/// Serves the API until `shutdown` completes; then takes no more connections, finishes the
/// requests under way (for at most [`Limits::shutdown_grace`](crate::Limits::shutdown_grace)), and
/// closes the meter.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    config: WebConfig,
    shutdown: impl Future<Output = ()>,
) {
    let grace = config.limits.shutdown_grace;
    let app = Arc::new(AppState::new(Arc::clone(&service), config));
    let mut connections = Connections::new(Arc::clone(&app), router(app));
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    accept(listener, &mut connections, &mut look, shutdown).await;
    connections.stop_all();
    if timeout(grace, finish(&mut connections, &mut look)).await.is_err() {
        tracing::warn!("requests were still under way when the time to finish was over");
        connections.cut_off().await;
    }
    service.meter().close().await;
}

/// Takes connections until `shutdown` completes.
async fn accept(
    listener: TcpListener,
    connections: &mut Connections,
    look: &mut Interval,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    // One for which there was no room yet.
    let mut held = None;
    let mut pause_until = None;
    let mut short_of_files = false;
    loop {
        if let Some((stream, peer)) = held.take()
            && let Err(stream) = connections.admit(stream, peer)
        {
            held = Some((stream, peer));
            pause_until = Some(Instant::now() + PAUSE);
        }
        let ready = held.is_none() && pause_until.is_none() && connections.have_made_room();
        tokio::select! {
            () = &mut shutdown => return,
            accepted = listener.accept(), if ready => {
                match accepted {
                    Ok(accepted) => held = Some(accepted),
                    Err(error) if is_the_peers(&error) => {}
                    Err(error) => {
                        // Most likely too many files are open: a connection less is one less.
                        tracing::warn!(%error, "a connection could not be taken");
                        short_of_files = true;
                        pause_until = Some(Instant::now() + PAUSE);
                    }
                }
            }
            Some(()) = connections.next_end() => {}
            _ = look.tick() => connections.look(),
            () = sleep_until(pause_until.unwrap_or_else(Instant::now)), if pause_until.is_some() => {
                pause_until = None;
                // Only now, so that those that were taken last have had the time to begin a request:
                // when there are too few files the system says so even if nobody else has come.
                if std::mem::take(&mut short_of_files) {
                    connections.make_room(CLOSED);
                }
            }
        }
    }
}

/// Waits until every connection has ended.
async fn finish(connections: &mut Connections, look: &mut Interval) {
    loop {
        tokio::select! {
            ended = connections.next_end() => if ended.is_none() {
                return;
            },
            _ = look.tick() => connections.look(),
        }
    }
}

/// Whether a peer went away before its connection was taken, which says nothing about the next.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
    )
}
