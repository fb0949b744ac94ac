//! The time for which sessions and tokens hold.

use crate::reader::Section;

/// Lifetimes in milliseconds; none means for ever.
#[derive(Clone, Debug, PartialEq)]
pub struct Sessions {
    /// `session_lifetime`: a session ends this long after its login. Default: never.
    pub session_lifetime_ms: Option<u64>,
    /// `refreshable_access_token_lifetime`: of access tokens that come with a refresh token. Default: 5m.
    /// `null` turns refresh tokens off.
    pub refreshable_access_token_lifetime_ms: Option<u64>,
    /// `refresh_token_lifetime`. Default: for ever.
    pub refresh_token_lifetime_ms: Option<u64>,
    /// `nonrefreshable_access_token_lifetime`: of access tokens without a refresh token. Default: for ever.
    pub nonrefreshable_access_token_lifetime_ms: Option<u64>,
    /// `ui_auth.session_timeout`: how long a proof of identity may be used again. Default: 0, only once.
    pub ui_auth_session_timeout_ms: u64,
    pub login_via_existing_session: LoginViaExistingSession,
    /// `delete_stale_devices_after`: devices not seen for this long are deleted. Default: never.
    pub delete_stale_devices_after_ms: Option<u64>,
    /// `user_ips_max_age`: how long the addresses of users are kept. Default: 28d.
    pub user_ips_max_age_ms: Option<u64>,
}

/// `login_via_existing_session`: a session may make a token that logs another device in.
#[derive(Clone, Debug, PartialEq)]
pub struct LoginViaExistingSession {
    /// `enabled`. Default: false.
    pub enabled: bool,
    /// `require_ui_auth`: whether the password is asked again. Default: true.
    pub require_ui_auth: bool,
    /// `token_timeout`: how long the token may be used, in milliseconds. Default: 5m.
    pub token_timeout_ms: u64,
}

pub(crate) fn read(root: &Section<'_>) -> Sessions {
    const MINUTE_MS: u64 = 60_000;
    const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
    let defaulted = |key: &str, default: u64| match root.find_nullable(key) {
        None => Some(default),
        Some(_) => root.duration_ms(key),
    };
    let existing = root.section("login_via_existing_session");
    let sessions = Sessions {
        session_lifetime_ms: root.duration_ms("session_lifetime"),
        refreshable_access_token_lifetime_ms: defaulted(
            "refreshable_access_token_lifetime",
            5 * MINUTE_MS,
        ),
        refresh_token_lifetime_ms: root.duration_ms("refresh_token_lifetime"),
        nonrefreshable_access_token_lifetime_ms: root
            .duration_ms("nonrefreshable_access_token_lifetime"),
        ui_auth_session_timeout_ms: root
            .section("ui_auth")
            .duration_ms("session_timeout")
            .unwrap_or(0),
        login_via_existing_session: LoginViaExistingSession {
            enabled: existing.bool("enabled", false),
            require_ui_auth: existing.bool("require_ui_auth", true),
            token_timeout_ms: existing.duration_ms("token_timeout").unwrap_or(5 * MINUTE_MS),
        },
        delete_stale_devices_after_ms: root.duration_ms("delete_stale_devices_after"),
        user_ips_max_age_ms: defaulted("user_ips_max_age", 28 * DAY_MS),
    };
    let within = [
        ("refreshable_access_token_lifetime", sessions.refreshable_access_token_lifetime_ms),
        ("refresh_token_lifetime", sessions.refresh_token_lifetime_ms),
        ("nonrefreshable_access_token_lifetime", sessions.nonrefreshable_access_token_lifetime_ms),
    ];
    for (key, lifetime) in within {
        if let (Some(lifetime), Some(session), Some(_)) =
            (lifetime, sessions.session_lifetime_ms, root.find(key))
            && lifetime > session
        {
            root.wrong_key(
                key,
                "is longer than session_lifetime; allowed: as long or shorter".to_owned(),
            );
        }
    }
    sessions
}
