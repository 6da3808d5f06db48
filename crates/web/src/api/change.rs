//! A change that takes effect once, however often it is asked for with the same `Idempotency-Key`.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use tenantry_domain::access::Authority;
use tenantry_domain::clock::Timestamp;
use tenantry_domain::error::{Error, Result};
use tenantry_security::secret::SecretBytes;
use tenantry_service::{Claim, OneAnswer};

use super::Answer;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::terms::{IDEMPOTENCY_KEY, Terms};

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How a change that led to a `T`, at an instant, is answered.
type Render<T> = dyn Fn(Timestamp, &T) -> Answer + Send + Sync;

/// A change on its way. It begins before the use case is called with its `access`, and says
/// afterwards what the answer is.
pub(crate) struct Change<A, T> {
    /// The authority to call the use case with.
    pub(crate) access: A,
    render: Arc<Render<T>>,
    claim: Option<Claim>,
}

impl<A: Authority, T: 'static> Change<A, T> {
    /// Begins a change that leads to a `T`, which `render` answers. With a key, `render` runs in
    /// the transaction of the change, so that its answer is kept there too.
    pub(crate) fn begin(
        app: &App,
        terms: &Terms,
        access: A,
        render: impl Fn(Timestamp, &T) -> Answer + Send + Sync + 'static,
    ) -> Result<Self, ApiError> {
        let render: Arc<Render<T>> = Arc::new(render);
        let Some(keyed) = &terms.keyed else { return Ok(Self { access, render, claim: None }) };
        let key = keyed
            .key
            .as_ref()
            .map_err(|problem| Error::invalid(IDEMPOTENCY_KEY, problem.to_string()))?;
        let in_transaction = Arc::clone(&render);
        let answer = move |at, outcome: &T| match in_transaction(at, outcome) {
            Ok(response) => encode(response),
            Err(ApiError::UseCase(error)) => Err(error),
            Err(other) => Err(Error::internal(other)),
        };
        let (access, claim) =
            app.service.claim(access, &keyed.route, key, keyed.digest(), answer)?;
        Ok(Self { access, render, claim: Some(claim) })
    }

    /// Makes the change, unless it was made before, and answers it.
    pub(crate) async fn answer(
        &self,
        app: &App,
        making: impl Future<Output = Result<T>>,
    ) -> Answer {
        let Some(claim) = &self.claim else {
            return (self.render)(app.service.now(), &making.await?);
        };
        let OneAnswer { bytes, replayed } = app.service.one_answer(claim, making).await?;
        let mut response = decode(bytes.as_ref())?;
        if replayed {
            let yes = HeaderValue::from_static("true");
            response.headers_mut().insert(IDEMPOTENT_REPLAYED, yes);
        }
        Ok(response)
    }
}

/// The first line of an answer that is kept. What follows it is the body.
#[derive(Serialize, Deserialize)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

fn encode(response: Response) -> Result<SecretBytes> {
    let (parts, body) = response.into_parts();
    let headers = parts.headers.iter().map(|(name, value)| {
        Ok((name.to_string(), value.to_str().map_err(Error::internal)?.to_owned()))
    });
    let head = Head { status: parts.status.as_u16(), headers: headers.collect::<Result<_>>()? };
    let head = serde_json::to_vec(&head).map_err(Error::internal)?;
    let body = whole(body)?;
    // Its full size from the start: growing would leave a copy of a secret behind.
    let mut bytes = SecretBytes::with_capacity(head.len() + 1 + body.len());
    bytes.extend(&head);
    bytes.extend(b"\n");
    bytes.extend(&body);
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Result<Response> {
    let unreadable = || Error::internal("an answer that was kept does not read back");
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(unreadable)?;
    let (head, body) = bytes.split_at_checked(end).ok_or_else(unreadable)?;
    let head: Head = serde_json::from_slice(head).map_err(|_| unreadable())?;
    let body = body.strip_prefix(b"\n").unwrap_or_default();
    let mut copy = SecretBytes::with_capacity(body.len());
    copy.extend(body);
    let mut response = Response::new(Body::from(Bytes::from_owner(copy)));
    *response.status_mut() = StatusCode::from_u16(head.status).map_err(Error::internal)?;
    for (name, value) in head.headers {
        let name = HeaderName::try_from(name).map_err(Error::internal)?;
        let value = HeaderValue::try_from(value).map_err(Error::internal)?;
        response.headers_mut().append(name, value);
    }
    Ok(response)
}

/// A body that is there as a whole, which those of this API are.
fn whole(body: Body) -> Result<Bytes> {
    let collecting = pin!(body.collect());
    match collecting.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(body)) => Ok(body.to_bytes()),
        Poll::Ready(Err(error)) => Err(Error::internal(error)),
        Poll::Pending => Err(Error::internal("an answer was not there as a whole")),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::{CONTENT_TYPE, LOCATION};

    use super::*;
    use crate::envelope::created;

    #[test]
    fn what_is_kept_reads_back() {
        let at = Timestamp::from_millis(0);
        let response = created(at, "Made\nit", "data", "/there").unwrap();
        let kept = encode(response).unwrap();
        let read = decode(kept.as_ref()).unwrap();
        assert_eq!(read.status(), StatusCode::CREATED);
        assert_eq!(read.headers()[LOCATION], "/there");
        assert_eq!(read.headers()[CONTENT_TYPE], "application/json");
        let body = whole(read.into_body()).unwrap();
        let expected = r#"{"success":true,"message":"Made\nit","data":"data","timestamp":"1970-01-01T00:00:00.000Z"}"#;
        assert_eq!(body, expected);
        assert!(decode(b"{}").is_err());
        assert!(decode(b"no json\n{}").is_err());
    }
}
