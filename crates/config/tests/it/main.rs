//! Whole configs, in the styles that admins have, to settings, warnings and errors.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, which clippy takes for production code"
)]

mod layers;
mod table;

use std::path::PathBuf;

use myelin_config::{
    Loaded, Sources, Weight, load,
    sections::{
        database::Database,
        listeners::{ListenAddress, ListenerKind, Resource},
        password::PasswordLogin,
        ratelimits::RateLimit,
        rooms::{DirectoryRule, EncryptionByDefault},
        users::PresenceMode,
    },
};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures").join(name)
}

fn load_fixture(name: &str) -> Loaded {
    load(&Sources { paths: vec![fixture(name)], ..Sources::default() })
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Warnings without the folder of the fixtures.
fn warnings(loaded: &Loaded, weight: Weight) -> Vec<String> {
    let folder = format!("{}/", fixture("").display()).replace("//", "/");
    let chosen = loaded.warnings.iter().filter(|warning| warning.weight == weight);
    chosen.map(|warning| warning.to_string().replace(&folder, "")).collect()
}

#[test]
fn a_playbooks_config() {
    let loaded = load_fixture("playbook.yaml");
    let config = &loaded.config;
    assert_eq!(config.server.public_baseurl.as_deref(), Some("https://matrix.example.org/"));
    assert_eq!(config.listeners.len(), 3);
    assert_eq!(config.listeners[0].kind, ListenerKind::Metrics);
    assert_eq!(config.listeners[1].resources, [Resource::Client]);
    assert!(config.listeners[1].x_forwarded && !config.listeners[2].tls);
    let Database::Postgres(database) = &config.database else { panic!("embedded") };
    assert_eq!((database.dbname.as_deref(), database.connections_max), (Some("synapse"), 10));
    assert_eq!(database.password.as_ref().unwrap().expose(), "1234\nx");
    assert_eq!(config.ratelimits.login_address, RateLimit { per_second: 0.17, burst_count: 3 });
    assert_eq!(config.media.max_upload_size_bytes, 50 << 20);
    assert_eq!((config.turn.user_lifetime_ms, config.turn.allow_guests), (3_600_000, false));
    assert_eq!(config.rooms.default_room_version, "11");
    assert_eq!(config.rooms.filter_timeline_limit, Some(500));
    assert_eq!(config.rooms.encryption_by_default, EncryptionByDefault::Off);
    assert_eq!(config.rooms.prejoin_state.additional_event_types[1].1.as_deref(), Some("foo"));
    let rule = DirectoryRule {
        user_id: "*".into(),
        alias: "#public-*".into(),
        room_id: "*".into(),
        allow: true,
    };
    assert_eq!(config.rooms.room_list_publication_rules, [rule]);
    assert_eq!(config.signing.keys[0].version, "a_test");
    assert_eq!(config.password.pepper.as_ref().unwrap().expose(), "pepper");
    assert_eq!(
        warnings(&loaded, Weight::Warn),
        [
            "playbook.yaml:35: redaction_retention_period: not supported yet: the content of redacted events is kept in the \
             database for good",
            "playbook.yaml:85: push: not supported yet: no push notifications are sent",
            "playbook.yaml:30: listeners[2].resources[0].names: federation is not served yet: federation is off, other \
             servers are neither heard nor spoken to",
            "playbook.yaml:47: log_config: /data/example.org.log.config is not there; logs go to standard error",
        ]
    );
    assert!(!format!("{config:?}").contains("turn secret"), "secrets do not show in debug output");
}

#[test]
fn an_old_docker_config() {
    let loaded = load_fixture("docker_old.yaml");
    let config = &loaded.config;
    let socket = ListenAddress::Unix { path: "/run/matrix/main.sock".into(), mode: 0o660 };
    assert_eq!(config.listeners[0].address, socket);
    assert!(config.listeners[0].x_forwarded, "the only way to know clients behind a unix socket");
    let local = ListenAddress::Tcp { port: 8008, bind_addresses: vec!["127.0.0.1".into()] };
    assert_eq!(config.listeners[1].address, local);
    assert!(config.registration.enabled && config.registration.requires_token);
    assert_eq!(config.ratelimits.message, RateLimit { per_second: 1.0, burst_count: 50 });
    assert_eq!(config.sessions.session_lifetime_ms, Some(86_400_000));
    assert_eq!(config.sessions.refreshable_access_token_lifetime_ms, None);
    assert_eq!(
        config.sessions.ui_auth_session_timeout_ms, 90,
        "a sexagesimal number is milliseconds"
    );
    assert_eq!(config.users.presence.mode, PresenceMode::Untracked);
    assert_eq!(config.password.login, PasswordLogin::OnlyForReauth);
    assert_eq!(config.rooms.encryption_by_default, EncryptionByDefault::All);
    assert_eq!(config.database, Database::Embedded);
    assert_eq!(
        warnings(&loaded, Weight::Warn),
        [
            "docker_old.yaml:4: web_client: has no effect, in Synapse neither",
            "docker_old.yaml:20: federation_rc_window_size: not supported yet: the server does not speak to others yet",
            "docker_old.yaml:23: expire_access_token: has no effect, in Synapse neither",
            "docker_old.yaml:29: enable_group_creation: has no effect, in Synapse neither",
            "redaction_retention_period: is not set, and not supported yet: the content of redacted events is kept in the \
             database for good, where Synapse deletes it after 7 days. `redaction_retention_period: null` says that this is \
             meant",
            "docker_old.yaml:10: listeners[0].resources[0].names: federation is not served yet: federation is off, other \
             servers are neither heard nor spoken to",
            "docker_old.yaml:15: listeners[1].resources[0].names: openid is not served yet: OpenID tokens are issued, but \
             nobody can check them",
            "docker_old.yaml:30: presence.enabled: untracked: presence is off, as there are no modules that could set it",
        ]
    );
}

#[test]
fn every_wrong_value_is_told_at_once() {
    let error =
        load(&Sources { paths: vec![fixture("wrong.yaml")], ..Sources::default() }).unwrap_err();
    let folder = format!("{}/", fixture("").display()).replace("//", "/");
    let text = error.to_string().replace(&folder, "");
    let want = [
        "wrong.yaml:1: server_name: \"https://example.org\" is a text; allowed: a host name",
        "wrong.yaml:2: public_baseurl: \"matrix.example.org\" is a text; allowed: a URL that starts with https://",
        "wrong.yaml:3: default_room_version: 99 is a whole number; allowed: 1, 2, 3",
        "wrong.yaml:4: max_upload_size: \"50MB\" is a text; allowed: a whole number of bytes",
        "wrong.yaml:5: session_lifetime: \"forever\" is a text; allowed: a whole number of milliseconds",
        "wrong.yaml:6: enable_registration: \"maybe\" is a text; allowed: true or false",
        "wrong.yaml:8: listeners[0].port: is missing; allowed: a port, or a `path`",
        "wrong.yaml:10: listeners[1].port: 99999 is a whole number; allowed: a whole number from 0 to 65535",
        "wrong.yaml:11: listeners[1].type: \"htp\" is a text; allowed: http, metrics",
        "wrong.yaml:13: turn_shared_secret_path: given together with turn_shared_secret; allowed: one of the two",
        "wrong.yaml:14: database.name: Myelin keeps its data in PostgreSQL, not in SQLite.",
        "wrong.yaml:15: signing_key: line 1: not 32 bytes in base64",
        "wrong.yaml:16: password_config.policy.minimum_length: -1 is a whole number; allowed: a whole number from 0",
        "wrong.yaml:17: rc_login: [1] is a list; allowed: a map of keys and values",
    ];
    for line in want {
        assert!(text.contains(line), "missing: {line}\nin:\n{text}");
    }
    assert!(!text.contains("secretkeymaterial"), "{text}");
}
