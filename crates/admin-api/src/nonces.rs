//! Numbers used once: a registration by shared secret that somebody overheard cannot be sent again.
//!
//! Where several nodes stand behind one address, the two requests of a registration may reach different nodes; so a
//! nonce says itself, under the shared secret, when it was given out, and each node remembers those used up on it.

use std::collections::HashMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::Mutex;
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

/// How long a nonce holds, in milliseconds.
const LIFETIME_MS: u64 = 60_000;

/// The characters of a nonce: the time, randomness and a proof, in hexadecimal digits; the rest is filled up.
const LENGTH_CHARS: usize = 128;

/// The characters of a nonce before its proof.
const BODY_LENGTH_CHARS: usize = 88;

/// Nonces that are used up, with the time when they would have run out.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    used: Mutex<HashMap<String, u64>>,
}

impl Nonces {
    /// Give out a nonce.
    pub(crate) fn add(&self, secret: &str, now_ms: u64) -> String {
        let randomness: String = (0..9).map(|_| format!("{:08x}", rand::random::<u32>())).collect();
        let body = format!("{now_ms:016x}{randomness}");
        let proof = prove(secret, &body);
        format!("{body}{proof}")
    }

    /// Use a nonce up. Whether it was good.
    pub(crate) fn take(&self, secret: &str, nonce: &str, now_ms: u64) -> bool {
        if nonce.len() != LENGTH_CHARS || !nonce.is_ascii() {
            return false;
        }
        let (body, proof) = nonce.split_at(BODY_LENGTH_CHARS);
        if !bool::from(prove(secret, body).as_bytes().ct_eq(proof.as_bytes())) {
            return false;
        }
        let given_ms = body.get(..16).and_then(|time| u64::from_str_radix(time, 16).ok());
        let Some(expires_ms) = given_ms.and_then(|ms| ms.checked_add(LIFETIME_MS)) else {
            return false;
        };
        if expires_ms <= now_ms {
            return false;
        }
        let mut used = self.used.lock();
        used.retain(|_, expires_ms| *expires_ms > now_ms);
        used.insert(nonce.to_owned(), expires_ms).is_none()
    }
}

fn prove(secret: &str, body: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.as_bytes()) else {
        // HMAC takes keys of any length.
        return String::new();
    };
    mac.update(b"nonce\0");
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once_and_for_a_minute() {
        let nonces = Nonces::default();
        let nonce = nonces.add("secret", 1000);
        assert_eq!(nonce.len(), LENGTH_CHARS);
        assert!(!nonces.take("other", &nonce, 2000));
        assert!(nonces.take("secret", &nonce, 2000));
        assert!(!nonces.take("secret", &nonce, 2000));
        let late = nonces.add("secret", 1000);
        assert!(!nonces.take("secret", &late, 61_000));
        assert!(!nonces.take("secret", &"é".repeat(64), 0));
    }
}
