//! The server's signing keys and the secrets of tokens and forms.

use std::path::{Path, PathBuf};

use base64::{Engine, alphabet, engine};
use myelin_model::Secret;
use rand::RngExt;

use crate::{
    reader::Section,
    secret::{Missing, random_text},
};

/// Unpadded base64 that also reads padded text and sloppy last bits, as other servers do.
const BASE64: engine::GeneralPurpose = engine::GeneralPurpose::new(
    &alphabet::STANDARD,
    engine::GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Keys and secrets.
#[derive(Clone, Debug)]
pub struct Signing {
    /// `signing_key` or the file at `signing_key_path` (default: `<config folder>/<server_name>.signing.key`).
    /// The first one signs.
    pub keys: Vec<SigningKey>,
    /// The file that was just made because it was not there.
    pub created: Option<PathBuf>,
    /// `old_signing_keys`: keys that signed once, for others who verify old events.
    pub old_keys: Vec<OldSigningKey>,
    /// `macaroon_secret_key` (`_path`): kept for links that were signed with it. Access tokens do not need it.
    pub macaroon_secret_key: Option<Secret>,
    /// `form_secret` (`_path`, created if missing): signs the links of consent pages.
    pub form_secret: Option<Secret>,
}

/// An ed25519 signing key.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// The part of the key's id after `ed25519:`.
    pub version: String,
    /// The secret seed, 32 bytes.
    pub seed: [u8; 32],
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey(ed25519:{})", self.version)
    }
}

/// A public key that is no longer used to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldSigningKey {
    /// The key's whole ID, `ed25519:a_xyz`.
    pub id: String,
    /// `key`: the public key in base64.
    pub public_key: String,
    /// `expired_ts`: when it stopped signing, in milliseconds since 1970.
    pub expired_ms: u64,
}

impl SigningKey {
    /// Makes a new one, named as Synapse names them: `a_` and four letters.
    pub fn generate() -> SigningKey {
        let mut seed = [0; 32];
        rand::rng().fill(&mut seed);
        SigningKey { version: format!("a_{}", random_text(4)), seed }
    }

    /// The line of a key file, with its line end.
    pub fn to_line(&self) -> String {
        format!("ed25519 {} {}\n", self.version, BASE64.encode(self.seed))
    }

    /// Reads the lines of a key file.
    ///
    /// # Errors
    ///
    /// What is wrong, without the key.
    pub fn parse_file(text: &str) -> Result<Vec<SigningKey>, String> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                ["ed25519", version, seed] => {
                    let seed = BASE64.decode(seed).ok().and_then(|seed| seed.try_into().ok());
                    let seed =
                        seed.ok_or_else(|| format!("line {}: not 32 bytes in base64", index + 1))?;
                    keys.push(SigningKey { version: (*version).to_owned(), seed });
                }
                _ => {
                    return Err(format!(
                        "line {}: not `ed25519 <version> <seed in base64>`",
                        index + 1
                    ));
                }
            }
        }
        if keys.is_empty() { Err("holds no key".to_owned()) } else { Ok(keys) }
    }
}

pub(crate) fn read(root: &Section<'_>, server_name: &str) -> Signing {
    let mut created = None;
    let path = root.path("signing_key_path");
    let keys = match root.inline_secret("signing_key") {
        Some(text) => parse(root, "signing_key", text.expose()),
        None => {
            let file = path.unwrap_or_else(|| {
                root.reader.config_directory().join(format!("{server_name}.signing.key"))
            });
            read_key_file(root, &file, &mut created)
        }
    };
    Signing {
        keys,
        created,
        old_keys: read_old_keys(root),
        macaroon_secret_key: root.secret("macaroon_secret_key", Missing::Refuse),
        form_secret: root.secret("form_secret", Missing::Create),
    }
}

fn parse(root: &Section<'_>, key: &str, text: &str) -> Vec<SigningKey> {
    SigningKey::parse_file(text).unwrap_or_else(|text| {
        root.wrong_key(key, text);
        Vec::new()
    })
}

fn read_key_file(
    root: &Section<'_>,
    file: &Path,
    created: &mut Option<PathBuf>,
) -> Vec<SigningKey> {
    match std::fs::read_to_string(file) {
        Ok(text) => match SigningKey::parse_file(&text) {
            Ok(keys) => keys,
            Err(text) => {
                root.wrong_key("signing_key_path", format!("{}: {text}", file.display()));
                Vec::new()
            }
        },
        // Without a name there is nothing to have a key for, and its default path is not known.
        Err(error)
            if error.kind() == std::io::ErrorKind::NotFound
                && root.find("server_name").is_none() =>
        {
            Vec::new()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if root.reader.sources.create_signing_key {
                return create_key(root, file, created);
            }
            root.wrong_key("signing_key_path", missing_text(file));
            Vec::new()
        }
        Err(error) => {
            root.wrong_key(
                "signing_key_path",
                format!("{} cannot be read: {error}", file.display()),
            );
            Vec::new()
        }
    }
}

/// A server that started with another key would be another server: its name is known by the old one.
fn missing_text(file: &Path) -> String {
    format!(
        "{file} is not there. It is the identity of this server: correct the path, or restore the file from a backup. For \
         a new server `myelin generate -c FILE --report-stats no` makes what is missing, and \
         `myelin generate-signing-key -o {file}` the key alone",
        file = file.display()
    )
}

fn create_key(root: &Section<'_>, file: &Path, created: &mut Option<PathBuf>) -> Vec<SigningKey> {
    let key = SigningKey::generate();
    match crate::secret::write_private_file(file, &key.to_line()) {
        Ok(()) => *created = Some(file.to_owned()),
        Err(error) => root.wrong_key(
            "signing_key_path",
            format!("{} is not there and cannot be created ({error})", file.display()),
        ),
    }
    vec![key]
}

fn read_old_keys(root: &Section<'_>) -> Vec<OldSigningKey> {
    let section = root.section("old_signing_keys");
    let mut old_keys = Vec::new();
    for id in section.keys() {
        let entry = section.section_of_any(id);
        let public_key = entry.text("key");
        let expired = entry.int("expired_ts", 0..=i64::MAX).and_then(|ms| u64::try_from(ms).ok());
        match (public_key, expired) {
            (Some(public_key), Some(expired_ms)) => {
                old_keys.push(OldSigningKey { id: id.to_owned(), public_key, expired_ms });
            }
            _ => entry.wrong_key("key", "an old key needs `key` and `expired_ts`".to_owned()),
        }
    }
    old_keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_is_read_back() {
        let key = SigningKey::generate();
        let line = key.to_line();
        assert!(
            line.starts_with("ed25519 a_") && line.len() == "ed25519 a_XXXX \n".len() + 43,
            "{line}"
        );
        assert_eq!(SigningKey::parse_file(&line), Ok(vec![key]));
        assert!(SigningKey::parse_file("ed25519 a_1 short\n").is_err());
        assert!(SigningKey::parse_file("\n").is_err());
    }
}
