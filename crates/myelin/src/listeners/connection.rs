//! One connection: TLS if asked for, HTTP/1.1 or (on TLS) HTTP/2, until its end or the server's.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body};
use http::{HeaderName, Request};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tower::ServiceExt;

use super::TlsReloader;

/// The time that a client may take to shake hands.
const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The time that a client may take to send the head of a request, and a connection may idle before it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);
/// Most requests at once on one HTTP/2 connection.
const HTTP2_STREAMS_MAX: u32 = 200;

/// The header in which the routes look for a request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The common part of all connections of a socket.
pub struct Connections {
    pub service: Arc<Service>,
    pub graceful: Arc<GracefulShutdown>,
}

/// The parts that a connection is served with.
pub struct Service {
    pub router: Router,
    pub tls: Option<TlsReloader>,
    pub x_forwarded: bool,
    /// The name of the listener in logs.
    pub name: Arc<str>,
    /// A header that carries the request's id, set by a proxy.
    pub request_id_header: Option<HeaderName>,
}

/// A connection without TLS.
pub enum Stream {
    /// A connection over a network.
    Tcp(TcpStream),
    /// A connection on this machine.
    Unix(UnixStream),
}

impl Connections {
    /// Serves a connection in a task of its own.
    pub fn start(&self, stream: Stream, peer: IpAddr) {
        let service = self.service.clone();
        // Made here and not in the task: a stop from now on is heard of.
        let watcher = self.graceful.watcher();
        tokio::spawn(async move {
            let Some(tls) = &service.tls else {
                return service.http1(stream, peer, watcher).await;
            };
            match tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, tls.acceptor().accept(stream)).await {
                Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                    service.http2(stream, peer, watcher).await;
                }
                Ok(Ok(stream)) => service.http1(stream, peer, watcher).await,
                Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
            }
        });
    }
}

impl Service {
    async fn http1<S>(&self, stream: S, peer: IpAddr, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), self.service(peer));
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%peer, %error, "connection ended");
        }
    }

    async fn http2<S>(&self, stream: S, peer: IpAddr, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .keep_alive_interval(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), self.service(peer));
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%peer, %error, "connection ended");
        }
    }

    fn service(
        &self,
        peer: IpAddr,
    ) -> impl hyper::service::Service<
        Request<Incoming>,
        Response = http::Response<Body>,
        Error = std::convert::Infallible,
        Future: Send + 'static,
    > + Send
    + 'static {
        let router = self.router.clone();
        let (x_forwarded, name) = (self.x_forwarded, self.name.clone());
        let request_id_header = self.request_id_header.clone();
        hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let id =
                request_id_header.as_ref().and_then(|name| request.headers().get(name)).cloned();
            if let Some(id) = id {
                request.headers_mut().insert(REQUEST_ID, id);
            }
            let (name, peer) = (Some(name.clone()), Some(peer));
            request.extensions_mut().insert(myelin_http::Listener { name, peer, x_forwarded });
            router.clone().oneshot(request.map(Body::new))
        })
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
