//! The settings of new rooms, and the rules on aliases and listing.

use crate::{reader::Section, yaml::Value};

/// Room versions that the server knows.
const ROOM_VERSIONS: [&str; 12] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];

/// The settings of new rooms, and the rules on aliases and listing.
#[derive(Clone, Debug)]
pub struct Rooms {
    /// `default_room_version`: of new rooms. Default: `12`.
    pub default_room_version: String,
    /// `encryption_enabled_by_default_for_room_type`: all, invite or off (default).
    pub encryption_by_default: EncryptionByDefault,
    /// `enable_room_list_search`: whether the directory may be searched. Default: true.
    pub enable_room_list_search: bool,
    /// `allow_public_rooms_without_auth`: whether anyone may read the directory. Default: false.
    pub allow_public_rooms_without_auth: bool,
    /// `allow_public_rooms_over_federation`: whether other servers may read the directory. Default: false.
    pub allow_public_rooms_over_federation: bool,
    /// `alias_creation_rules`: the first that matches decides; none matches: refused. Default: all may.
    pub alias_creation_rules: Vec<DirectoryRule>,
    /// `room_list_publication_rules`: the first that matches decides; none matches: refused. Default: nobody may.
    pub room_list_publication_rules: Vec<DirectoryRule>,
    /// `require_membership_for_aliases`: who makes an alias must be in the room. Default: true.
    pub require_membership_for_aliases: bool,
    /// `default_power_level_content_override`: by preset, laid over the power levels of new rooms.
    pub default_power_level_content_override: serde_json::Map<String, serde_json::Value>,
    /// `forget_rooms_on_leave`: whether leaving also forgets. Default: false.
    pub forget_rooms_on_leave: bool,
    /// `room_prejoin_state`: state that is shown to those who are invited or knock.
    pub prejoin_state: PrejoinState,
    /// `block_non_admin_invites`: only admins of the server may invite. Default: false.
    pub block_non_admin_invites: bool,
    /// `include_profile_data_on_invite`: whether invitations carry name and picture of the invited. Default: true.
    pub include_profile_data_on_invite: bool,
    /// `allow_per_room_profiles`: whether a user may have another name in a room. Default: true.
    pub allow_per_room_profiles: bool,
    /// `exclude_rooms_from_sync`: room ids that no client hears of. Default: none.
    pub exclude_rooms_from_sync: Vec<String>,
    /// `filter_timeline_limit`: most events of a room in one `/sync`; none for no limit (-1). Default: 100.
    pub filter_timeline_limit: Option<u64>,
}

/// The new rooms that are encrypted although their maker does not ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptionByDefault {
    /// `off`: none.
    Off,
    /// `invite`: those of the private presets.
    Invite,
    /// `all`: every one.
    All,
}

/// A rule for aliases or for the directory; `*` and `?` in its patterns stand for any text and any letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryRule {
    /// `user_id`. Default: `*`.
    pub user_id: String,
    /// `alias`. Default: `*`.
    pub alias: String,
    /// `room_id`. Default: `*`.
    pub room_id: String,
    /// `action`: allow (default) or deny.
    pub allow: bool,
}

impl DirectoryRule {
    fn all(allow: bool) -> DirectoryRule {
        DirectoryRule {
            user_id: "*".to_owned(),
            alias: "*".to_owned(),
            room_id: "*".to_owned(),
            allow,
        }
    }
}

/// `room_prejoin_state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrejoinState {
    /// `disable_default_event_types`: leave out the usual ones (create, join rules, name, ...). Default: false.
    pub disable_default_event_types: bool,
    /// `additional_event_types`: more of them, each with one state key or with all.
    pub additional_event_types: Vec<(String, Option<String>)>,
}

pub(crate) fn read(root: &Section<'_>) -> Rooms {
    let encryption = [
        ("off", EncryptionByDefault::Off),
        ("invite", EncryptionByDefault::Invite),
        ("all", EncryptionByDefault::All),
    ];
    let is_restricted = root.bool("restrict_public_rooms_to_local_users", false);
    let override_levels =
        match root.find("default_power_level_content_override").map(|found| found.node.to_json()) {
            Some(serde_json::Value::Object(map)) => map,
            Some(_) => {
                root.wrong_key(
                    "default_power_level_content_override",
                    "allowed: a map of presets".to_owned(),
                );
                serde_json::Map::new()
            }
            None => serde_json::Map::new(),
        };
    Rooms {
        default_room_version: read_version(root),
        encryption_by_default: root.choice(
            "encryption_enabled_by_default_for_room_type",
            &encryption,
            EncryptionByDefault::Off,
        ),
        enable_room_list_search: root.bool("enable_room_list_search", true),
        allow_public_rooms_without_auth: root.bool("allow_public_rooms_without_auth", false)
            && !is_restricted,
        allow_public_rooms_over_federation: root.bool("allow_public_rooms_over_federation", false)
            && !is_restricted,
        alias_creation_rules: read_rules(root, "alias_creation_rules", true),
        room_list_publication_rules: read_rules(root, "room_list_publication_rules", false),
        require_membership_for_aliases: root.bool("require_membership_for_aliases", true),
        default_power_level_content_override: override_levels,
        forget_rooms_on_leave: root.bool("forget_rooms_on_leave", false),
        prejoin_state: read_prejoin(root),
        block_non_admin_invites: root.bool("block_non_admin_invites", false),
        include_profile_data_on_invite: root.bool("include_profile_data_on_invite", true),
        allow_per_room_profiles: root.bool("allow_per_room_profiles", true),
        exclude_rooms_from_sync: root.texts("exclude_rooms_from_sync").unwrap_or_default(),
        filter_timeline_limit: match root.int("filter_timeline_limit", -1..=i64::MAX) {
            None => Some(100),
            Some(limit) => u64::try_from(limit).ok(),
        },
    }
}

fn read_version(root: &Section<'_>) -> String {
    const DEFAULT: &str = "12";
    let Some(version) = root.text_or_number("default_room_version") else {
        return DEFAULT.to_owned();
    };
    if !ROOM_VERSIONS.contains(&version.as_str())
        && let Some(found) = root.find("default_room_version")
    {
        root.wrong(&found, &ROOM_VERSIONS.join(", "));
    }
    version
}

fn read_rules(root: &Section<'_>, key: &str, default: bool) -> Vec<DirectoryRule> {
    let actions = [("allow", true), ("deny", false)];
    match root.sections(key) {
        None => vec![DirectoryRule::all(default)],
        Some(sections) => sections
            .iter()
            .map(|section| DirectoryRule {
                user_id: section.text("user_id").unwrap_or_else(|| "*".to_owned()),
                alias: section.text("alias").unwrap_or_else(|| "*".to_owned()),
                room_id: section.text("room_id").unwrap_or_else(|| "*".to_owned()),
                allow: section.choice("action", &actions, true),
            })
            .collect(),
    }
}

fn read_prejoin(root: &Section<'_>) -> PrejoinState {
    // The old key names all types that are shown, and no others are.
    if let Some(types) = root.texts("room_invite_state_types") {
        if root.find("room_prejoin_state").is_some() {
            root.wrong_key(
                "room_invite_state_types",
                "given together with room_prejoin_state; allowed: one of the two".to_owned(),
            );
        }
        return PrejoinState {
            disable_default_event_types: true,
            additional_event_types: types.into_iter().map(|kind| (kind, None)).collect(),
        };
    }
    let section = root.section("room_prejoin_state");
    let mut additional = Vec::new();
    if let Some(found) = section.find("additional_event_types") {
        let items = match &found.node.value {
            Value::List(items) => items.as_slice(),
            _ => {
                section.wrong(&found, "a list of event types");
                &[]
            }
        };
        for item in items {
            match &item.value {
                Value::String(kind) => additional.push((kind.clone(), None)),
                Value::List(pair) => match pair.as_slice() {
                    [kind, key] => match (&kind.value, &key.value) {
                        (Value::String(kind), Value::String(key)) => {
                            additional.push((kind.clone(), Some(key.clone())))
                        }
                        _ => section
                            .wrong(&found, "event types, or pairs of event type and state key"),
                    },
                    _ => section.wrong(&found, "event types, or pairs of event type and state key"),
                },
                _ => section.wrong(&found, "event types, or pairs of event type and state key"),
            }
        }
    }
    PrejoinState {
        disable_default_event_types: section.bool("disable_default_event_types", false),
        additional_event_types: additional,
    }
}
