//! Documents of providers, over HTTP.

use std::sync::OnceLock;
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

use super::provider::Fetch;

/// How long it may take until the last byte is there.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of a document.
const MAX_SIZE: usize = 512 * 1024;

/// Asks providers, without a proxy. An answer that names another address is not followed: nobody else
/// says where the keys of a realm are.
#[derive(Debug, Default)]
pub(crate) struct Http {
    /// Made when it is first needed: the system's certificates are many.
    client: OnceLock<Result<HttpClient, String>>,
}

type HttpClient = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// A client that believes whom the system believes.
fn client() -> Result<HttpClient, String> {
    // Whether an address may be asked without encryption was asked before.
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls()?).https_or_http();
    // They are asked every few minutes at most.
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build(connector.enable_http1().build());
    Ok(client)
}

impl Http {
    async fn ask(&self, url: &str) -> Result<Vec<u8>, String> {
        let request = Request::get(url)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, "tenantry")
            .body(Empty::new());
        let request = request.map_err(|error| error.to_string())?;
        let client = self.client.get_or_init(client).as_ref().map_err(Clone::clone)?;
        let answer = client.request(request).await.map_err(|error| chain(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(format!("answered {}", answer.status()));
        }
        let document = Limited::new(answer.into_body(), MAX_SIZE).collect().await;
        Ok(document.map_err(|error| chain(&*error))?.to_bytes().to_vec())
    }
}

fn tls() -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    // Of the many a system has, one that cannot be read is no reason to trust none.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
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
