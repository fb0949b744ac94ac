//! Ed25519 keys: the server's own signing keys and their file, and other servers' public keys.

use std::{collections::BTreeMap, fmt};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ed25519_dalek::{Signer as _, Verifier as _};
use serde_json::{Value, value::RawValue};

use crate::canonical;

/// Unpadded base64 in the standard alphabet, read leniently: padding and stray bits are let pass, as Matrix asks of readers.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Unpadded base64 in the URL-safe alphabet.
pub(crate) const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Read base64 as every other server does, which decides on what their events are: in either alphabet, with or without padding, past
/// characters that belong to neither.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    // Nearly all is written as the specification asks.
    BASE64.decode(text).ok().or_else(|| decode_odd(text))
}

fn decode_odd(text: &str) -> Option<Vec<u8>> {
    let letters = text.bytes().filter_map(|byte| match byte {
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        b'+' | b'/' => Some(byte),
        _ => byte.is_ascii_alphanumeric().then_some(byte),
    });
    BASE64.decode(letters.collect::<Vec<u8>>()).ok()
}

/// The reason why a signing key file cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// There is no key in it.
    #[error("the file has no signing key")]
    Empty,
    /// A line is not `ed25519 <version> <base64 seed>`.
    #[error("line {line} is not of the form `ed25519 <version> <base64 seed>`")]
    Malformed {
        /// The line, counted from 1.
        line: usize,
    },
}

/// A server's private Ed25519 key.
#[derive(Clone)]
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    /// `ed25519:a_XXXX`, as `signatures` spells it.
    key_id: String,
}

impl SigningKey {
    /// A new key with a random seed, and a version in the manner of Synapse: `a_` and four letters.
    pub fn generate(rng: &mut impl rand::Rng) -> Self {
        const LETTERS: &[u8; 52] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut bytes = [0_u8; 4];
        rng.fill_bytes(&mut bytes);
        let version: String = bytes
            .iter()
            .filter_map(|byte| LETTERS.get(usize::from(*byte) % LETTERS.len()))
            .map(|letter| char::from(*letter))
            .collect();
        let mut seed = [0_u8; 32];
        rng.fill_bytes(&mut seed);
        Self::from_seed(&seed, &format!("a_{version}"))
    }

    /// The key with this seed and version.
    pub fn from_seed(seed: &[u8; 32], version: &str) -> Self {
        Self {
            key: ed25519_dalek::SigningKey::from_bytes(seed),
            key_id: format!("ed25519:{version}"),
        }
    }

    /// Read a signing key file: one key a line, the first is the one to sign with. Empty lines are skipped.
    pub fn parse_file(text: &str) -> Result<Vec<Self>, KeyFileError> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            keys.push(Self::parse_line(line).ok_or(KeyFileError::Malformed { line: index + 1 })?);
        }
        if keys.is_empty() { Err(KeyFileError::Empty) } else { Ok(keys) }
    }

    fn parse_line(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (algorithm, version, seed) = (words.next()?, words.next()?, words.next()?);
        if algorithm != "ed25519" || words.next().is_some() {
            return None;
        }
        let seed: [u8; 32] = BASE64.decode(seed).ok()?.try_into().ok()?;
        Some(Self::from_seed(&seed, version))
    }

    /// The key as a line of a signing key file, with the line's end.
    pub fn to_file_line(&self) -> String {
        format!("ed25519 {} {}\n", self.version(), BASE64.encode(self.key.to_bytes()))
    }

    /// `ed25519:a_XXXX`.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// `a_XXXX`.
    pub fn version(&self) -> &str {
        self.key_id.strip_prefix("ed25519:").unwrap_or(&self.key_id)
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.key.verifying_key())
    }

    /// The signature of a message in unpadded base64.
    pub fn sign(&self, message: &[u8]) -> String {
        BASE64.encode(self.key.sign(message).to_bytes())
    }

    /// Sign a JSON object as the appendices say ("Signing JSON"): `signatures` and `unsigned` are left out of what is signed, and the
    /// new signature joins those that are there. The result is canonical.
    pub fn sign_json(&self, entity: &str, json: &str) -> Result<String, canonical::CanonicalError> {
        let json = canonical::to_canonical(json, true)?;
        let mut members: canonical::Members<'_> = serde_json::from_str(&json)?;
        let unsigned = members.remove("unsigned");
        let signatures = members.remove("signatures");
        let message = signed_part(&members);
        let mut signatures: BTreeMap<String, BTreeMap<String, String>> = match signatures {
            Some(signatures) => serde_json::from_str(signatures.get())?,
            None => BTreeMap::new(),
        };
        signatures
            .entry(entity.to_owned())
            .or_default()
            .insert(self.key_id.clone(), self.sign(message.as_bytes()));
        let signatures = serde_json::value::to_raw_value(&signatures)?;
        members.insert(canonical::Key("signatures".into()), &signatures);
        if let Some(unsigned) = unsigned {
            members.insert(canonical::Key("unsigned".into()), unsigned);
        }
        let mut signed = String::with_capacity(json.len() + 200);
        canonical::write_members(
            &mut signed,
            members.iter().map(|(key, value)| (&*key.0, value.get())),
        );
        Ok(signed)
    }
}

/// The canonical text that signatures of an object are of. `members` are canonical, without `signatures` and `unsigned`.
fn signed_part(members: &canonical::Members<'_>) -> String {
    let mut message = String::new();
    canonical::write_members(
        &mut message,
        members.iter().map(|(key, value)| (&*key.0, value.get())),
    );
    message
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// A public Ed25519 key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

impl PublicKey {
    /// Read a key in base64, of either alphabet. `None` if it is none.
    pub fn from_base64(text: &str) -> Option<Self> {
        let bytes: [u8; 32] = decode_base64(text)?.try_into().ok()?;
        ed25519_dalek::VerifyingKey::from_bytes(&bytes).ok().map(Self)
    }

    /// The key in unpadded base64.
    pub fn to_base64(&self) -> String {
        BASE64.encode(self.0.as_bytes())
    }

    /// Whether this signature in base64 is this key's of the message.
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Some(bytes) = decode_base64(signature) else { return false };
        let Ok(bytes) = <[u8; 64]>::try_from(bytes) else { return false };
        self.0.verify(message, &ed25519_dalek::Signature::from_bytes(&bytes)).is_ok()
    }

    /// Whether a JSON object has a signature of an entity under this ID, and it is this key's (appendices, "Checking for a Signature").
    pub fn verifies_json(&self, entity: &str, key_id: &str, json: &str) -> bool {
        let Ok(json) = canonical::to_canonical(json, true) else { return false };
        let Ok(mut members) = serde_json::from_str::<canonical::Members<'_>>(&json) else {
            return false;
        };
        members.remove("unsigned");
        let signatures = members.remove("signatures").map(RawValue::get);
        let signatures: Option<BTreeMap<String, BTreeMap<String, Value>>> =
            signatures.and_then(|signatures| serde_json::from_str(signatures).ok());
        let signature = signatures.as_ref().and_then(|all| all.get(entity)?.get(key_id)?.as_str());
        signature
            .is_some_and(|signature| self.verifies(signed_part(&members).as_bytes(), signature))
    }
}

/// Public keys of servers, where verification finds them. Only keys that were valid when the event was made belong in it.
pub trait PublicKeys {
    /// The key of a server with this ID (`ed25519:abc`), if it is known.
    fn find(&self, server: &str, key_id: &str) -> Option<&PublicKey>;
}

impl PublicKeys for BTreeMap<String, BTreeMap<String, PublicKey>> {
    fn find(&self, server: &str, key_id: &str) -> Option<&PublicKey> {
        self.get(server)?.get(key_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the appendices' test vectors.
    pub(crate) fn spec_key() -> SigningKey {
        SigningKey::parse_file("ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1\n")
            .unwrap()
            .remove(0)
    }

    #[test]
    fn a_key_file_is_read_as_it_is_written() {
        let text = "ed25519 a_AbCd YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA0\n";
        let keys = SigningKey::parse_file(&format!(
            "{text}\ned25519 old 0000000000000000000000000000000000000000000=\n"
        ))
        .unwrap();
        assert_eq!(
            keys.iter().map(SigningKey::key_id).collect::<Vec<_>>(),
            ["ed25519:a_AbCd", "ed25519:old"]
        );
        assert_eq!(keys[0].to_file_line(), text);
        assert!(!format!("{keys:?}").contains("YJDB"));
    }

    #[test]
    fn a_broken_key_file_names_its_line() {
        for (text, expect) in [
            ("", KeyFileError::Empty),
            ("\n \n", KeyFileError::Empty),
            ("ed25519 a", KeyFileError::Malformed { line: 1 }),
            (
                "\nrsa a YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1",
                KeyFileError::Malformed { line: 2 },
            ),
            ("ed25519 a YJDB", KeyFileError::Malformed { line: 1 }),
        ] {
            assert_eq!(SigningKey::parse_file(text).unwrap_err(), expect, "{text:?}");
        }
    }

    #[test]
    fn json_is_signed_as_in_the_appendices() {
        for (input, signature) in [
            (
                "{}",
                "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ",
            ),
            (
                r#"{"two":"Two","one":1}"#,
                "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
            ),
        ] {
            let signed = spec_key().sign_json("domain", input).unwrap();
            let value: serde_json::Value = serde_json::from_str(&signed).unwrap();
            assert_eq!(value["signatures"]["domain"]["ed25519:1"], signature);
        }
    }

    #[test]
    fn signed_json_is_told_from_other_json() {
        let public = spec_key().public_key();
        let signed = spec_key().sign_json("@a:h", r#"{"b":1,"a":"x","unsigned":{"c":1}}"#).unwrap();
        assert!(public.verifies_json("@a:h", "ed25519:1", &signed));
        assert!(public.verifies_json("@a:h", "ed25519:1", &signed.replace(r#""c":1"#, r#""c":2"#)));
        let twice = SigningKey::from_seed(&[1; 32], "2").sign_json("@b:h", &signed).unwrap();
        assert!(public.verifies_json("@a:h", "ed25519:1", &twice));
        for (entity, key_id, json) in [
            ("@b:h", "ed25519:1", &*signed),
            ("@a:h", "ed25519:2", &signed),
            ("@b:h", "ed25519:2", &twice),
            ("@a:h", "ed25519:1", &signed.replace(r#""b":1"#, r#""b":2"#)),
            ("@a:h", "ed25519:1", &signed.replace("signatures", "signature")),
            ("@a:h", "ed25519:1", r#"{"b":1,"signatures":{"@a:h":{"ed25519:1":7}}}"#),
            ("@a:h", "ed25519:1", r#"{"b":1.5,"signatures":[]}"#),
            ("@a:h", "ed25519:1", "[]"),
        ] {
            assert!(!public.verifies_json(entity, key_id, json), "{entity} {key_id} {json}");
        }
    }

    #[test]
    fn a_signature_holds_for_its_message_only() {
        let key = SigningKey::generate(&mut rand::rng());
        let signature = key.sign(b"message");
        let public = PublicKey::from_base64(&key.public_key().to_base64()).unwrap();
        assert!(public.verifies(b"message", &signature));
        assert!(!public.verifies(b"massage", &signature));
        assert!(!public.verifies(b"message", "nonsense"));
        assert!(key.version().starts_with("a_") && key.version().len() == 6);
    }
}
