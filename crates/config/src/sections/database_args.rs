//! The keys of libpq and of Synapse's connection pool below `database.args`: what becomes of each.

use crate::reader::Section;

/// Keys that have their effect.
const USED: &[&str] = &[
    "dsn",
    "host",
    "hostaddr",
    "port",
    "user",
    "password",
    "passfile",
    "dbname",
    "database",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "application_name",
    "options",
    "cp_min",
    "cp_max",
];

/// Keys that protect the connection or say where it leads, and the values of them that ask for nothing.
const REFUSED: &[(&str, &[&str])] = &[
    ("channel_binding", &["disable", "prefer"]),
    ("gssencmode", &["disable", "prefer"]),
    ("require_auth", &[]),
    ("requirepeer", &[]),
    ("service", &[]),
    ("servicefile", &[]),
    ("ssl_max_protocol_version", &[]),
    ("ssl_min_protocol_version", &["TLSv1", "TLSv1.1", "TLSv1.2"]),
    ("sslcertmode", &["allow", "disable"]),
    ("sslcrl", &[]),
    ("sslcrldir", &[]),
    ("sslpassword", &[]),
];

/// Keys without effect, and what happens instead.
const IDLE: &[(&str, &str)] = &[
    ("check_same_thread", "it is of SQLite"),
    ("client_encoding", "it is always UTF-8"),
    ("connect_timeout", "a connection is waited for at most 20 s"),
    ("cp_good_sql", "connections are looked after by the pool"),
    ("cp_name", "connections are looked after by the pool"),
    ("cp_noisy", "connections are looked after by the pool"),
    ("cp_openfun", "connections are looked after by the pool"),
    ("cp_reconnect", "broken connections are always replaced"),
    ("fallback_application_name", "use application_name"),
    ("gssdelegation", "there is no login through GSSAPI"),
    ("gsslib", "there is no login through GSSAPI"),
    ("keepalives", "the system's settings of keepalives hold"),
    ("keepalives_count", "the system's settings of keepalives hold"),
    ("keepalives_idle", "the system's settings of keepalives hold"),
    ("keepalives_interval", "the system's settings of keepalives hold"),
    ("krbsrvname", "there is no login through GSSAPI"),
    ("load_balance_hosts", "one server is named"),
    ("sslcompression", "TLS does not compress"),
    ("sslnegotiation", "TLS is negotiated in the usual way"),
    ("sslsni", "the server's name is always sent"),
    ("target_session_attrs", "the server that is named is used, whatever it is"),
    ("tcp_user_timeout", "the system's timeouts hold"),
];

/// Tells what becomes of a key.
pub(crate) fn check(args: &Section<'_>, name: &str) {
    if USED.contains(&name) {
        return;
    }
    let value = args.find(name).map(|found| found.node.to_json());
    let value = value.as_ref().and_then(|value| value.as_str());
    if let Some((_, idle)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        if !value.is_some_and(|value| idle.contains(&value)) {
            let text = "not supported yet, and not safe to pass over: remove it, or do without it";
            args.wrong_key(name, text.to_owned());
        }
    } else if let Some((_, instead)) = IDLE.iter().find(|(idle, _)| *idle == name) {
        args.warn(name, format!("has no effect: {instead}"));
    } else {
        args.warn(name, crate::keys::unknown_text(name, USED.iter().copied()));
    }
}

/// The names and values of a connection text: the words of one in libpq's form, or the parameters of a URL. None if it is
/// neither.
pub(crate) fn parse_dsn(dsn: &str) -> Option<Vec<(String, String)>> {
    if let Some((_, rest)) = dsn.split_once("://") {
        let parameters = rest.split_once('?').map_or("", |(_, parameters)| parameters);
        let parameters = parameters.split('&').filter(|parameter| !parameter.is_empty());
        return parameters
            .map(|parameter| {
                let (name, value) = parameter.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect();
    }
    let mut words = Vec::new();
    let mut rest = dsn.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = take_value(after.trim_start())?;
        words.push((name.trim().to_owned(), value));
        rest = after.trim_start();
    }
    (!words.is_empty()).then_some(words)
}

/// A value, in quotes or up to the next space; a backslash takes the next letter as it is. And what follows.
fn take_value(text: &str) -> Option<(String, &str)> {
    let quoted = text.strip_prefix('\'');
    let text = quoted.unwrap_or(text);
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((index, letter)) = letters.next() {
        match letter {
            '\\' => value.push(letters.next()?.1),
            '\'' if quoted.is_some() => return Some((value, text.get(index + 1..)?)),
            letter if quoted.is_none() && letter.is_whitespace() => {
                return Some((value, text.get(index..)?));
            }
            letter => value.push(letter),
        }
    }
    quoted.is_none().then_some((value, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_texts() {
        let words = |text: &str| {
            parse_dsn(text).map(|words| {
                words.iter().map(|(name, value)| format!("{name}|{value}")).collect::<Vec<_>>()
            })
        };
        for (text, want) in [
            ("host=a user=b", Some(vec!["host|a", "user|b"])),
            (
                r"password='it\'s a \\ secret' port = 5",
                Some(vec![r"password|it's a \ secret", "port|5"]),
            ),
            (
                "postgres://u:p@h/d?sslmode=require&options=-c",
                Some(vec!["sslmode|require", "options|-c"]),
            ),
            ("postgres://h", Some(vec![])),
            ("host", None),
            ("password='open", None),
        ] {
            let want = want.map(|want| want.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(words(text), want, "{text}");
        }
    }
}
