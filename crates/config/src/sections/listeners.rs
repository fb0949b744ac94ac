//! `listeners`: what the server listens on, and the TLS files.

use std::path::PathBuf;

use crate::reader::Section;

/// Mode of a unix socket when none is given: everybody may connect.
const SOCKET_MODE_DEFAULT: u32 = 0o666;
/// The port when the config has no listeners at all.
const PORT_DEFAULT: u16 = 8008;

/// One of the `listeners`.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// `port` with `bind_addresses`, or `path`.
    pub address: ListenAddress,
    /// `type`: `http` or `metrics`. Required.
    pub kind: ListenerKind,
    /// `tls`: whether it speaks TLS with `tls_certificate_path`. Default: false.
    pub tls: bool,
    /// `x_forwarded`: whether the client's address is taken from `X-Forwarded-For`. Set it behind a reverse
    /// proxy and only there. Default: false, but true on a unix socket.
    pub x_forwarded: bool,
    /// `request_id_header`: a header whose value becomes the request's id in the logs. Default: none.
    pub request_id_header: Option<String>,
    /// `tag`: a name for the listener in logs. Default: the port or path.
    pub tag: Option<String>,
    /// `resources`: what is served. Default: nothing but `/health`.
    pub resources: Vec<Resource>,
    /// `resources[].compress`: whether answers are compressed for clients that take gzip. Default: false.
    pub compress: bool,
}

/// The address that a listener listens on.
#[derive(Clone, Debug, PartialEq)]
pub enum ListenAddress {
    /// `port` on `bind_addresses` (or `bind_address`). Default addresses: all of IPv6 and of IPv4.
    Tcp {
        /// 1 to 65535; 0 lets the system choose (for tests).
        port: u16,
        /// Addresses or host names. `::` and `0.0.0.0` mean all.
        bind_addresses: Vec<String>,
    },
    /// `path` of a unix socket and its `mode` (default 0666).
    Unix {
        /// The path at which the socket is made. A socket left behind by a killed server is replaced.
        path: PathBuf,
        /// The permission bits of the socket.
        mode: u32,
    },
}

/// The kind of a listener, which says what it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// Matrix over HTTP, by the listener's resources.
    Http,
    /// Prometheus metrics on every path.
    Metrics,
}

/// A part of the server that an http listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Client and admin API, well-known documents and the landing page.
    Client,
    /// The consent page.
    Consent,
    /// The server-to-server API; implies `openid`, `keys` and `media`.
    Federation,
    /// The server's signing keys.
    Keys,
    /// The media API.
    Media,
    /// Prometheus metrics on `/_synapse/metrics`.
    Metrics,
    /// The endpoint `openid/userinfo` of the server-to-server API, and no other of it.
    OpenId,
    /// Traffic between Synapse's workers; nothing here.
    Replication,
    /// The landing page.
    Static,
    /// `/health`; it is on every http listener anyway.
    Health,
}

const RESOURCES: &[(&str, Resource)] = &[
    ("client", Resource::Client),
    ("consent", Resource::Consent),
    ("federation", Resource::Federation),
    ("keys", Resource::Keys),
    ("media", Resource::Media),
    ("metrics", Resource::Metrics),
    ("openid", Resource::OpenId),
    ("replication", Resource::Replication),
    ("static", Resource::Static),
    ("health", Resource::Health),
];

/// The TLS files, for listeners with `tls: true`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// `tls_certificate_path`: PEM, the server's certificate first, then the chain. Read again on SIGHUP.
    pub certificate_path: PathBuf,
    /// `tls_private_key_path`: PEM. Read again on SIGHUP.
    pub private_key_path: PathBuf,
}

impl Listener {
    /// Whether it serves a resource.
    pub fn serves(&self, resource: Resource) -> bool {
        self.resources.contains(&resource)
    }

    /// The name of it in messages: its tag, or `port 8008`, or the path of its socket.
    pub fn name(&self) -> String {
        match (&self.tag, &self.address) {
            (Some(tag), _) => tag.clone(),
            (None, ListenAddress::Tcp { port, .. }) => format!("port {port}"),
            (None, ListenAddress::Unix { path, .. }) => path.display().to_string(),
        }
    }
}

pub(crate) fn read(root: &Section<'_>) -> Vec<Listener> {
    let no_tls = root.bool("no_tls", false);
    match root.sections("listeners") {
        Some(sections) => {
            let listeners = sections.iter().filter_map(|section| {
                let is_left_out = no_tls && section.bool("tls", false);
                if is_left_out {
                    section.warn("tls", "this listener is left out, because of no_tls".to_owned());
                    return None;
                }
                read_listener(section)
            });
            listeners.collect()
        }
        None => vec![Listener {
            address: ListenAddress::Tcp {
                port: PORT_DEFAULT,
                bind_addresses: vec!["::1".to_owned(), "127.0.0.1".to_owned()],
            },
            kind: ListenerKind::Http,
            tls: false,
            x_forwarded: true,
            request_id_header: None,
            tag: None,
            resources: vec![Resource::Client, Resource::Federation],
            compress: false,
        }],
    }
}

fn read_listener(section: &Section<'_>) -> Option<Listener> {
    if section.find("type").is_none() {
        section.wrong_key("type", "is missing; allowed: http, metrics".to_owned());
        return None;
    }
    let kinds = [
        ("http", Some(ListenerKind::Http)),
        ("metrics", Some(ListenerKind::Metrics)),
        ("manhole", None),
        ("replication", None),
    ];
    let Some(kind) = section.choice("type", &kinds, Some(ListenerKind::Http)) else {
        section.warn(
            "type",
            "this kind of listener has no meaning in Myelin; it is left out".to_owned(),
        );
        return None;
    };
    let address = read_address(section)?;
    let is_unix = matches!(address, ListenAddress::Unix { .. });
    if section.find("additional_resources").is_some() {
        section.warn(
            "additional_resources",
            "Python resources cannot be served; they are left out".to_owned(),
        );
    }
    let resource_sections = section.sections("resources").unwrap_or_default();
    let compress = resource_sections.iter().map(|part| part.bool("compress", false));
    Some(Listener {
        kind,
        // Every part is read, so that each wrong value is told.
        compress: compress.fold(false, |any, one| any | one),
        tls: section.bool("tls", false),
        x_forwarded: section.bool("x_forwarded", is_unix),
        request_id_header: read_header(section),
        tag: section.text("tag"),
        resources: read_resources(&resource_sections),
        address,
    })
}

fn read_header(section: &Section<'_>) -> Option<String> {
    let name = section.text("request_id_header")?;
    let is_right = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if !is_right && let Some(found) = section.find("request_id_header") {
        section.wrong(&found, "the name of a header");
    }
    Some(name)
}

fn read_address(section: &Section<'_>) -> Option<ListenAddress> {
    let port = section.int("port", 0..=65535);
    let path = section.path("path");
    let mode = section.int("mode", 0..=0o777);
    let several = section.texts("bind_addresses");
    let one = section.text("bind_address");
    match (port, path) {
        (Some(_), Some(_)) => {
            section
                .wrong_key("path", "given together with port; allowed: one of the two".to_owned());
            None
        }
        (None, None) => {
            if section.find("port").is_none() {
                section.wrong_key(
                    "port",
                    "is missing; allowed: a port, or a `path` for a unix socket".to_owned(),
                );
            }
            None
        }
        (None, Some(path)) => {
            let mode =
                mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(SOCKET_MODE_DEFAULT);
            Some(ListenAddress::Unix { path, mode })
        }
        (Some(port), None) => {
            let mut bind_addresses = several.unwrap_or_default();
            // As in Synapse an empty text means every address.
            bind_addresses
                .extend(one.map(|one| if one.is_empty() { "0.0.0.0".to_owned() } else { one }));
            if bind_addresses.is_empty() {
                bind_addresses = vec!["::".to_owned(), "0.0.0.0".to_owned()];
            }
            Some(ListenAddress::Tcp { port: u16::try_from(port).ok()?, bind_addresses })
        }
    }
}

/// The text that tells what is missing where a resource that is named is not there yet.
fn what_is_lost(resource: Resource) -> Option<&'static str> {
    match resource {
        Resource::Client | Resource::Metrics | Resource::Static | Resource::Health => None,
        Resource::Federation => {
            Some("federation is off, other servers are neither heard nor spoken to")
        }
        Resource::Keys => Some("the server's keys are not told to others"),
        Resource::Media => Some("there are no media"),
        Resource::OpenId => Some("OpenID tokens are issued, but nobody can check them"),
        Resource::Consent => Some("there are no consent pages"),
        Resource::Replication => Some("every node does all work; there are no workers"),
    }
}

fn read_resources(sections: &[Section<'_>]) -> Vec<Resource> {
    let mut resources = Vec::new();
    for part in sections {
        for name in part.texts("names").unwrap_or_default() {
            match RESOURCES.iter().find(|(known, _)| *known == name) {
                Some((_, resource)) => {
                    if let Some(lost) = what_is_lost(*resource) {
                        part.warn("names", format!("{name} is not served yet: {lost}"));
                    }
                    resources.push(*resource);
                }
                None => {
                    let known: Vec<&str> = RESOURCES.iter().map(|(known, _)| *known).collect();
                    part.wrong_key(
                        "names",
                        format!("{name:?} is not known; allowed: {}", known.join(", ")),
                    );
                }
            }
        }
    }
    resources
}

pub(crate) fn read_tls(root: &Section<'_>, listeners: &[Listener]) -> Option<Tls> {
    let certificate_path = root.path("tls_certificate_path");
    let private_key_path = root.path("tls_private_key_path");
    let is_needed = listeners.iter().any(|listener| listener.tls);
    for (key, path) in
        [("tls_certificate_path", &certificate_path), ("tls_private_key_path", &private_key_path)]
    {
        if path.is_none() && is_needed {
            root.wrong_key(
                key,
                "is missing; a listener has `tls: true`, so a PEM file must be named".to_owned(),
            );
        }
    }
    Some(Tls { certificate_path: certificate_path?, private_key_path: private_key_path? })
}
