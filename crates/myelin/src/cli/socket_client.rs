//! A request to the server on this machine by its unix socket.

use std::{path::Path, time::Duration};

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// The time that the whole exchange may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer, in bytes.
const ANSWER_SIZE_BYTES_MAX: usize = 1024 * 1024;

/// Sends a request, and gives the whole answer.
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

async fn talk(
    stream: UnixStream,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<Response<Bytes>> {
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
