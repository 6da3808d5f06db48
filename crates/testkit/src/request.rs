//! Requests over a real port, and their answers.

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::document::Document;

/// A request that is being made.
#[derive(Debug)]
pub struct Request(reqwest::RequestBuilder);

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body's text.
    pub text: String,
}

impl Request {
    pub(crate) fn new(builder: reqwest::RequestBuilder) -> Self {
        Self(builder)
    }

    /// With this bearer token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        Self(self.0.bearer_auth(token))
    }

    /// With this header, beside others of the same name.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// With this JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    /// With this body, as it is.
    #[must_use]
    pub fn body(self, content_type: &str, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.header("content-type", content_type).body(body))
    }

    /// Sends it. Fails the test if the answer is not one that the OpenAPI document tells of.
    pub async fn send(self) -> Answer {
        let (client, request) = self.0.build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = client.execute(request).await.unwrap();
        let answer = Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        };
        Document::get().check(method.as_str(), &path, &answer);
        answer
    }
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error}: {} {:?}", self.status, self.text))
    }

    /// The body's `data`.
    pub fn data(&self) -> Value {
        self.json()["data"].clone()
    }

    /// The body's `error.code`, or what is told in its place by OAuth, which is `error` itself.
    pub fn code(&self) -> String {
        let error = &self.json()["error"];
        error.as_str().or(error["code"].as_str()).unwrap_or_default().to_owned()
    }

    /// The fields that a 422 names, sorted. Fails the test unless it is one.
    pub fn fields(&self) -> Vec<String> {
        assert_eq!(
            (self.status, self.code().as_str()),
            (422, "VALIDATION_FAILED"),
            "{}",
            self.text
        );
        let body = self.json();
        let fields = body["error"]["fields"].as_array().unwrap().iter();
        let mut names: Vec<_> = fields
            .map(|field| {
                assert!(!field["problem"].as_str().unwrap().is_empty());
                field["field"].as_str().unwrap().to_owned()
            })
            .collect();
        names.sort_unstable();
        names
    }

    /// A header's text, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Fails the test unless the status is this one.
    #[expect(clippy::return_self_not_must_use, reason = "often the status is all that matters")]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}
