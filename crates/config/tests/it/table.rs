//! The example config names every key that has an effect, and is right.

use std::path::PathBuf;

use myelin_config::{
    Sources,
    keys::{KEYS, Status},
    load,
};

fn example() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config/homeserver.yaml")
}

#[test]
fn the_example_documents_every_used_key() {
    let text = std::fs::read_to_string(example()).unwrap();
    let mut missing: Vec<&str> = Vec::new();
    for key in KEYS.values().filter(|key| key.status == Status::Used) {
        // Keys below one that is only warned of need no words.
        if key.name.contains("<key>") || key.name.contains("additional_resources") {
            continue;
        }
        let name = key.name.rsplit('.').next().unwrap_or(key.name).trim_end_matches("[]");
        if !text.contains(&format!("{name}:")) {
            missing.push(key.name);
        }
    }
    assert_eq!(missing, [""; 0], "keys that config/homeserver.yaml does not name");
}

#[test]
fn the_example_is_right() {
    // The key is no part of the example.
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.yaml");
    std::fs::write(&key, "signing_key: ed25519 a_t AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n")
        .unwrap();
    let loaded = load(&Sources { paths: vec![example(), key], ..Sources::default() })
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
}

/// Fields that nothing uses yet, and their keys, which are told as such.
const WAITING: &[(&str, &str)] = &[
    ("store_path", "media_store_path"),
    ("max_upload_size_bytes", "max_upload_size"),
    ("media_create", "rc_media_create"),
    ("delayed_event_mgmt", "rc_delayed_event_mgmt"),
    ("allow_public_rooms_over_federation", "allow_public_rooms_over_federation"),
    ("delete_stale_devices_after_ms", "delete_stale_devices_after"),
    ("old_keys", "old_signing_keys"),
    ("public_key", "old_signing_keys"),
    ("expired_ms", "old_signing_keys"),
    ("macaroon_secret_key", "macaroon_secret_key"),
    ("form_secret", "form_secret"),
    ("allow_profile_lookup_over_federation", "allow_profile_lookup_over_federation"),
    ("track_puppeted_user_ips", "track_puppeted_user_ips"),
    ("prefer_local_users", "user_directory.prefer_local_users"),
    ("exclude_remote_users", "user_directory.exclude_remote_users"),
    ("show_locked_users", "user_directory.show_locked_users"),
];

/// The code of the files below a folder, without tests.
fn read_code(folder: &std::path::Path, code: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_code(&path, code);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            code.push_str(text.split("#[cfg(test)]\nmod ").next().unwrap());
        }
    }
}

/// Whether code takes a field of something.
fn takes(code: &str, field: &str) -> bool {
    code.match_indices(&format!(".{field}")).any(|(start, found)| {
        let next = code[start + found.len()..].chars().next();
        !next.is_some_and(|next| next.is_alphanumeric() || next == '_' || next == '(')
    })
}

#[test]
fn every_field_reaches_something_or_is_told() {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let (mut sections, mut code) = (String::new(), String::new());
    read_code(&here.join("src/sections"), &mut sections);
    read_code(&here.join("../myelin/src"), &mut code);
    code.push_str(&sections);
    let fields =
        sections.lines().filter_map(|line| line.strip_prefix("    pub ")?.split_once(": "));
    let unused: Vec<&str> = fields
        .map(|(field, _)| field)
        .filter(|field| !field.contains(' ') && !takes(&code, field))
        .filter(|field| !WAITING.iter().any(|(waiting, _)| waiting == field))
        .collect();
    assert_eq!(unused, [""; 0], "read from the config, and used by nothing");
    for (field, key) in WAITING {
        assert!(!takes(&code, field), "{field} is used: take it off the list");
        assert_ne!(KEYS[key].status, Status::Used, "{key} has no effect, and is not told");
    }
}
