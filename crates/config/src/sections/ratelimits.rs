//! `rc_*`: how often things may be done.

use crate::reader::Section;

/// A rate: a bucket of `burst_count` that fills by `per_second`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// `per_second`: how many a second on average.
    pub per_second: f64,
    /// `burst_count`: how many at once.
    pub burst_count: u32,
}

/// All rates with Synapse's keys and defaults (`per_second` / `burst_count`).
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimits {
    /// `rc_message`: events sent, a user. 0.2 / 10.
    pub message: RateLimit,
    /// `rc_registration`: accounts made, an address. 0.17 / 3.
    pub registration: RateLimit,
    /// `rc_registration_token_validity`: tokens tried, an address. 0.1 / 5.
    pub registration_token_validity: RateLimit,
    /// `rc_login.address`: logins, an address. 0.003 / 5.
    pub login_address: RateLimit,
    /// `rc_login.account`: logins, an account. 0.003 / 5.
    pub login_account: RateLimit,
    /// `rc_login.failed_attempts`: failed logins, an account. 0.17 / 3.
    pub login_failed_attempts: RateLimit,
    /// `rc_admin_redaction`: redactions by moderators. Default: none, then `rc_message` counts.
    pub admin_redaction: Option<RateLimit>,
    /// `rc_joins.local`: joins of rooms that the server is in, a user. 0.1 / 10.
    pub joins_local: RateLimit,
    /// `rc_joins.remote`: joins of other rooms, a user. 0.01 / 10.
    pub joins_remote: RateLimit,
    /// `rc_joins_per_room`: joins, a room. 1 / 10.
    pub joins_per_room: RateLimit,
    /// `rc_key_requests`: requests for keys sent to other devices, by device. 20 / 100.
    pub key_requests: RateLimit,
    /// `rc_3pid_validation`: messages to an e-mail address or phone. 0.003 / 5.
    pub third_party_validation: RateLimit,
    /// `rc_invites.per_room`: invitations, a room. 0.3 / 10.
    pub invites_per_room: RateLimit,
    /// `rc_invites.per_user`: invitations, an invited user. 0.003 / 5.
    pub invites_per_user: RateLimit,
    /// `rc_invites.per_issuer`: invitations, an inviting user. 0.3 / 10.
    pub invites_per_issuer: RateLimit,
    /// `rc_third_party_invite`: invitations by e-mail, a user. 0.0025 / 5.
    pub third_party_invite: RateLimit,
    /// `rc_media_create`: media ids reserved, a user. 10 / 50.
    pub media_create: RateLimit,
    /// `rc_presence.per_user`: changes of presence, a user. 0.1 / 1.
    pub presence_per_user: RateLimit,
    /// `rc_delayed_event_mgmt`: changes of delayed events, a user. 1 / 5.
    pub delayed_event_mgmt: RateLimit,
    /// `rc_reports`: reports, a user. 1 / 5.
    pub reports: RateLimit,
    /// `rc_room_creation`: rooms made, a user. 0.016 / 10.
    pub room_creation: RateLimit,
    /// `rc_user_directory`: searches of the directory, a user. 0.016 / 200.
    pub user_directory: RateLimit,
    /// `rc_profile`: changes of profiles, a user. 1 / 500.
    pub profile: RateLimit,
}

fn rate(parent: &Section<'_>, key: &str, per_second: f64, burst_count: u32) -> RateLimit {
    const BURST_MAX: f64 = u32::MAX as f64;
    let section = parent.section(key);
    RateLimit {
        per_second: section.number("per_second").unwrap_or(per_second),
        burst_count: section
            .number("burst_count")
            .map_or(burst_count, |burst| burst.min(BURST_MAX) as u32),
    }
}

pub(crate) fn read(root: &Section<'_>) -> RateLimits {
    let (login, joins, invites) =
        (root.section("rc_login"), root.section("rc_joins"), root.section("rc_invites"));
    let old_message = RateLimit {
        per_second: root.number("rc_messages_per_second").unwrap_or(0.2),
        burst_count: root.number("rc_message_burst_count").map_or(10, |burst| burst as u32),
    };
    RateLimits {
        message: rate(root, "rc_message", old_message.per_second, old_message.burst_count),
        registration: rate(root, "rc_registration", 0.17, 3),
        registration_token_validity: rate(root, "rc_registration_token_validity", 0.1, 5),
        login_address: rate(&login, "address", 0.003, 5),
        login_account: rate(&login, "account", 0.003, 5),
        login_failed_attempts: rate(&login, "failed_attempts", 0.17, 3),
        admin_redaction: root
            .section("rc_admin_redaction")
            .is_present()
            .then(|| rate(root, "rc_admin_redaction", 0.17, 3)),
        joins_local: rate(&joins, "local", 0.1, 10),
        joins_remote: rate(&joins, "remote", 0.01, 10),
        joins_per_room: rate(root, "rc_joins_per_room", 1.0, 10),
        key_requests: rate(root, "rc_key_requests", 20.0, 100),
        third_party_validation: rate(root, "rc_3pid_validation", 0.003, 5),
        invites_per_room: rate(&invites, "per_room", 0.3, 10),
        invites_per_user: rate(&invites, "per_user", 0.003, 5),
        invites_per_issuer: rate(&invites, "per_issuer", 0.3, 10),
        third_party_invite: rate(root, "rc_third_party_invite", 0.0025, 5),
        media_create: rate(root, "rc_media_create", 10.0, 50),
        presence_per_user: rate(&root.section("rc_presence"), "per_user", 0.1, 1),
        delayed_event_mgmt: rate(root, "rc_delayed_event_mgmt", 1.0, 5),
        reports: rate(root, "rc_reports", 1.0, 5),
        room_creation: rate(root, "rc_room_creation", 0.016, 10),
        user_directory: rate(root, "rc_user_directory", 0.016, 200),
        profile: rate(root, "rc_profile", 1.0, 500),
    }
}
