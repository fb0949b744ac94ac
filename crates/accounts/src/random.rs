//! Names and secrets nobody can guess.

use rand::distr::{Alphanumeric, SampleString as _};
use ruma::OwnedDeviceId;

/// The random characters of a token: 190 bits.
const TOKEN_LENGTH_CHARS: usize = 32;

/// The characters of a device ID.
const DEVICE_ID_LENGTH_CHARS: usize = 10;

/// A token that says by its prefix what it is.
pub(crate) fn token(prefix: &str) -> String {
    format!("{prefix}{}", text(TOKEN_LENGTH_CHARS))
}

/// Letters and digits.
pub(crate) fn text(length_chars: usize) -> String {
    Alphanumeric.sample_string(&mut rand::rng(), length_chars)
}

/// A device ID: upper-case letters, as Synapse makes them.
pub(crate) fn device_id() -> OwnedDeviceId {
    let id: String = (0..DEVICE_ID_LENGTH_CHARS)
        .map(|_| char::from(b'A' + rand::random_range(0..26_u8)))
        .collect();
    id.into()
}
