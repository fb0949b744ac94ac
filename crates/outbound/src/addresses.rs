//! The addresses that requests may reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Addresses that name this machine, whatever the config says.
const ALWAYS_BLOCKED: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

/// The addresses that may be reached by URLs that users and other servers name. Without rules they would lead strangers to what only
/// this machine and its neighbors are meant to reach.
#[derive(Debug, Clone)]
pub struct AddressRules {
    blocked: Vec<IpNet>,
    allowed: Vec<IpNet>,
}

impl AddressRules {
    /// Block some networks, but for what is in `allowed`. A network of IPv4 addresses stands for the IPv6 addresses that lead
    /// there, too.
    pub fn new(mut blocked: Vec<IpNet>, allowed: Vec<IpNet>) -> Self {
        blocked.extend(ALWAYS_BLOCKED.map(IpNet::from));
        Self { blocked, allowed }
    }

    /// Whether an address may be reached.
    pub fn may_reach(&self, address: IpAddr) -> bool {
        let names = [Some(address), embedded(address).map(IpAddr::V4)];
        let is_in = |networks: &[IpNet]| {
            names.iter().flatten().any(|name| networks.iter().any(|network| network.contains(name)))
        };
        !is_in(&self.blocked) || is_in(&self.allowed)
    }
}

/// The IPv4 address that an IPv6 address leads to: compatible or mapped (RFC 4291), 6to4 (RFC 3056), or by NAT64 (RFC 6052).
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    let join = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_a_blocked_address_is_blocked() {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let rules = AddressRules::new(
            networks(&["127.0.0.0/8", "10.0.0.0/8", "::1/128", "fc00::/7"]),
            networks(&["10.1.0.0/16", "fc00::5/128"]),
        );
        for (address, expect) in [
            ("1.1.1.1", true),
            ("127.0.0.1", false),
            ("127.255.0.9", false),
            ("0.0.0.0", false),
            ("10.0.0.1", false),
            ("10.1.2.3", true),
            ("::", false),
            ("::1", false),
            ("::2", true),
            ("2606:4700::1111", true),
            ("fc00::4", false),
            ("fc00::5", true),
            ("::ffff:127.0.0.1", false),
            ("::ffff:0.0.0.0", false),
            ("::ffff:1.1.1.1", true),
            ("::ffff:10.1.2.3", true),
            ("::127.0.0.1", false),
            ("2002:7f00:1::", false),
            ("2002:a00:1::5", false),
            ("2002:101:101::", true),
            ("64:ff9b::7f00:1", false),
            ("64:ff9b::101:101", true),
        ] {
            assert_eq!(rules.may_reach(address.parse().unwrap()), expect, "{address}");
        }
    }
}
