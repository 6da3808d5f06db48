//! A JSON body that is read when the caller has been found to be allowed to send it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tenantry_domain::error::Error;
use tenantry_security::secret::SecretBytes;

use super::members::Members;
use super::terms::{IDEMPOTENCY_KEY, Keyed};
use crate::app::{App, AppState};
use crate::error::ApiError;
use crate::room::Room;

/// A body nobody has read yet.
#[derive(Debug)]
pub(crate) struct JsonBody {
    headers: HeaderMap,
    keyed: Option<Arc<Keyed>>,
    body: Body,
}

impl FromRequest<App> for JsonBody {
    type Rejection = Infallible;

    async fn from_request(request: Request, _app: &App) -> Result<Self, Infallible> {
        let (mut parts, body) = request.into_parts();
        let keyed = Keyed::of(&mut parts);
        Ok(Self { headers: parts.headers, keyed, body })
    }
}

/// The types of body that an operation takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Media {
    /// `application/json`.
    Json,
    /// `application/merge-patch+json` (RFC 7396) or `application/json`.
    MergePatch,
}

impl Media {
    const fn expected(self) -> &'static str {
        match self {
            Self::Json => "application/json in UTF-8, not encoded",
            Self::MergePatch => {
                "application/merge-patch+json or application/json in UTF-8, not encoded"
            }
        }
    }

    fn takes(self, kind: &str) -> bool {
        kind.eq_ignore_ascii_case("application/json")
            || (matches!(self, Self::MergePatch)
                && kind.eq_ignore_ascii_case("application/merge-patch+json"))
    }
}

impl JsonBody {
    /// The body of a request that takes no `Idempotency-Key`: whatever the header says, it is
    /// ignored.
    pub(crate) fn unkeyed(self) -> Self {
        Self { keyed: None, ..self }
    }

    /// Reads it as a JSON object.
    pub(crate) async fn read(self, app: &AppState, media: Media) -> Result<Members, ApiError> {
        if !is_of(&self.headers, media) {
            return Err(ApiError::UnsupportedMediaType(media.expected()));
        }
        let limit = app.config.limits.max_body_size;
        let keyed = self.keyed.as_deref();
        let bytes = collect(app, &self.headers, keyed, self.body, limit).await?;
        members(keyed, bytes)
    }

    /// Reads it as a JSON object, which has no members if there is no body.
    pub(crate) async fn read_if_any(
        self,
        app: &AppState,
        media: Media,
    ) -> Result<Members, ApiError> {
        let keyed = self.keyed.as_deref();
        // Whether a chunked body is empty shows at its end.
        let limit = app.config.limits.max_body_size;
        let bytes = collect(app, &self.headers, keyed, self.body, limit).await?;
        if bytes.is_empty() {
            return members(keyed, Bytes::from_static(b"{}"));
        }
        if !is_of(&self.headers, media) {
            return Err(ApiError::UnsupportedMediaType(media.expected()));
        }
        members(keyed, bytes)
    }
}

/// Reads a JSON object. A key that is none is wrong beside whatever else is.
fn members(keyed: Option<&Keyed>, json: Bytes) -> Result<Members, ApiError> {
    let mut members = Members::parse(json)?;
    if let Some(Err(problem)) = keyed.map(|keyed| &keyed.key) {
        members.problem(IDEMPOTENCY_KEY, &problem.to_string());
    }
    Ok(members)
}

/// Bytes that a body is given before any of it has come; it gets more as it comes.
const AT_FIRST: usize = 64 << 10;

/// Reads a body of at most this many bytes, and takes note of it if the request may be repeated. Any
/// body can hold a secret: the bytes are wiped when the last who reads them is done.
pub(super) async fn collect(
    app: &AppState,
    headers: &HeaderMap,
    keyed: Option<&Keyed>,
    body: Body,
    limit: usize,
) -> Result<Bytes, ApiError> {
    let announced =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|announced: usize| announced > limit) {
        return Err(ApiError::PayloadTooLarge(limit));
    }
    let patience = app.config.limits.body_timeout;
    let mut read = BodyBytes {
        // What is only announced takes no memory: to wipe it would have the system provide it.
        bytes: SecretBytes::with_capacity(announced.unwrap_or_default().min(AT_FIRST)),
        room: app.bodies.none(),
    };
    let mut body = Limited::new(body, limit);
    loop {
        let frame = tokio::time::timeout(patience, body.frame()).await;
        match frame.map_err(|_| ApiError::BodyTimedOut)? {
            None => {
                if let Some(keyed) = keyed {
                    keyed.note_body(read.as_ref());
                }
                return Ok(Bytes::from_owner(read));
            }
            Some(Ok(frame)) => {
                let Some(data) = frame.data_ref() else { continue };
                read.room.add(data.len()).ok_or(ApiError::Overloaded)?;
                read.bytes.extend(data);
            }
            Some(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(ApiError::PayloadTooLarge(limit));
            }
            Some(Err(_)) => return Err(Error::Malformed("the body ended early".to_owned()).into()),
        }
    }
}

/// The bytes of a body, and the room that they take.
struct BodyBytes {
    bytes: SecretBytes,
    room: Room,
}

impl AsRef<[u8]> for BodyBytes {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

fn is_of(headers: &HeaderMap, media: Media) -> bool {
    media_type(headers).is_some_and(|kind| media.takes(kind))
}

/// The one type of a body that is in UTF-8 and not encoded.
pub(super) fn media_type(headers: &HeaderMap) -> Option<&str> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let text = types.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next();
    let utf8 = parts.filter_map(|part| part.split_once('=')).all(|(name, value)| {
        !name.eq_ignore_ascii_case("charset")
            || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    let plain = utf8 && types.next().is_none() && !headers.contains_key(CONTENT_ENCODING);
    kind.filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn fits(kinds: &[&'static str], media: Media) -> bool {
        let mut headers = HeaderMap::new();
        for kind in kinds {
            headers.append(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        is_of(&headers, media)
    }

    #[test]
    fn the_type_must_be_json() {
        assert!(fits(&["application/json"], Media::Json));
        assert!(fits(&["Application/JSON ; Charset=\"UTF-8\""], Media::Json));
        assert!(fits(&["application/merge-patch+json"], Media::MergePatch));
        assert!(fits(&["application/json"], Media::MergePatch));
        let others =
            ["", "text/json", "application/merge-patch+json", "application/json; charset=latin1"];
        for kind in others {
            assert!(!fits(&[kind], Media::Json), "{kind}");
        }
        assert!(!fits(&[], Media::Json));
        assert!(!fits(&["application/json", "application/json"], Media::Json));
    }

    #[test]
    fn an_encoded_body_is_not_read() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(!is_of(&headers, Media::Json));
    }
}
