//! A client that asks for one thing after the other.

use anyhow::{Context as _, Result};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
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
        let answer = async {
            let answer = self.client.get(url).send().await?.error_for_status()?;
            Ok(answer.bytes().await?.to_vec())
        };
        self.runtime.block_on(answer)
    }
}
