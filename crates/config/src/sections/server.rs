//! The server's identity: `server_name`, `public_baseurl` and the settings of the process.

use std::path::PathBuf;

use crate::reader::Section;

/// Longest server name, in bytes (the limit of a user id that has at least one letter before it).
const SERVER_NAME_LENGTH_MAX: usize = 230;

/// The server's identity and the settings of the process.
#[derive(Clone, Debug)]
pub struct Server {
    /// `server_name`: the part of ids after the colon. It can never change. Required.
    pub server_name: String,
    /// `public_baseurl`: where clients reach the server, with a slash at the end.
    /// Default: none, and then `https://<server_name>/` is used where a URL must be named.
    pub public_baseurl: Option<String>,
    /// `pid_file`: where the process id is written. Default: nowhere. Not being able to write it is no error.
    pub pid_file: Option<PathBuf>,
    /// `web_client_location`: where `/` redirects to. Default: the landing page.
    pub web_client_location: Option<String>,
    /// `admin_contact`: how users reach the admin, a URI. Told to users of a server that is blocked.
    pub admin_contact: Option<String>,
    /// `report_stats`: accepted and without effect; Myelin reports nothing to anyone.
    pub report_stats: bool,
    /// `enable_metrics`: whether the metrics listeners answer. Default: false.
    pub enable_metrics: bool,
    /// `suppress_key_server_warning` and friends are of federation; here only whether the server is blocked:
    /// `hs_disabled`. Default: false.
    pub hs_disabled: bool,
    /// `hs_disabled_message`: what users are told when the server is blocked.
    pub hs_disabled_message: String,
    /// `experimental_features`: flags by name, as given.
    pub experimental_features: serde_json::Map<String, serde_json::Value>,
}

impl Server {
    /// The URL to name to clients: `public_baseurl` or `https://<server_name>/`.
    pub fn public_baseurl_or_default(&self) -> String {
        self.public_baseurl.clone().unwrap_or_else(|| format!("https://{}/", self.server_name))
    }

    /// Whether a flag of `experimental_features` is on.
    pub fn has_experimental(&self, flag: &str) -> bool {
        self.experimental_features.get(flag).and_then(serde_json::Value::as_bool).unwrap_or(false)
    }

    pub(crate) fn read(root: &Section<'_>) -> Server {
        let experimental = root.section("experimental_features");
        let experimental_features = match root.find("experimental_features") {
            Some(found) if experimental.is_present() => match found.node.to_json() {
                serde_json::Value::Object(map) => map,
                _ => serde_json::Map::new(),
            },
            _ => serde_json::Map::new(),
        };
        tell_of_redactions(root);
        Server {
            server_name: read_server_name(root),
            public_baseurl: read_public_baseurl(root),
            pid_file: root.path("pid_file"),
            web_client_location: root.text("web_client_location"),
            admin_contact: root.text("admin_contact"),
            report_stats: root.bool("report_stats", false),
            enable_metrics: root.bool("enable_metrics", false),
            hs_disabled: root.bool("hs_disabled", false),
            hs_disabled_message: root
                .text("hs_disabled_message")
                .unwrap_or_else(|| "Homeserver is currently blocked".to_owned()),
            experimental_features,
        }
    }
}

/// Synapse deletes the content of redacted events after a week although nobody asks for it. Here it stays, which the admin is told
/// until the config says that it is meant.
fn tell_of_redactions(root: &Section<'_>) {
    const KEY: &str = "redaction_retention_period";
    if root.find_nullable(KEY).is_none() {
        let text = "is not set, and not supported yet: the content of redacted events is kept in the database for good, where \
                    Synapse deletes it after 7 days. `redaction_retention_period: null` says that this is meant";
        root.warn(KEY, text.to_owned());
    }
}

fn read_server_name(root: &Section<'_>) -> String {
    if root.find("server_name").is_none() {
        root.wrong_key(
            "server_name",
            "is missing; it is the part of user ids after the colon, such as `example.org`. \
             `myelin generate --server-name example.org --report-stats no` writes a config with it"
                .to_owned(),
        );
        return String::new();
    }
    let name = root.text("server_name").unwrap_or_default();
    if !is_server_name(&name)
        && let Some(found) = root.find("server_name")
    {
        root.wrong(&found, "a host name, IPv4 address or [IPv6 address], each with or without `:port`, in lower case");
    }
    name
}

/// Whether a text is a server name by the grammar of the Matrix specification.
pub fn is_server_name(name: &str) -> bool {
    let (host, port) = match name.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, tail)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
                match tail.strip_prefix(':') {
                    Some(port) => ("v6", Some(port)),
                    None if tail.is_empty() => ("v6", None),
                    None => return false,
                }
            }
            _ => return false,
        },
        None => match name.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (name, None),
        },
    };
    let port_is_right = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let host_is_right = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    name.len() <= SERVER_NAME_LENGTH_MAX && port_is_right && host_is_right
}

fn read_public_baseurl(root: &Section<'_>) -> Option<String> {
    let mut url = root.text("public_baseurl")?;
    if !url.ends_with('/') {
        url.push('/');
    }
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_right =
        host.is_some_and(|host| !host.starts_with('/')) && !url.contains(['?', '#', ' ']);
    if !is_right {
        let found = root.find("public_baseurl")?;
        root.wrong(&found, "a URL that starts with https:// or http://, without ? and #");
        return None;
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::is_server_name;

    #[test]
    fn server_names() {
        for name in ["example.org", "localhost:8448", "1.2.3.4", "[::1]:8448", "hs1"] {
            assert!(is_server_name(name), "{name}");
        }
        for name in ["", "https://example.org", "a b", "example.org:99999", "[::1", "ex_ample.org"]
        {
            assert!(!is_server_name(name), "{name}");
        }
    }
}
