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
    let loaded = load(&Sources { paths: vec![example()], ..Sources::default() })
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
}
