//! The HTTP client: keep-alive, no TLS, no redirects, JSON in and out.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// Sends requests to one homeserver, to its nodes in turn.
pub(crate) struct Client {
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    bases: Vec<String>,
    next: AtomicUsize,
}

impl Client {
    /// Prepares a client; connects to nothing yet.
    pub(crate) fn new(urls: &[String]) -> anyhow::Result<Self> {
        let bases: Vec<String> =
            urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        if !bases.iter().all(|base| base.starts_with("http://")) {
            bail!("only http:// URLs are supported");
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(4096)
            .build(connector);
        Ok(Self { http, bases, next: AtomicUsize::new(0) })
    }

    /// Waits until `/versions` answers.
    pub(crate) async fn wait_until_ready(&self, timeout: Duration) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            match self.call(Method::GET, "/_matrix/client/versions", None, None).await {
                Ok(_) => return Ok(()),
                Err(error) if start.elapsed() > timeout => {
                    return Err(error).context("the homeserver does not answer");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// Sends one request and gives the answer's JSON; anything but 2xx is an error.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let answer = self.send(method, path, token, body).await?;
        serde_json::from_slice(&answer).with_context(|| format!("{path}: the answer is not JSON"))
    }

    /// Like [`Client::call`], but does not parse the answer: costs less.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> anyhow::Result<Bytes> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.bases.len();
        let base = self.bases.get(turn).map_or("", String::as_str);
        let mut request = Request::builder().method(method).uri(format!("{base}{path}"));
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Bytes::from(serde_json::to_vec(body)?)
            }
            None => Bytes::new(),
        };
        let response = self.http.request(request.body(Full::new(body))?).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("{path}: {status}: {}", String::from_utf8_lossy(&answer));
        }
        Ok(answer)
    }
}

/// The text under `key`, or an error that names it.
pub(crate) fn text(value: &Value, key: &str) -> anyhow::Result<String> {
    let text = value.get(key).and_then(Value::as_str);
    text.map(str::to_owned).with_context(|| format!("the answer has no `{key}`"))
}

/// Escapes what may not stand in a path segment.
pub(crate) fn escape(segment: &str) -> String {
    let mut escaped = String::with_capacity(segment.len() + 12);
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_ids_are_escaped() {
        assert_eq!(escape("!a:b.c"), "%21a%3Ab.c");
    }
}
