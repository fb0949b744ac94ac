//! Application services, as their registrations describe them.

use std::sync::Arc;

use fancy_regex::{Regex, RegexBuilder};
use ruma::{OwnedUserId, ServerName, UserId};
use serde::Deserialize;

use crate::Secret;

/// The number of steps back that one match of a namespace may take. Look-ahead and back references, which Python's `re`
/// has, make it possible to write one that would never end.
const BACKTRACKS_MAX: usize = 100_000;

/// A registration file (application service API, "Registration").
#[derive(Debug, Clone, Deserialize)]
pub struct AppserviceRegistration {
    /// Its name among the application services of this server.
    pub id: String,
    /// The URL under which it is reached. `None`: nothing is sent to it.
    pub url: Option<String>,
    /// Its token for calls to this server.
    pub as_token: Secret,
    /// This server's token for calls to it.
    pub hs_token: Secret,
    /// The localpart of its own user.
    pub sender_localpart: String,
    /// The users, aliases and rooms that it takes care of.
    #[serde(default)]
    pub namespaces: AppserviceNamespaces,
    /// Rate limits hold for it. Default: they do.
    pub rate_limited: Option<bool>,
    /// The third-party networks it bridges to.
    #[serde(default)]
    pub protocols: Option<Vec<String>>,
    /// It wants ephemeral events.
    #[serde(default, alias = "de.sorunome.msc2409.push_ephemeral")]
    pub receive_ephemeral: bool,
    /// It makes the devices of its users by itself, so that nobody logs them in (MSC4190).
    #[serde(default, rename = "io.element.msc4190")]
    pub manages_devices: bool,
}

/// The names that an application service takes care of, each list in the order of the registration file.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct AppserviceNamespaces {
    #[serde(default)]
    pub users: Vec<AppserviceNamespace>,
    #[serde(default)]
    pub aliases: Vec<AppserviceNamespace>,
    #[serde(default)]
    pub rooms: Vec<AppserviceNamespace>,
}

/// One namespace.
#[derive(Debug, Clone, Deserialize)]
pub struct AppserviceNamespace {
    /// Nobody else may have a name that matches.
    #[serde(default)]
    pub exclusive: bool,
    /// A regular expression as Python's `re` takes it, which the identifier must match from its start.
    pub regex: String,
}

/// An application service.
#[derive(Debug)]
pub struct Appservice {
    /// The contents of the registration file.
    pub registration: AppserviceRegistration,
    /// The user that the application service itself is.
    pub sender: OwnedUserId,
    users: Vec<(bool, Regex)>,
    aliases: Vec<(bool, Regex)>,
    rooms: Vec<(bool, Regex)>,
}

impl Appservice {
    /// Prepare a registration for use. An error names what is wrong with it.
    pub fn new(
        registration: AppserviceRegistration,
        server_name: &ServerName,
    ) -> Result<Self, String> {
        let prepare = |namespaces: &[AppserviceNamespace]| {
            namespaces
                .iter()
                .map(|namespace| {
                    compile(&namespace.regex)
                        .map(|regex| (namespace.exclusive, regex))
                        .map_err(|error| format!("namespace {:?}: {error}", namespace.regex))
                })
                .collect::<Result<Vec<_>, _>>()
        };
        // A whole ID would name a user of another server.
        let sender = format!("@{}:{server_name}", registration.sender_localpart);
        let sender = UserId::parse(sender).map_err(|error| format!("sender_localpart: {error}"))?;
        if registration.sender_localpart.contains(['@', ':']) {
            return Err("sender_localpart: it is the part of a user ID between @ and :".to_owned());
        }
        Ok(Self {
            sender,
            users: prepare(&registration.namespaces.users)?,
            aliases: prepare(&registration.namespaces.aliases)?,
            rooms: prepare(&registration.namespaces.rooms)?,
            registration,
        })
    }

    /// Whether it may act as the user.
    pub fn may_act_as(&self, user_id: &UserId) -> bool {
        self.sender == user_id || is_in(&self.users, user_id.as_str())
    }

    /// Whether the user is in one of its namespaces, or its own.
    pub fn is_interested_in_user(&self, user_id: &UserId) -> bool {
        self.may_act_as(user_id)
    }

    /// Whether the alias is in one of its namespaces.
    pub fn is_interested_in_alias(&self, alias: &str) -> bool {
        is_in(&self.aliases, alias)
    }

    /// Whether the room is in one of its namespaces.
    pub fn is_interested_in_room(&self, room_id: &str) -> bool {
        is_in(&self.rooms, room_id)
    }

    /// Whether it makes the devices of its users by itself.
    pub fn manages_devices(&self) -> bool {
        self.registration.manages_devices
    }

    /// Whether rate limits hold for it.
    pub fn is_rate_limited(&self) -> bool {
        self.registration.rate_limited.unwrap_or(true)
    }
}

fn compile(regex: &str) -> Result<Regex, Box<fancy_regex::Error>> {
    let pattern = format!("^(?:{})", from_python(regex));
    RegexBuilder::new(&pattern).backtrack_limit(BACKTRACKS_MAX).build().map_err(Box::new)
}

/// Say what Python reads otherwise: in a class, `[`, `&&`, `--` and `~~` are plain characters, and `\Z` is the very end.
fn from_python(regex: &str) -> String {
    let mut pattern = String::with_capacity(regex.len());
    let mut letters = regex.chars().peekable();
    let mut is_in_class = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('Z') if !is_in_class => pattern.push_str("\\z"),
                Some(escaped) => pattern.extend(['\\', escaped]),
                None => pattern.push('\\'),
            },
            '[' if !is_in_class => {
                is_in_class = true;
                pattern.push('[');
                // A bracket that closes at once is a plain character, after `^` too.
                if letters.next_if_eq(&'^').is_some() {
                    pattern.push('^');
                }
                if letters.next_if_eq(&']').is_some() {
                    pattern.push_str("\\]");
                }
            }
            '[' | '&' | '~' if is_in_class => pattern.extend(['\\', letter]),
            '-' if is_in_class && letters.peek() == Some(&'-') => pattern.push_str("\\-"),
            ']' => {
                is_in_class = false;
                pattern.push(']');
            }
            letter => pattern.push(letter),
        }
    }
    pattern
}

/// A match that would take too long gives an application service nothing.
fn is_in(namespaces: &[(bool, Regex)], id: &str) -> bool {
    namespaces.iter().any(|(_, regex)| regex.is_match(id).unwrap_or(false))
}

/// A match that would take too long gives nobody what may be another's.
fn is_exclusive_in(namespaces: &[(bool, Regex)], id: &str) -> bool {
    namespaces.iter().any(|(exclusive, regex)| *exclusive && regex.is_match(id).unwrap_or(true))
}

/// All application services of this server. It is cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Appservices(Arc<[Appservice]>);

impl Appservices {
    /// All of them.
    pub fn new(appservices: Vec<Appservice>) -> Self {
        Self(appservices.into())
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Appservice> {
        self.0.iter()
    }

    /// Find one by its `id`.
    pub fn find(&self, id: &str) -> Option<&Appservice> {
        self.iter().find(|appservice| appservice.registration.id == id)
    }

    /// Whether an application service other than `except` (by its `id`) has the user for itself.
    pub fn is_user_exclusive(&self, user_id: &UserId, except: Option<&str>) -> bool {
        self.others(except).any(|appservice| {
            appservice.sender == user_id || is_exclusive_in(&appservice.users, user_id.as_str())
        })
    }

    /// Whether an application service other than `except` (by its `id`) has the alias for itself.
    pub fn is_alias_exclusive(&self, alias: &str, except: Option<&str>) -> bool {
        self.others(except).any(|appservice| is_exclusive_in(&appservice.aliases, alias))
    }

    fn others(&self, except: Option<&str>) -> impl Iterator<Item = &Appservice> {
        self.iter().filter(move |appservice| Some(appservice.registration.id.as_str()) != except)
    }
}

#[cfg(test)]
mod tests {
    use ruma::{server_name, user_id};

    use super::*;

    fn bridge() -> Appservices {
        let namespace =
            |exclusive, regex: &str| AppserviceNamespace { exclusive, regex: regex.to_owned() };
        let registration = AppserviceRegistration {
            id: "bridge".to_owned(),
            url: None,
            as_token: Secret::new("as".to_owned()),
            hs_token: Secret::new("hs".to_owned()),
            sender_localpart: "_bridge".to_owned(),
            namespaces: AppserviceNamespaces {
                users: vec![namespace(true, "@_bridge_.*"), namespace(false, "@open_.*")],
                ..AppserviceNamespaces::default()
            },
            rate_limited: None,
            protocols: None,
            receive_ephemeral: false,
            manages_devices: false,
        };
        Appservices::new(vec![Appservice::new(registration, server_name!("h.org")).unwrap()])
    }

    #[test]
    fn it_is_a_user_of_this_server() {
        for localpart in ["@u:b", "u:b", "@u"] {
            let mut registration = bridge().iter().next().unwrap().registration.clone();
            registration.sender_localpart = localpart.to_owned();
            let refused = Appservice::new(registration, server_name!("h.org")).unwrap_err();
            assert!(refused.starts_with("sender_localpart: "), "{refused}");
        }
    }

    #[test]
    fn what_python_takes_is_taken() {
        for (regex, yes, no) in [
            ("@(?!admin)[a-z]+:h.org", "@alice:h.org", "@admin:h.org"),
            (r"@_irc_.*(?<!_bot):h\.org\Z", "@_irc_a:h.org", "@_irc_a_bot:h.org"),
            ("@(?P<twice>[a-z]+)-(?P=twice):h.org", "@a-a:h.org", "@a-b:h.org"),
            (r"@(?i:IRC)_\w+", "@irc_x:h.org", "@ir_x:h.org"),
            (r"@[[]x\]:h.org", "@[x]:h.org", "@x:h.org"),
            ("@[a&&b]+:h.org", "@a&b:h.org", "@c:h.org"),
            ("@[^]]+:h.org", "@a:h.org", "@]:h.org"),
            ("@[]a]+:h.org", "@a]:h.org", "@b:h.org"),
            ("@[a~~b]+:h.org", "@a~b:h.org", "@c:h.org"),
        ] {
            let regex = compile(regex).unwrap();
            assert!(regex.is_match(yes).unwrap(), "{regex:?}");
            assert!(!regex.is_match(no).unwrap(), "{regex:?}");
        }
        assert!(compile("@(unclosed").is_err());
    }

    #[test]
    fn what_cannot_be_decided_is_nobodys() {
        let endless = vec![(true, compile(r"@(a|aa|a?a)+(?=x)\1z").unwrap())];
        let id = format!("@{}:h.org", "a".repeat(200));
        assert!(!is_in(&endless, &id));
        assert!(is_exclusive_in(&endless, &id));
    }

    #[test]
    fn exclusive_names_are_its_own() {
        let bridge = bridge();
        let cases = [
            (user_id!("@_bridge_1:h.org"), None, true),
            (user_id!("@_bridge_1:h.org"), Some("bridge"), false),
            (user_id!("@_bridge:h.org"), None, true),
            (user_id!("@open_1:h.org"), None, false),
            (user_id!("@x_bridge_1:h.org"), None, false),
        ];
        for (user_id, except, expected) in cases {
            assert_eq!(bridge.is_user_exclusive(user_id, except), expected, "{user_id}");
        }
    }
}
