//! A small HTTP client: one JSON request, over TLS if the URL says so.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// How long the whole exchange may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer, in bytes.
const ANSWER_SIZE_BYTES_MAX: usize = 1024 * 1024;

/// What the server said.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Its words.
    pub reason: String,
    /// The JSON; null if it is none.
    pub body: Value,
}

/// GET.
pub async fn get(url: &str) -> anyhow::Result<Answer> {
    send(Method::GET, url, Bytes::new()).await
}

/// POST of JSON.
pub async fn post(url: &str, body: &Value) -> anyhow::Result<Answer> {
    send(Method::POST, url, serde_json::to_vec(body)?.into()).await
}

async fn send(method: Method, url: &str, body: Bytes) -> anyhow::Result<Answer> {
    let exchange = exchange(method, url, body);
    tokio::time::timeout(TIMEOUT, exchange)
        .await
        .with_context(|| format!("{url} did not answer in time"))?
}

async fn exchange(method: Method, url: &str, body: Bytes) -> anyhow::Result<Answer> {
    let uri: Uri = url.parse().with_context(|| format!("{url:?} is no URL"))?;
    let host = uri.host().with_context(|| format!("{url:?} names no server"))?;
    let is_tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => bail!("{url:?} must start with http:// or https://"),
    };
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((address, port))
        .await
        .with_context(|| format!("no server answers at {host}:{port}; is it running?"))?;
    let request = Request::builder()
        .method(method)
        .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, uri.authority().map_or(host, |authority| authority.as_str()))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))?;
    if is_tls {
        let name = ServerName::try_from(address.to_owned()).context("the URL's host is no name")?;
        let stream = tokio_rustls::TlsConnector::from(tls_config()?).connect(name, stream).await;
        talk(stream.context("TLS with the server failed")?, request).await
    } else {
        talk(stream, request).await
    }
}

fn tls_config() -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

async fn talk<S>(stream: S, request: Request<Full<Bytes>>) -> anyhow::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.context("the server did not answer")?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_SIZE_BYTES_MAX).collect().await;
    connection.abort();
    let body =
        body.map_err(|error| anyhow::anyhow!("the answer cannot be read: {error}"))?.to_bytes();
    Ok(Answer {
        status: status.as_u16(),
        reason: status.canonical_reason().unwrap_or_default().to_owned(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    })
}
