//! A small HTTP client for the little that is sent out: one request a connection, over TLS if the URL says so.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

/// The time that the whole exchange may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer, in bytes.
const ANSWER_SIZE_BYTES_MAX: usize = 1024 * 1024;

/// Sends a request whose URI is a whole URL, and gives the whole answer.
///
/// # Errors
///
/// Why there is no answer, for people to read.
pub async fn send(request: Request<Bytes>) -> anyhow::Result<Response<Bytes>> {
    let url = request.uri().to_string();
    let exchange = tokio::time::timeout(TIMEOUT, exchange(request));
    exchange.await.with_context(|| format!("{url} did not answer in time"))?
}

/// Sends a request to a server on this machine by its unix socket, and gives the whole answer.
///
/// # Errors
///
/// Why there is no answer, for people to read.
pub async fn send_to_socket(
    socket: &Path,
    mut request: Request<Bytes>,
) -> anyhow::Result<Response<Bytes>> {
    let what = || format!("no server answers at {}; is it running?", socket.display());
    let exchange = async {
        let stream = UnixStream::connect(socket).await.with_context(what)?;
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
        talk(stream, request.map(Full::new)).await
    };
    tokio::time::timeout(TIMEOUT, exchange).await.with_context(what)?
}

async fn exchange(request: Request<Bytes>) -> anyhow::Result<Response<Bytes>> {
    let (mut head, body) = request.into_parts();
    let uri = std::mem::take(&mut head.uri);
    let host = uri.host().with_context(|| format!("the URL {uri} names no server"))?;
    let is_tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => bail!("the URL {uri} must start with http:// or https://"),
    };
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((address, port))
        .await
        .with_context(|| format!("no server answers at {host}:{port}; is it running?"))?;
    stream.set_nodelay(true)?;
    let authority = uri.authority().map_or(host, |authority| authority.as_str());
    head.headers.insert(header::HOST, HeaderValue::from_str(authority)?);
    head.uri = uri.path_and_query().map_or("/", |path| path.as_str()).parse::<Uri>()?;
    let request = Request::from_parts(head, Full::new(body));
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

async fn talk<S>(stream: S, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Bytes>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.context("the server did not answer")?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_SIZE_BYTES_MAX).collect().await;
    connection.abort();
    let body =
        body.map_err(|error| anyhow::anyhow!("the answer cannot be read: {error}"))?.to_bytes();
    Ok(Response::from_parts(head, body))
}
