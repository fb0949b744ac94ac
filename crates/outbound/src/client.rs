//! Requests to others, and their answers.

use std::{error::Error, net::IpAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, header};
use myelin_model::Secret;
use reqwest::{redirect, tls::Version};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use url::{Host, Url};

use crate::{
    AddressRules,
    resolver::{Blocked, GuardedResolver},
};

/// The time after which a connection must stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// The time after which an answer must be there whole.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The number of connections to one host that are kept for the next request.
const IDLE_CONNECTIONS_PER_HOST_MAX: usize = 8;

/// The choice by which a request has its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The admin's, who may name any address.
    Anywhere,
    /// A user's or another server's: the [`AddressRules`] hold.
    ByTheRules,
}

/// The reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    #[error("the URL cannot be used: {0}")]
    Url(&'static str),
    #[error("the token has characters that no header may have")]
    Token,
    /// The rules keep requests from the address that the URL names, or that its name leads to.
    #[error("the address {0} may not be reached")]
    Blocked(IpAddr),
    #[error("no answer came in time")]
    Timeout,
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// There was no connection, or it broke.
    #[error("the connection failed: {}", causes(.0))]
    Connection(#[source] reqwest::Error),
}

impl From<reqwest::Error> for OutboundError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        let mut cause = error.source();
        while let Some(next) = cause {
            if let Some(Blocked(address)) = next.downcast_ref() {
                return Self::Blocked(*address);
            }
            cause = next.source();
        }
        // A URL may have a password.
        Self::Connection(error.without_url())
    }
}

/// The text of an error with its causes: the one at the bottom says the most.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = next.to_string();
        cause = next.source();
    }
    text
}

/// The client. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbound {
    anywhere: reqwest::Client,
    guarded: reqwest::Client,
    rules: Arc<AddressRules>,
}

impl Outbound {
    /// Make the client. It trusts the certificates that the system trusts.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up.
    pub fn new(rules: AddressRules) -> Result<Self, OutboundError> {
        let rules = Arc::new(rules);
        let tls = tls();
        let build = |builder: reqwest::ClientBuilder| builder.build().map_err(OutboundError::from);
        let guard = Arc::new(GuardedResolver(Arc::clone(&rules)));
        Ok(Self {
            anywhere: build(builder(tls.clone()))?,
            guarded: build(builder(tls).dns_resolver(guard))?,
            rules,
        })
    }

    /// Send a request whose URI is a whole URL. Redirects are answers like others: whoever follows one sends a request of its own,
    /// to which the rules apply.
    pub async fn send(
        &self,
        reach: Reach,
        request: Request<Bytes>,
    ) -> Result<Answer, OutboundError> {
        let request = reqwest::Request::try_from(request)
            .map_err(|_| OutboundError::Url("it names no server"))?;
        let client = self.client_for(reach, request.url())?;
        Ok(Answer(client.execute(request).await?))
    }

    /// `POST` JSON with a bearer token.
    pub async fn post_json(
        &self,
        reach: Reach,
        url: &str,
        bearer: &Secret,
        body: &Value,
    ) -> Result<Answer, OutboundError> {
        let mut token = HeaderValue::try_from(format!("Bearer {}", bearer.expose()))
            .map_err(|_| OutboundError::Token)?;
        token.set_sensitive(true);
        let request = Request::post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, token)
            .body(Bytes::from(body.to_string()))
            .map_err(|_| OutboundError::Url("it is none"))?;
        self.send(reach, request).await
    }

    fn client_for(&self, reach: Reach, url: &Url) -> Result<&reqwest::Client, OutboundError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(OutboundError::Url("it begins neither with http:// nor with https://"));
        }
        if reach == Reach::Anywhere {
            return Ok(&self.anywhere);
        }
        // What is an address already is not looked up.
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        match address {
            Some(address) if !self.rules.may_reach(address) => Err(OutboundError::Blocked(address)),
            Some(_) | None => Ok(&self.guarded),
        }
    }
}

/// A client with the settings of every request.
fn builder(tls: ClientConfig) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .min_tls_version(Version::TLS_1_2)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST_MAX)
        .user_agent(concat!("Myelin/", env!("CARGO_PKG_VERSION")))
}

fn tls() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    let (taken, _) = roots.add_parsable_certificates(system.certs);
    if taken == 0 {
        tracing::warn!("the system trusts no certificate: no request to an https URL will do");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    match builder.with_safe_default_protocol_versions() {
        Ok(builder) => builder.with_root_certificates(roots).with_no_client_auth(),
        Err(_) => ClientConfig::builder().with_root_certificates(roots).with_no_client_auth(),
    }
}

/// An answer whose head has come.
#[derive(Debug)]
pub struct Answer(reqwest::Response);

impl Answer {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    /// Whether the status code says that all went well.
    pub fn is_success(&self) -> bool {
        self.0.status().is_success()
    }

    /// Read the body, up to a size.
    pub async fn read(mut self, size_bytes_max: usize) -> Result<Bytes, OutboundError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.0.chunk().await? {
            if body.len() + chunk.len() > size_bytes_max {
                return Err(OutboundError::TooLarge(size_bytes_max));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}
