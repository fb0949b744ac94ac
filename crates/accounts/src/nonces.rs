//! Numbers used once: a registration by shared secret that somebody overheard cannot be sent again.
//!
//! Where several nodes stand behind one address, the two requests of a registration may reach different nodes; so a
//! nonce says itself when it was given out, under a key that all nodes have. Those that are used up are in the database.
//!
//! The key is not the shared secret: nonces are given to strangers, who could try at home whether a secret that they guess made one.

use hmac::{Hmac, KeyInit as _, Mac as _};
use myelin_storage::StorageError;
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

use crate::Accounts;

/// The time for which a nonce holds, in milliseconds.
const LIFETIME_MS: u64 = 60_000;

/// The characters of a nonce: the time, randomness and a proof, in hexadecimal digits; the rest is filled up.
const LENGTH_CHARS: usize = 128;

/// The characters of a nonce before its proof.
const BODY_LENGTH_CHARS: usize = 88;

/// Give out a nonce.
pub fn give_out(accounts: &Accounts) -> String {
    make(key(accounts), accounts.now_ms())
}

/// Use up a nonce. Whether it was good: given out by a node of this server less than a minute ago, and never used before.
pub async fn use_up(accounts: &Accounts, nonce: &str) -> Result<bool, StorageError> {
    let now_ms = accounts.now_ms();
    let Some(expires_ms) = find_expiry(key(accounts), nonce, now_ms) else {
        return Ok(false);
    };
    let mut tx = accounts.db().begin().await?;
    let is_new = tx.used_nonces().add(nonce, expires_ms, now_ms).await?;
    tx.commit().await?;
    Ok(is_new)
}

fn key(accounts: &Accounts) -> &str {
    accounts.settings().nonce_key.expose()
}

fn make(key: &str, now_ms: u64) -> String {
    let randomness: String = (0..9).map(|_| format!("{:08x}", rand::random::<u32>())).collect();
    let body = format!("{now_ms:016x}{randomness}");
    let proof = prove(key, &body);
    format!("{body}{proof}")
}

/// The time at which a nonce runs out, in milliseconds since the epoch. `None` if this server did not give it out, or
/// if it has run out.
fn find_expiry(key: &str, nonce: &str, now_ms: u64) -> Option<u64> {
    if nonce.len() != LENGTH_CHARS || !nonce.is_ascii() {
        return None;
    }
    let (body, proof) = nonce.split_at(BODY_LENGTH_CHARS);
    if !bool::from(prove(key, body).as_bytes().ct_eq(proof.as_bytes())) {
        return None;
    }
    let given_ms = u64::from_str_radix(body.get(..16)?, 16).ok()?;
    given_ms.checked_add(LIFETIME_MS).filter(|expires_ms| *expires_ms > now_ms)
}

fn prove(key: &str, body: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key.as_bytes()) else {
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
    fn a_nonce_is_good_for_a_minute_under_its_key() {
        let nonce = make("secret", 1000);
        assert_eq!(nonce.len(), LENGTH_CHARS);
        assert_eq!(find_expiry("secret", &nonce, 2000), Some(61_000));
        assert_eq!(find_expiry("secret", &nonce, 61_000), None);
        assert_eq!(find_expiry("other", &nonce, 2000), None);
        assert_eq!(find_expiry("secret", &"é".repeat(64), 0), None);
    }
}
