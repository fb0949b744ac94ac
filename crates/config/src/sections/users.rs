//! Profiles, presence and the user directory.

use crate::{reader::Section, yaml::Value};

/// Profiles, presence and the user directory.
#[derive(Clone, Debug, PartialEq)]
pub struct Users {
    /// `require_auth_for_profile_requests`: whether only users may read profiles. Default: false.
    pub require_auth_for_profile_requests: bool,
    /// `limit_profile_requests_to_users_who_share_rooms`. Default: false.
    pub limit_profile_requests_to_users_who_share_rooms: bool,
    /// `allow_profile_lookup_over_federation`. Default: true.
    pub allow_profile_lookup_over_federation: bool,
    pub presence: Presence,
    pub directory: UserDirectory,
    /// `track_puppeted_user_ips`: whether addresses of those who act for others are kept. Default: false.
    pub track_puppeted_user_ips: bool,
}

/// `presence`.
#[derive(Clone, Debug, PartialEq)]
pub struct Presence {
    /// `enabled`. Default: true.
    pub mode: PresenceMode,
    /// `include_offline_users_on_sync`: whether a first sync names users who are offline. Default: false.
    pub include_offline_users_on_sync: bool,
    /// `last_active_granularity`: how long a user counts as active after a sign of life, in ms. Default: 1m.
    pub last_active_granularity_ms: u64,
    /// `sync_online_timeout`: how long after the last sync a user counts as offline, in ms. Default: 30s.
    pub sync_online_timeout_ms: u64,
    /// `idle_timeout`: after how long without activity a user is away, in ms. Default: 5m.
    pub idle_timeout_ms: u64,
}

/// Whether presence is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresenceMode {
    /// Users have presence, and clients hear of it.
    Enabled,
    /// `untracked`: only modules of Synapse set it. There are none here, so that it is off.
    Untracked,
    /// Users have no presence.
    Disabled,
}

/// `user_directory`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserDirectory {
    /// `enabled`: whether users may be searched. Default: true.
    pub enabled: bool,
    /// `search_all_users`: whether also those are found with whom no room is shared. Default: false.
    pub search_all_users: bool,
    /// `prefer_local_users`: whether users of this server come first. Default: false.
    pub prefer_local_users: bool,
    /// `exclude_remote_users`. Default: false.
    pub exclude_remote_users: bool,
    /// `show_locked_users`. Default: false.
    pub show_locked_users: bool,
}

pub(crate) fn read(root: &Section<'_>) -> Users {
    let directory = root.section("user_directory");
    Users {
        require_auth_for_profile_requests: root.bool("require_auth_for_profile_requests", false),
        limit_profile_requests_to_users_who_share_rooms: root
            .bool("limit_profile_requests_to_users_who_share_rooms", false),
        allow_profile_lookup_over_federation: root
            .bool("allow_profile_lookup_over_federation", true),
        presence: read_presence(root),
        directory: UserDirectory {
            enabled: directory.bool("enabled", true),
            search_all_users: directory.bool("search_all_users", false),
            prefer_local_users: directory.bool("prefer_local_users", false),
            exclude_remote_users: directory.bool("exclude_remote_users", false),
            show_locked_users: directory.bool("show_locked_users", false),
        },
        track_puppeted_user_ips: root.bool("track_puppeted_user_ips", false),
    }
}

fn read_presence(root: &Section<'_>) -> Presence {
    const MINUTE_MS: u64 = 60_000;
    let section = root.section("presence");
    let old = root.bool("use_presence", true);
    let is_untracked = section
        .find("enabled")
        .is_some_and(|found| found.node.value == Value::String("untracked".to_owned()));
    let mode = if is_untracked {
        let text = "untracked: presence is off, as there are no modules that could set it";
        section.warn("enabled", text.to_owned());
        PresenceMode::Untracked
    } else if section.bool("enabled", old) {
        PresenceMode::Enabled
    } else {
        PresenceMode::Disabled
    };
    let presence = Presence {
        mode,
        include_offline_users_on_sync: section.bool("include_offline_users_on_sync", false),
        last_active_granularity_ms: section
            .duration_ms("last_active_granularity")
            .unwrap_or(MINUTE_MS),
        sync_online_timeout_ms: section.duration_ms("sync_online_timeout").unwrap_or(30_000),
        idle_timeout_ms: section.duration_ms("idle_timeout").unwrap_or(5 * MINUTE_MS),
    };
    if presence.idle_timeout_ms <= presence.last_active_granularity_ms {
        section.wrong_key(
            "idle_timeout",
            "allowed: longer than presence.last_active_granularity".to_owned(),
        );
    }
    presence
}
