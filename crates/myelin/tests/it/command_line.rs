//! The command line without a server.

use std::{fs, os::unix::fs::PermissionsExt, os::unix::process::CommandExt, process::Output};

use crate::server::myelin;

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn synapses_generate_config() {
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        let config = folder.path().join("homeserver.yaml");
        myelin()
            .args(["--generate-config", "-H", "example.org", "--report-stats=no", "-c"])
            .arg(config)
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let output = run();
    assert!(output.status.success(), "{}", text(&output));
    for file in ["homeserver.yaml", "example.org.log.config", "example.org.signing.key"] {
        let mode = fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640, "{file}");
    }
    let key = fs::read_to_string(folder.path().join("example.org.signing.key")).unwrap();
    let again = run();
    assert!(text(&again).contains("already exists"), "{}", text(&again));
    assert_eq!(fs::read_to_string(folder.path().join("example.org.signing.key")).unwrap(), key);
    let output = myelin()
        .args(["check-config", "-c"])
        .arg(folder.path().join("homeserver.yaml"))
        .output()
        .unwrap();
    assert!(
        text(&output).contains("The config is right: server example.org.")
            && !text(&output).contains("note:")
            && !text(&output).contains("warning:"),
        "{}",
        text(&output)
    );
}

#[test]
fn what_is_missing_is_said() {
    for (args, want) in [
        (vec!["-c", "/nowhere/homeserver.yaml"], "/nowhere/homeserver.yaml: cannot be read"),
        (vec!["--generate-config", "-H", "a.example", "-c", "x.yaml"], "--report-stats"),
        (
            vec!["generate", "--report-stats", "no", "-c", "not-there/hs.yaml"],
            "--server-name example.org",
        ),
        (vec!["-c", "x.yaml", "-D"], "run it under systemd"),
        (vec!["--server-name", "x"], "no config file given"),
        (vec!["serve"], "--config"),
        (vec!["register-user", "-u", "x"], "--config"),
    ] {
        let output =
            myelin().args(&args).current_dir(tempfile::tempdir().unwrap().path()).output().unwrap();
        assert!(!output.status.success(), "{args:?}");
        assert!(text(&output).contains(want), "{args:?}: {}", text(&output));
    }
}

#[test]
fn a_wrong_config_lists_all_problems() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("hs.yaml");
    let wrong =
        "server_name: a.example\nenable_registration: true\nmax_upload_size: 5MB\nform_secret: x\n";
    fs::write(&config, wrong).unwrap();
    let output = myelin().arg("check-config").arg("-c").arg(&config).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = text(&output);
    assert!(text.contains("3 problems in the config:"), "{text}");
    assert!(text.contains("a.example.signing.key is not there"), "{text}");
    assert!(text.contains("hs.yaml:3: max_upload_size: \"5MB\""), "{text}");
    // What has no effect is told all the same, also by a start that is refused.
    assert!(text.contains("note: ") && text.contains("hs.yaml:4: form_secret"), "{text}");
    let start = myelin().arg("serve").arg("-c").arg(&config).output().unwrap();
    assert!(self::text(&start).contains("hs.yaml:4: form_secret"), "{}", self::text(&start));
}

#[test]
fn hashes_and_keys() {
    let hash = |name: Option<&str>, args: &[&str]| {
        let mut command = myelin();
        if let Some(name) = name {
            command.arg0(name);
        }
        text(&command.args(args).output().unwrap())
    };
    assert!(hash(None, &["hash-password", "-p", "secret"]).starts_with("$argon2id$"));
    assert!(hash(None, &["hash-password", "-p", ""]).contains("cannot be blank"));
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("hs.yaml");
    fs::write(&config, "server_name: a\nbcrypt_rounds: 4\npassword_config: {pepper: p}\n").unwrap();
    let bcrypt = hash(Some("hash_password"), &["-p", "secret", "-c", config.to_str().unwrap()]);
    assert!(bcrypt.starts_with("$2b$04$"), "{bcrypt}");
    let key = folder.path().join("new.key");
    let output = myelin().args(["generate-signing-key", "-o"]).arg(&key).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(fs::read_to_string(&key).unwrap().starts_with("ed25519 a_"));
}

#[test]
fn check_config_refuses_what_a_start_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let check = |more: &str| {
        let base = "server_name: a.example\nsigning_key: ed25519 a_t AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
        fs::write(path("hs.yaml"), format!("{base}{more}")).unwrap();
        myelin().arg("check-config").arg("-c").arg(path("hs.yaml")).output().unwrap()
    };
    let registration = |regex: &str| {
        format!(
            "id: b\nas_token: a\nhs_token: h\nsender_localpart: b\nnamespaces: {{users: [{{exclusive: true, regex: '{regex}'}}]}}\n"
        )
    };
    let bridge = format!("app_service_config_files: [{}]\n", path("bridge.yaml").display());

    fs::write(path("bridge.yaml"), registration("@(?!admin)x_.*")).unwrap();
    let output = check(&bridge);
    assert!(output.status.success(), "valid in Python: {}", text(&output));
    fs::write(path("bridge.yaml"), registration("@(x_.*")).unwrap();
    for (more, want) in [
        (bridge.as_str(), "bridge.yaml: namespace"),
        (
            "listeners: [{port: 1, type: http, tls: true}]\ntls_certificate_path: /nowhere.crt\n\
          tls_private_key_path: /nowhere.key\n",
            "/nowhere.crt",
        ),
        ("myelin: {log: {filter: 'myelin=loud'}}\n", "myelin.log.filter"),
        ("exclude_rooms_from_sync: [lobby]\n", "exclude_rooms_from_sync"),
        ("database: {args: {dsn: host}}\n", "database.args.dsn"),
    ] {
        let output = check(more);
        assert!(!output.status.success(), "{more}");
        assert!(text(&output).contains(want), "{more}: {}", text(&output));
    }
    // All of them are told at once.
    let filter = "myelin: {log: {filter: 'myelin=loud'}}";
    let output = check(&format!("{bridge}exclude_rooms_from_sync: [lobby]\n{filter}\n"));
    for want in ["bridge.yaml: namespace", "exclude_rooms", "myelin.log.filter"] {
        assert!(text(&output).contains(want), "{want}: {}", text(&output));
    }
}
