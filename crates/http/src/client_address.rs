//! The address that a request comes from.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::forwarded;

/// The facts about a listener that its requests carry. The listener puts them into the extensions of each request.
#[derive(Debug, Clone, Default)]
pub struct Listener {
    /// Its name in logs: its tag, its port or its path.
    pub name: Option<Arc<str>>,
    /// The other end of the connection. `None` for unix sockets.
    pub peer: Option<IpAddr>,
    /// A reverse proxy stands before the listener, and its `X-Forwarded-For` is to be believed.
    pub x_forwarded: bool,
}

/// The address that a request comes from, if it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub Option<IpAddr>);

impl ClientAddress {
    /// Find it out.
    pub fn of(parts: &Parts) -> Self {
        let Some(listener) = parts.extensions.get::<Listener>() else { return Self(None) };
        let named = listener.x_forwarded.then(|| forwarded::find_client(&parts.headers)).flatten();
        Self(named.or(listener.peer))
    }
}

impl std::fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_header_is_not_believed() {
        for (x_forwarded, expected) in [(false, "10.0.0.1"), (true, "1.2.3.4")] {
            let mut request = http::Request::new(());
            let peer = Some("10.0.0.1".parse().unwrap());
            request.extensions_mut().insert(Listener { name: None, peer, x_forwarded });
            request.headers_mut().insert("x-forwarded-for", "1.2.3.4, 5.6.7.8".parse().unwrap());
            let (parts, ()) = request.into_parts();
            assert_eq!(ClientAddress::of(&parts).to_string(), expected);
        }
    }
}
