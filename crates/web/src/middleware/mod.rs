//! What every request passes, from the outermost: [`observe`], [`limits`], [`gate`].

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use tower::{Layer, Service};

use crate::app::App;

mod bearer;
mod gate;
mod limits;
mod observe;
mod request_id;

pub(crate) use bearer::ExternalToken;
pub(crate) use limits::Underway;
pub(crate) use request_id::RequestIds;

/// All of it as one layer, whose parts are plain functions: each layer of its own would clone and
/// box what it calls for every request.
#[derive(Debug, Clone)]
pub(crate) struct Passage(pub(crate) App);

impl<S> Layer<S> for Passage {
    type Service = Passing<S>;

    fn layer(&self, route: S) -> Passing<S> {
        Passing { app: Arc::clone(&self.0), route: Arc::new(route) }
    }
}

/// A route behind [`Passage`].
#[derive(Debug)]
pub(crate) struct Passing<S> {
    app: App,
    route: Arc<S>,
}

impl<S> Clone for Passing<S> {
    fn clone(&self) -> Self {
        Self { app: Arc::clone(&self.app), route: Arc::clone(&self.route) }
    }
}

impl<S> Service<Request> for Passing<S>
where
    S: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Response: IntoResponse,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Routes always are.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Self { app, route } = self.clone();
        Box::pin(async move { Ok(pass(&app, &*route, request).await) })
    }
}

/// The time limit is inside the gate: a request that took too long is not counted.
async fn pass<S>(app: &App, route: &S, request: Request) -> Response
where
    S: Service<Request, Error = Infallible> + Clone,
    S::Response: IntoResponse,
{
    let answer = async |request| match route.clone().call(request).await {
        Ok(response) => response.into_response(),
        Err(never) => match never {},
    };
    let within_time = async |request| limits::time_limit(app, answer(request)).await;
    let through_the_gate = async |request| gate::gate(app, request, within_time).await;
    let caught = async |request| limits::catch_panics(through_the_gate(request)).await;
    observe::observe(app, request, caught).await
}
