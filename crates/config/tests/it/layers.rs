//! Several files, folders, secrets in files.

use std::{fs, path::Path};

use myelin_config::{Config, ConfigError, Sources, load, sections::database::Database};

const BASE: &str = "server_name: a.example\nsigning_key: ed25519 a_t AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";

fn load_folder(folder: &Path) -> Result<Config, ConfigError> {
    load(&Sources { paths: vec![folder.to_owned()], ..Sources::default() })
        .map(|loaded| loaded.config)
}

fn load_text(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hs.yaml"), format!("{BASE}{text}")).unwrap();
    load_folder(folder.path())
}

#[test]
fn later_files_replace_whole_sections() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("10-base.yaml"),
        format!("{BASE}presence: {{enabled: false, idle_timeout: 9m}}"),
    )
    .unwrap();
    fs::write(folder.path().join("20-more.yaml"), "presence: {sync_online_timeout: 1m}\n").unwrap();
    fs::write(folder.path().join("30-empty.yaml"), "# nothing\n").unwrap();
    fs::write(folder.path().join("99-ignored.yml"), "server_name: other.example\n").unwrap();
    let presence = load_folder(folder.path()).unwrap().users.presence;
    assert_eq!(
        presence.idle_timeout_ms, 300_000,
        "the later `presence` replaces the earlier one whole"
    );
    assert_eq!(presence.sync_online_timeout_ms, 60_000);
}

#[test]
fn a_missing_secret_file_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("shared.secret");
    let text = format!("{BASE}registration_shared_secret_path: {}\n", secret.display());
    fs::write(folder.path().join("hs.yaml"), text).unwrap();
    assert_eq!(load_folder(folder.path()).unwrap().registration.shared_secret, None);
    assert!(!secret.exists(), "reading alone makes nothing");
    let sources = Sources {
        paths: vec![folder.path().to_owned()],
        create_secrets: true,
        ..Sources::default()
    };
    let first = load(&sources).unwrap().config.registration.shared_secret.unwrap();
    let second = load_folder(folder.path()).unwrap().registration.shared_secret.unwrap();
    assert_eq!(first.expose(), fs::read_to_string(&secret).unwrap());
    assert_eq!(first, second);
    assert!(first.expose().len() >= 40);
}

#[test]
fn a_tool_passes_over_what_it_does_not_need() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("hs.yaml"),
        "registration_shared_secret: x\nmax_upload_size: 5MB\n",
    )
    .unwrap();
    let sources = Sources { paths: vec![folder.path().to_owned()], ..Sources::default() };
    assert!(load(&sources).is_err());
    let loaded =
        myelin_config::load_part(&sources, &["registration_shared_secret", "listeners"]).unwrap();
    assert_eq!(loaded.config.registration.shared_secret.unwrap().expose(), "x");
}

#[test]
fn a_turn_secret_file_must_be_there() {
    let error = load_text("turn_shared_secret_path: /nowhere/turn\n").unwrap_err().to_string();
    assert!(error.contains("turn_shared_secret_path: /nowhere/turn cannot be read"), "{error}");
}

#[test]
fn secrets_in_the_config_can_be_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hs.yaml"), format!("{BASE}form_secret: x\n")).unwrap();
    let sources = Sources {
        paths: vec![folder.path().to_owned()],
        secrets_in_config: false,
        ..Sources::default()
    };
    let error = load(&sources).unwrap_err().to_string();
    assert!(error.contains("form_secret: secrets in the config are refused"), "{error}");
}

#[test]
fn a_signing_key_is_made_only_if_asked() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hs.yaml"), "server_name: a.example\n").unwrap();
    let key = folder.path().join("a.example.signing.key");
    let started = Sources {
        paths: vec![folder.path().to_owned()],
        create_secrets: true,
        ..Sources::default()
    };
    let error = load(&started).unwrap_err().to_string();
    assert!(error.contains("a.example.signing.key is not there. It is the identity"), "{error}");
    assert!(!key.exists(), "a start alone makes no identity");
    let sources = Sources { create_signing_key: true, ..started };
    let made = load(&sources).unwrap().config.signing;
    assert_eq!(made.created.as_deref(), Some(key.as_path()));
    assert_eq!(load(&sources).unwrap().config.signing.keys, made.keys);
}

#[test]
fn open_registration_has_to_be_asked_for_twice() {
    let error = load_text("enable_registration: true\n").unwrap_err().to_string();
    assert!(error.contains("enable_registration_without_verification: true"), "{error}");
    assert!(
        load_text("enable_registration: true\nenable_registration_without_verification: true\n")
            .is_ok()
    );
}

#[test]
fn registration_meant_closed_does_not_open() {
    let open = "enable_registration: true\nregistration_requires_token: true\n";
    for (protection, key) in [
        ("enable_registration_captcha: true\n", "enable_registration_captcha"),
        ("registrations_require_3pid: [email]\n", "registrations_require_3pid"),
        ("user_consent: {require_at_registration: true}\n", "user_consent"),
        (
            "experimental_features: {msc3866: {enabled: true, require_approval_for_new_accounts: true}}\n",
            "experimental_features",
        ),
    ] {
        for more in ["", "enable_registration_without_verification: true\n"] {
            let error = load_text(&format!("{open}{more}{protection}")).unwrap_err().to_string();
            assert!(error.contains(&format!("{key}: ")), "{error}");
            assert!(error.contains("turn registration off"), "it says what to do: {error}");
        }
        load_text(protection).unwrap();
    }
    load_text(open).unwrap();
}

#[test]
fn old_keys_that_synapse_heeds_are_heeded() {
    let tls = "listeners:\n  - {port: 1, type: http, tls: true}\n  - {port: 2, type: http}\n";
    let config = load_text(&format!("{tls}no_tls: true\n")).unwrap();
    assert_eq!(config.listeners.len(), 1);
    assert!(load_text("bind_port: 8448\n").unwrap_err().to_string().contains("Write `listeners`"));
    let shown = load_text("room_invite_state_types: [m.room.name]\n").unwrap().rooms.prejoin_state;
    assert!(shown.disable_default_event_types);
    assert_eq!(shown.additional_event_types, [("m.room.name".to_owned(), None)]);
}

#[test]
fn every_argument_of_the_database_works_or_is_told() {
    let database = |args: &str| format!("database: {{name: psycopg2, args: {{{args}}}}}\n");
    for (args, key) in [
        ("channel_binding: require", "channel_binding"),
        ("sslcrl: /crl.pem", "sslcrl"),
        ("service: main", "service"),
        ("host: 'a,b'", "host"),
        ("sslcert: /cert.pem", "sslcert"),
        ("dsn: 'host=a channel_binding=require'", "channel_binding"),
        ("dsn: 'postgres://a/b?sslcrl=/crl.pem'", "sslcrl"),
        ("dsn: nothing", "dsn"),
    ] {
        let error = load_text(&database(args)).unwrap_err().to_string();
        assert!(error.contains(&format!("database.args.{key}: ")), "{args}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let args = "dsn: 'host=a user=b password=c', port: 5433, keepalives_idle: 10, hots: x, channel_binding: prefer";
    fs::write(folder.path().join("hs.yaml"), format!("{BASE}{}", database(args))).unwrap();
    let loaded =
        load(&Sources { paths: vec![folder.path().to_owned()], ..Sources::default() }).unwrap();
    let told: Vec<_> = loaded.warnings.iter().map(|warning| warning.problem.key.as_str()).collect();
    let expected =
        ["redaction_retention_period", "database.args.keepalives_idle", "database.args.hots"];
    assert_eq!(told, expected);
    let Database::Postgres(postgres) = loaded.config.database else { panic!("embedded") };
    assert_eq!(
        (postgres.host.as_deref(), postgres.port, postgres.dsn),
        (Some("a"), Some(5433), None)
    );
}

#[test]
fn secrets_stay_out_of_messages() {
    for text in [
        "database: 'postgres://user:hunter2@host/db'\n",
        "database: {args: 'host=db password=hunter2'}\n",
        "database: {args: {password: [hunter2]}}\n",
        "turn_shared_secret: [hunter2]\n",
        "password_config: hunter2\n",
        "signing_key: [hunter2]\n",
        "myelin: {otlp: {endpoint: 'http://c', headers: 'authorization: hunter2'}}\n",
    ] {
        let error = load_text(text).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn an_appservice_is_read_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bridge.registration");
    let text = "id: bridge\nurl: http://localhost:9000\nas_token: aaa\nhs_token: hhh\nsender_localpart: _bot\n\
        rate_limited: false\nnamespaces:\n  users:\n    - {exclusive: true, regex: '@_bridge_.*'}\n  rooms: []\n\
        push_ephemeral: true\nio.element.msc4190: true\n";
    fs::write(&file, text).unwrap();
    let config = load_text(&format!("app_service_config_files: [{}]\n", file.display())).unwrap();
    let service = &config.appservices[0];
    assert_eq!(
        (service.id.as_str(), service.rate_limited, service.receive_ephemeral),
        ("bridge", false, true)
    );
    assert_eq!(service.users[0].regex, "@_bridge_.*");
    assert!(service.manages_devices);
    let error = load_text("app_service_config_files: [/nowhere.yaml]\n").unwrap_err().to_string();
    assert!(error.contains("/nowhere.yaml cannot be read"), "{error}");
    fs::write(&file, "id: x\nas_token: a\nsender_localpart: b\n").unwrap();
    let error = load_text(&format!("app_service_config_files: [{}]\n", file.display()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("bridge.registration: hs_token: is missing"), "{error}");
}

#[test]
fn a_generated_config_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let text = myelin_config::generate_config(&myelin_config::Generate {
        server_name: "example.org".to_owned(),
        config_directory: folder.path().to_owned(),
        data_directory: folder.path().to_owned(),
        report_stats: false,
        open_private_ports: false,
        enable_metrics: true,
    });
    fs::write(folder.path().join("homeserver.yaml"), &text).unwrap();
    fs::write(folder.path().join("example.org.log.config"), myelin_config::generate_log_config())
        .unwrap();
    let sources = Sources {
        paths: vec![folder.path().to_owned()],
        create_signing_key: true,
        ..Sources::default()
    };
    let loaded = load(&sources).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(loaded.warnings, [], "neither warnings nor notes");
    assert_eq!(loaded.config.listeners.len(), 2);
    assert_eq!(loaded.config.own.data_directory, folder.path());
    let log = myelin_config::sections::logging::read_log_config(&loaded.config.log_config.unwrap())
        .unwrap();
    assert_eq!(log.levels.len(), 1);
}
