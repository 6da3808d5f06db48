//! A client that asks for one thing after the other.

use anyhow::{Context as _, Result};
use reqwest::RequestBuilder;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::runtime::Runtime;

/// A client with one connection, which stays.
#[derive(Debug)]
pub(crate) struct Client {
    runtime: Runtime,
    client: reqwest::Client,
}

impl Client {
    /// A client that sends these headers, each as `Name: value`.
    pub(crate) fn new(headers: &[String]) -> Result<Self> {
        let mut map = HeaderMap::new();
        for header in headers {
            let (name, value) = header.split_once(": ").context("a header has no value")?;
            map.insert(name.parse::<HeaderName>()?, value.parse::<HeaderValue>()?);
        }
        let client = reqwest::Client::builder().no_proxy().default_headers(map).build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, client })
    }

    /// The bytes of an answer, which must be a good one.
    pub(crate) fn get(&self, url: &str) -> Result<Vec<u8>> {
        self.answer(self.client.get(url))
    }

    /// The `data` of the answer to a change, which must be a good one.
    pub(crate) fn change(&self, method: &str, url: &str, body: &Value) -> Result<Value> {
        let answer = self.answer(self.client.request(method.parse()?, url).json(body))?;
        let mut answer: Value = serde_json::from_slice(&answer)?;
        Ok(answer.get_mut("data").context("an answer has no data")?.take())
    }

    /// The answer to a form, which must be a good one.
    pub(crate) fn form(&self, url: &str, form: &str) -> Result<Value> {
        let request = self.client.post(url).body(form.to_owned());
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        Ok(serde_json::from_slice(&self.answer(request)?)?)
    }

    fn answer(&self, request: RequestBuilder) -> Result<Vec<u8>> {
        let answer = async {
            let answer = request.send().await?.error_for_status()?;
            Ok(answer.bytes().await?.to_vec())
        };
        self.runtime.block_on(answer)
    }
}
