//! TURN servers for calls.

use myelin_model::Secret;

use crate::{reader::Section, secret::Missing};

/// TURN servers for calls.
#[derive(Clone, Debug)]
pub struct Turn {
    /// `turn_uris`: `turn:turn.example.org?transport=udp` and the like. Default: none.
    pub uris: Vec<String>,
    /// `turn_shared_secret` (`_path`): shared with the TURN server; gives every user a login of their own.
    pub shared_secret: Option<Secret>,
    /// `turn_username`: one login for all, instead of the secret.
    pub username: Option<String>,
    /// `turn_password`: belongs to `turn_username`.
    pub password: Option<Secret>,
    /// `turn_user_lifetime`: how long a login is good, in milliseconds. Default: 1h.
    pub user_lifetime_ms: u64,
    /// `turn_allow_guests`: whether guests may call. Default: true.
    pub allow_guests: bool,
}

pub(crate) fn read(root: &Section<'_>) -> Turn {
    const HOUR_MS: u64 = 60 * 60 * 1000;
    Turn {
        uris: root.texts("turn_uris").unwrap_or_default(),
        shared_secret: root.secret("turn_shared_secret", Missing::Refuse),
        username: root.text_or_number("turn_username"),
        password: root.inline_secret("turn_password"),
        user_lifetime_ms: root.duration_ms("turn_user_lifetime").unwrap_or(HOUR_MS),
        allow_guests: root.bool("turn_allow_guests", true),
    }
}
