//! Names are looked up under the rules, so that a name cannot lead where an address may not.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::AddressRules;

/// An address that the rules keep requests from.
#[derive(Debug, thiserror::Error)]
#[error("{0} is an address that may not be reached")]
pub(crate) struct Blocked(pub(crate) IpAddr);

/// Looks names up, and hands out addresses that may be reached. The connection is made to one of these very addresses: a second
/// look-up, which could tell another, never happens.
#[derive(Debug)]
pub(crate) struct GuardedResolver(pub(crate) Arc<AddressRules>);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = Arc::clone(&self.0);
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // A name that has one of each kind was made to get past the rules.
            if let Some(blocked) = found.iter().find(|address| !rules.may_reach(address.ip())) {
                return Err(Blocked(blocked.ip()).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
