//! Requests that the server makes to others: `ip_range_blacklist`, `ip_range_whitelist`.

use ipnet::IpNet;

use crate::reader::Section;

/// The networks that Synapse blocks where the config says nothing: of this machine, of its neighbors, and of nobody.
const BLOCKED_BY_DEFAULT: [&str; 19] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "192.0.0.0/24",
    "169.254.0.0/16",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "::1/128",
    "fe80::/10",
    "fc00::/7",
    "2001:db8::/32",
    "ff00::/8",
    "fec0::/10",
];

/// The addresses that requests may reach whose target a user or another server names.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// `ip_range_blacklist`: the networks that are not reached. Default: those of this machine and of private networks.
    pub ip_range_blacklist: Vec<IpNet>,
    /// `ip_range_whitelist`: the networks that are reached all the same. Default: none.
    pub ip_range_whitelist: Vec<IpNet>,
}

pub(crate) fn read(root: &Section<'_>) -> Outgoing {
    let blocked = read_networks(root, "ip_range_blacklist");
    let by_default = || BLOCKED_BY_DEFAULT.iter().filter_map(|text| parse(text)).collect();
    Outgoing {
        ip_range_blacklist: blocked.unwrap_or_else(by_default),
        ip_range_whitelist: read_networks(root, "ip_range_whitelist").unwrap_or_default(),
    }
}

fn read_networks(root: &Section<'_>, key: &str) -> Option<Vec<IpNet>> {
    let texts = root.texts(key)?;
    let networks: Vec<IpNet> = texts.iter().filter_map(|text| parse(text)).collect();
    if networks.len() < texts.len()
        && let Some(found) = root.find(key)
    {
        root.wrong(&found, "a list of addresses and networks, such as 10.0.0.0/8");
    }
    Some(networks)
}

fn parse(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse().ok().map(|address: std::net::IpAddr| address.into()))
}
