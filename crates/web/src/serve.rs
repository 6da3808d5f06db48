//! The server: from a listening socket to the last answer.

use std::future::IntoFuture as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::serve::ListenerExt as _;
use tenantry_service::Service;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::config::WebConfig;
use crate::router::router;

/// Serves the API until `shutdown` completes; then takes no more connections, finishes the
/// requests under way (for at most [`WebConfig::shutdown_grace`]), and closes the meter.
///
/// # Errors
/// What the socket failed with.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    config: WebConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let grace = config.shutdown_grace;
    let app = router(Arc::clone(&service), config);
    // An answer goes out at once rather than waiting for more to send.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    });
    let (stopping, stopped) = oneshot::channel();
    let server = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async {
            shutdown.await;
            let _ = stopping.send(());
        });
    let grace_over = async {
        // A sender that is gone means that the server has ended by itself.
        if stopped.await.is_ok() {
            tokio::time::sleep(grace).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    let outcome = tokio::select! {
        ended = server.into_future() => ended,
        () = grace_over => {
            tracing::warn!("requests were still under way when the time to finish was over");
            Ok(())
        }
    };
    service.meter().close().await;
    outcome
}
