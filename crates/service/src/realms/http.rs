//! Documents of providers, over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tenantry_domain::error::{Error, Result};

use super::provider::Fetch;

/// How long it may take until the last byte is there.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of a document.
const MAX_SIZE: usize = 512 * 1024;

/// Asks providers, without a proxy. An answer that names another address is not followed: nobody else
/// says where the keys of a realm are.
#[derive(Debug)]
pub(crate) struct Http(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

impl Http {
    /// Believes whom the system believes.
    pub(crate) fn new() -> Result<Self> {
        // Whether an address may be asked without encryption was asked before.
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls()?).https_or_http();
        let client = Client::builder(TokioExecutor::new())
            // They are asked every few minutes at most.
            .pool_max_idle_per_host(0)
            .build(connector.enable_http1().build());
        Ok(Self(client))
    }

    async fn ask(&self, url: &str) -> Result<Vec<u8>, String> {
        let request = Request::get(url)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, "tenantry")
            .body(Empty::new());
        let request = request.map_err(|error| error.to_string())?;
        let answer = self.0.request(request).await.map_err(|error| chain(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(format!("answered {}", answer.status()));
        }
        let document = Limited::new(answer.into_body(), MAX_SIZE).collect().await;
        Ok(document.map_err(|error| chain(&*error))?.to_bytes().to_vec())
    }
}

fn tls() -> Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    // Of the many a system has, one that cannot be read is no reason to trust none.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[async_trait]
impl Fetch for Http {
    async fn fetch(&self, url: &str) -> Result<Vec<u8>, String> {
        let answer = tokio::time::timeout(TIMEOUT, self.ask(url)).await;
        answer.unwrap_or_else(|_| Err("does not answer".to_owned()))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}
