//! All open connections, looked after by one task.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, Id, JoinSet};
use tower::Service as _;

use super::activity::{Activity, Overdue, Patience, Request, Seconds};
use super::ends::{AnswerBody, Socket};
use crate::app::App;
use crate::config::Limits;

/// How much of a request's body may wait to be read, of a stream and of all streams of an HTTP/2
/// connection.
const WINDOW: u32 = 256 * 1024;
/// How long a connection that was told to end may be without a request: it has only to say goodbye.
const TOLD: u32 = 2; // seconds
/// How many that made room for others may be ending while another is taken.
const ENDING: usize = 16;

/// The open connections.
#[derive(Debug)]
pub(super) struct Connections {
    app: App,
    router: Router,
    http: Arc<auto::Builder<TokioExecutor>>,
    most: usize,
    patience: Patience,
    seconds: Arc<Seconds>,
    open: HashMap<Id, Open>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Open {
    activity: Arc<Activity>,
    /// Tells it to end; `None`: it was told.
    stop: Option<oneshot::Sender<()>>,
    task: AbortHandle,
}

impl Connections {
    /// None yet.
    pub(super) fn new(app: App, router: Router) -> Self {
        let limits = &app.config.limits;
        let patience = Patience {
            head: seconds(limits.head_timeout),
            write: seconds(limits.write_timeout),
            idle: seconds(limits.idle_timeout),
        };
        Self {
            http: Arc::new(protocol(limits)),
            most: limits.max_connections,
            patience,
            router,
            app,
            seconds: Arc::new(Seconds::start()),
            open: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Whether no more than a few of those that made room for others have yet to end: each has its file
    /// until then, and connections can be taken faster than that.
    pub(super) fn have_made_room(&self) -> bool {
        self.tasks.len() <= self.open.len() + ENDING
    }

    /// Serves a new connection. If there are too many, others make room for it.
    ///
    /// # Errors
    /// Gives it back if none of the others can be closed.
    pub(super) fn admit(&mut self, stream: TcpStream, peer: SocketAddr) -> Result<(), TcpStream> {
        if self.open.len() >= self.most && !self.make_room(1) {
            return Err(stream);
        }
        // An answer goes out at once rather than waiting for more to send.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let activity = Arc::new(Activity::new(Arc::clone(&self.seconds)));
        let (stop, stopped) = oneshot::channel();
        let served = serve(
            Arc::clone(&self.http),
            stream,
            peer,
            self.router.clone(),
            Arc::clone(&activity),
            stopped,
        );
        let task = self.tasks.spawn(served);
        self.open.insert(task.id(), Open { activity, stop: Some(stop), task });
        self.app.metrics.connections(self.open.len());
        Ok(())
    }

    /// Waits until a connection ends; at once `None` if there is none.
    pub(super) async fn next_end(&mut self) -> Option<()> {
        let ended = self.tasks.join_next_with_id().await?;
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!("serving a connection panicked");
                }
                error.id()
            }
        };
        self.open.remove(&id);
        self.app.metrics.connections(self.open.len());
        Some(())
    }

    /// Looks after them: ends those that took too long. To be called every second.
    pub(super) fn look(&mut self) {
        self.seconds.advance();
        let told = Patience { head: TOLD, idle: TOLD, ..self.patience };
        for connection in self.open.values_mut() {
            let patience = if connection.stop.is_some() { self.patience } else { told };
            let Some(overdue) = connection.activity.overdue(patience) else { continue };
            let reason = match overdue {
                Overdue::Head => "head_timeout",
                Overdue::Write => "write_timeout",
                Overdue::Idle => "idle_timeout",
            };
            if connection.stop.is_some() {
                self.app.metrics.closed(reason);
            }
            match connection.stop.take() {
                Some(stop) if overdue != Overdue::Write => drop(stop.send(())),
                _ => connection.task.abort(),
            }
        }
    }

    /// Closes the connections that have been without a request for the longest, or, if every one
    /// has a request, those whose clients have taken nothing of their answers for the longest. A
    /// few at once, and `least` if there are so many, so that it need not be done for each new one.
    /// `false`: all are being served.
    pub(super) fn make_room(&mut self, least: usize) -> bool {
        let mut expendable: Vec<_> = self
            .open
            .iter()
            .filter_map(|(id, connection)| Some((connection.activity.expendable()?, *id)))
            .collect();
        let number = (self.open.len() / 64).max(least).min(expendable.len());
        if number < expendable.len() {
            expendable.select_nth_unstable_by_key(number, |(rank, _)| *rank);
        }
        for (_, id) in expendable.iter().take(number) {
            if let Some(connection) = self.open.remove(id) {
                connection.task.abort();
                self.app.metrics.closed("crowded_out");
            }
        }
        number > 0
    }

    /// Tells all to end: at once where nothing is under way, else after the answers.
    pub(super) fn stop_all(&mut self) {
        for connection in self.open.values_mut() {
            if let Some(stop) = connection.stop.take() {
                let _ = stop.send(());
            }
        }
    }

    /// Cuts off what is left.
    pub(super) async fn cut_off(&mut self) {
        self.tasks.shutdown().await;
    }
}

/// HTTP/1.1 and HTTP/2 with prior knowledge, within the limits. How often streams may be reset is
/// limited by the library.
fn protocol(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let head = limits.max_head_size.max(Limits::LEAST_HEAD);
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().max_buf_size(usize::try_from(head).unwrap_or(usize::MAX));
    http.http2()
        .max_header_list_size(head)
        .max_concurrent_streams(limits.max_streams)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    http
}

/// Serves a connection to its end, which `stop` brings about early.
async fn serve(
    http: Arc<auto::Builder<TokioExecutor>>,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    activity: Arc<Activity>,
    stop: oneshot::Receiver<()>,
) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let multiplexed = request.version() == hyper::Version::HTTP_2;
        let under_way = Request::begin(Arc::clone(&activity), multiplexed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = router.clone().call(request);
        async move {
            let answer = answer.await?;
            Ok::<_, std::convert::Infallible>(answer.map(|body| AnswerBody::new(body, under_way)))
        }
    });
    let socket = TokioIo::new(Socket::new(stream, Arc::clone(&activity)));
    let mut connection = pin!(http.serve_connection(socket, service));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        _ = stop => {
            connection.as_mut().graceful_shutdown();
            // What has come of another request is not waited for.
            if activity.is_waiting() && !activity.is_multiplexed() {
                return;
            }
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection failed");
    }
}

/// Whole seconds, at least one.
fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX).max(1)
}
