//! Server ACLs: which servers may take part in a room (client-server API, `m.room.server_acl`).

use std::net::IpAddr;

use ruma::ServerName;
use serde_json::Value;

/// An `m.room.server_acl` event, parsed once. A room without one lets every server take part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAcl {
    allow: Vec<String>,
    deny: Vec<String>,
    allow_ip_literals: bool,
}

impl ServerAcl {
    /// Read the content. What is not of the right type counts as absent.
    pub fn parse(content: &str) -> Self {
        let content: Value = serde_json::from_str(content).unwrap_or_default();
        let globs = |key: &str| -> Vec<String> {
            let globs = content.get(key).and_then(Value::as_array).into_iter().flatten();
            globs.filter_map(Value::as_str).map(str::to_lowercase).collect()
        };
        Self {
            allow: globs("allow"),
            deny: globs("deny"),
            allow_ip_literals: content
                .get("allow_ip_literals")
                .and_then(Value::as_bool)
                .unwrap_or(true),
        }
    }

    /// Whether the server may take part. Ports do not count.
    pub fn allows(&self, server: &ServerName) -> bool {
        let host = server.host().to_lowercase();
        let literal =
            host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        if !self.allow_ip_literals && literal.parse::<IpAddr>().is_ok() {
            return false;
        }
        !self.deny.iter().any(|glob| matches(glob, &host))
            && self.allow.iter().any(|glob| matches(glob, &host))
    }
}

/// Whether a glob with `*` (any characters) and `?` (one character) matches the whole text. Takes time in proportion to the product of the
/// lengths at worst.
pub fn matches(glob: &str, text: &str) -> bool {
    let (mut glob, mut text) = (glob.chars(), text.chars());
    // Where to go on when what was read fails: after the last star, which then takes one character more.
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let before = (glob.clone(), text.clone());
        match (glob.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                text = before.1;
                retry = Some((glob.clone(), text.clone()));
                continue;
            }
            (Some('?'), Some(_)) => continue,
            (Some(wanted), Some(found)) if wanted == found => continue,
            _ => {}
        }
        let Some((after_star, mut rest)) = retry else { return false };
        if rest.next().is_none() {
            return false;
        }
        glob = after_star.clone();
        text = rest.clone();
        retry = Some((after_star, rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, text, expect) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "abc", true),
            ("a*c", "abbc", true),
            ("a*c", "ac", true),
            ("a*c", "abcd", false),
            ("*.b.c", "a.b.c", true),
            ("*.b.c", "b.c", false),
            ("?b", "äb", true),
            ("?b", "b", false),
            ("*a*b", "xaxab", true),
            ("*a*b*", "xbxa", false),
            ("**a", "a", true),
            ("a", "ab", false),
        ] {
            assert_eq!(matches(glob, text), expect, "{glob} {text}");
        }
    }

    #[test]
    fn a_bad_glob_does_not_take_forever() {
        assert!(!matches(&"*a".repeat(50), &"a".repeat(49)));
        assert!(!matches(&format!("{}b", "*a".repeat(40)), &"a".repeat(10_000)));
    }

    #[test]
    fn servers() {
        let acl = r#"{"allow":["*"],"deny":["*.evil.com","EVIL.com",5],"allow_ip_literals":false}"#;
        for (content, server, expect) in [
            (acl, "good.com", true),
            (acl, "good.com:8448", true),
            (acl, "evil.com:8448", false),
            (acl, "a.EVIL.com", false),
            (acl, "1.2.3.4", false),
            (acl, "1.2.3.4:80", false),
            (acl, "[::1]:80", false),
            (r#"{"allow":["*"]}"#, "[::1]:80", true),
            (r#"{"allow":["*"],"allow_ip_literals":"no"}"#, "1.2.3.4", true),
            ("{}", "good.com", false),
            (r#"{"allow":"*"}"#, "good.com", false),
            (r#"{"allow":["good.com"]}"#, "bad.com", false),
        ] {
            let server = <&ServerName>::try_from(server).unwrap();
            assert_eq!(ServerAcl::parse(content).allows(server), expect, "{content} {server}");
        }
    }
}
