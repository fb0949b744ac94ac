//! The HTTP client: keep-alive, no TLS, no redirects, JSON in, bytes out.

use std::{
    cell::Cell,
    rc::Rc,
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

/// A server that needs longer has failed; longer than any `/sync` of ours waits.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

/// Sends requests to one homeserver, to its nodes in turn. Clones share their connections.
#[derive(Clone)]
pub(crate) struct Client {
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    bases: Rc<[String]>,
    next: Rc<Cell<usize>>,
    pinned: Option<usize>,
}

impl Client {
    /// Prepares a client; connects to nothing yet.
    pub(crate) fn new(urls: &[String]) -> anyhow::Result<Self> {
        let bases: Rc<[String]> =
            urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        if bases.is_empty() || !bases.iter().all(|base| base.starts_with("http://")) {
            bail!("only http:// URLs are supported");
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(4096)
            .build(connector);
        Ok(Self { http, bases, next: Rc::default(), pinned: None })
    }

    /// The number of nodes that the homeserver has.
    pub(crate) fn nodes(&self) -> usize {
        self.bases.len()
    }

    /// The same client, but all its requests go to one node: number `node`, counted round.
    pub(crate) fn pinned(&self, node: usize) -> Self {
        Self { pinned: Some(node % self.nodes()), ..self.clone() }
    }

    /// Waits until `/versions` answers.
    pub(crate) async fn wait_until_ready(&self, timeout: Duration) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            match self.send(Method::GET, "/_matrix/client/versions", None, None).await {
                Ok(_) => return Ok(()),
                Err(error) if start.elapsed() > timeout => {
                    return Err(error).context("the homeserver does not answer");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// `GET`; see [`Client::send`].
    pub(crate) async fn get(&self, path: &str, token: &str) -> anyhow::Result<Bytes> {
        self.send(Method::GET, path, Some(token), None).await
    }

    /// Sends one request and gives the answer as it is; anything but 2xx is an error.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> anyhow::Result<Bytes> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base()));
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
        let request = request.body(Full::new(body))?;
        let exchange = async {
            let response = self.http.request(request).await?;
            let status = response.status();
            anyhow::Ok((status, response.into_body().collect().await?.to_bytes()))
        };
        let (status, answer) = tokio::time::timeout(ANSWER_TIMEOUT, exchange)
            .await
            .with_context(|| format!("{path}: no answer in {ANSWER_TIMEOUT:?}"))?
            .with_context(|| path.to_owned())?;
        if !status.is_success() {
            bail!("{path}: {status}: {}", String::from_utf8_lossy(&answer));
        }
        Ok(answer)
    }

    fn base(&self) -> &str {
        let turn = self.pinned.unwrap_or_else(|| {
            let turn = self.next.get();
            self.next.set(turn.wrapping_add(1));
            turn % self.bases.len()
        });
        self.bases.get(turn).map_or("", String::as_str)
    }
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

    #[test]
    fn nodes_are_used_in_turn_unless_pinned() {
        let client = Client::new(&["http://a/".to_owned(), "http://b".to_owned()]).unwrap();
        assert_eq!(
            [client.base(), client.base(), client.base()],
            ["http://a", "http://b", "http://a"]
        );
        let pinned = client.pinned(3);
        assert_eq!([pinned.base(), pinned.base()], ["http://b", "http://b"]);
    }
}
