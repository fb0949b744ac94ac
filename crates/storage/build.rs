//! Rebuilds the crate when a migration changes, since the binary carries them.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
