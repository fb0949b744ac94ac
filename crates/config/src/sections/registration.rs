//! The rules on who may make an account.

use myelin_model::Secret;

use crate::{reader::Section, secret::Missing};

/// The rules on who may make an account, and the settings of new accounts.
#[derive(Clone, Debug)]
pub struct Registration {
    /// `enable_registration`. Default: false. Needs a token, or the next key.
    pub enabled: bool,
    /// `enable_registration_without_verification`: anyone may register, robots too. Default: false.
    pub without_verification: bool,
    /// `registration_requires_token`: only with a token made by an admin. Default: false.
    pub requires_token: bool,
    /// `registration_shared_secret` (`_path`, created if missing): who knows it may register anyone.
    pub shared_secret: Option<Secret>,
    /// `allow_guest_access`: whether guests without an account get in. Default: false.
    pub allow_guest_access: bool,
    /// `inhibit_user_in_use_error`: names that are taken are told only at the end of a registration. Default: false.
    pub inhibit_user_in_use_error: bool,
    /// `allow_underscore_prefixed_localpart`: whether names may begin with `_`. Default: false.
    pub allow_underscore_prefixed_localpart: bool,
    /// `auto_join_rooms`: aliases of rooms that new users join. Default: none.
    pub auto_join_rooms: Vec<String>,
    /// `autocreate_auto_join_rooms`: whether the first user makes those that are missing. Default: true.
    pub autocreate_auto_join_rooms: bool,
    /// `autocreate_auto_join_rooms_federated`: whether other servers may join them. Default: true.
    pub autocreate_auto_join_rooms_federated: bool,
    /// `autocreate_auto_join_room_preset`: public_chat (default), private_chat, trusted_private_chat.
    pub autocreate_auto_join_room_preset: String,
    /// `auto_join_mxid_localpart`: who makes them and invites. Required for the private presets.
    pub auto_join_mxid_localpart: Option<String>,
    /// `auto_join_rooms_for_guests`. Default: true.
    pub auto_join_rooms_for_guests: bool,
    /// `enable_set_displayname`: whether users may change their name. Default: true.
    pub enable_set_displayname: bool,
    /// `enable_set_avatar_url`: whether users may change their picture. Default: true.
    pub enable_set_avatar_url: bool,
    /// `enable_3pid_changes`: whether users may change their third-party identifiers. Default: true.
    pub enable_3pid_changes: bool,
    /// `default_identity_server`: named to clients. Default: none.
    pub default_identity_server: Option<String>,
}

pub(crate) fn read(root: &Section<'_>) -> Registration {
    const PRESETS: [(&str, &str); 3] = [
        ("public_chat", "public_chat"),
        ("private_chat", "private_chat"),
        ("trusted_private_chat", "trusted_private_chat"),
    ];
    let disabled = root
        .find("disable_registration")
        .is_some()
        .then(|| root.bool("disable_registration", true));
    let registration = Registration {
        enabled: disabled
            .map_or_else(|| root.bool("enable_registration", false), |disabled| !disabled),
        without_verification: root.bool("enable_registration_without_verification", false),
        requires_token: root.bool("registration_requires_token", false),
        shared_secret: root.secret("registration_shared_secret", Missing::Create),
        allow_guest_access: root.bool("allow_guest_access", false),
        inhibit_user_in_use_error: root.bool("inhibit_user_in_use_error", false),
        allow_underscore_prefixed_localpart: root
            .bool("allow_underscore_prefixed_localpart", false)
            || root.bool("allow_underscore_prefixed_registration", false),
        auto_join_rooms: root.texts("auto_join_rooms").unwrap_or_default(),
        autocreate_auto_join_rooms: root.bool("autocreate_auto_join_rooms", true),
        autocreate_auto_join_rooms_federated: root
            .bool("autocreate_auto_join_rooms_federated", true),
        autocreate_auto_join_room_preset: root
            .choice("autocreate_auto_join_room_preset", &PRESETS, "public_chat")
            .to_owned(),
        auto_join_mxid_localpart: root.text("auto_join_mxid_localpart"),
        auto_join_rooms_for_guests: root.bool("auto_join_rooms_for_guests", true),
        enable_set_displayname: root.bool("enable_set_displayname", true),
        enable_set_avatar_url: root.bool("enable_set_avatar_url", true),
        enable_3pid_changes: root.bool("enable_3pid_changes", true),
        default_identity_server: root.text("default_identity_server"),
    };
    check_auto_join(root, &registration);
    check_open(root, &registration);
    registration
}

fn check_auto_join(root: &Section<'_>, registration: &Registration) {
    for alias in &registration.auto_join_rooms {
        if !alias.starts_with('#') || !alias.contains(':') {
            root.wrong_key(
                "auto_join_rooms",
                format!("{alias:?} is no room alias; allowed: `#name:server`"),
            );
        }
        let server = alias.split_once(':').map(|(_, server)| server);
        if server != root.text("server_name").as_deref() {
            let text = format!(
                "{alias} is a room of another server, to which this one does not speak yet; nobody joins it"
            );
            root.warn("auto_join_rooms", text);
        }
    }
    if registration.autocreate_auto_join_rooms
        && registration.autocreate_auto_join_room_preset != "public_chat"
        && registration.auto_join_mxid_localpart.is_none()
    {
        root.wrong_key(
            "auto_join_mxid_localpart",
            "is missing; with a private autocreate_auto_join_room_preset someone must send the invitations".to_owned(),
        );
    }
}

/// Protections of registration that are not there yet. Without them it would be open wider than its admin wants, so that
/// the start is refused.
fn list_missing_protections(root: &Section<'_>) -> Vec<(&'static str, &'static str)> {
    let has_captcha = root.bool("enable_registration_captcha", false);
    let has_threepid = root.find("registrations_require_3pid").is_some_and(
        |found| !matches!(&found.node.value, crate::yaml::Value::List(items) if items.is_empty()),
    );
    let has_consent = root.section("user_consent").bool("require_at_registration", false);
    let approval = root.section("experimental_features").section("msc3866");
    let has_approval = approval.bool("enabled", false)
        && approval.bool("require_approval_for_new_accounts", false);
    [
        (has_captcha, "enable_registration_captcha", "new users cannot be asked for a captcha yet"),
        (
            has_threepid,
            "registrations_require_3pid",
            "e-mail addresses and phone numbers cannot be verified yet",
        ),
        (has_consent, "user_consent", "new users cannot be asked for their consent yet"),
        (has_approval, "experimental_features", "new accounts cannot wait for an approval yet"),
    ]
    .into_iter()
    .filter_map(|(is_wanted, key, lost)| is_wanted.then_some((key, lost)))
    .collect()
}

/// Open registration without any check invites robots: the admin has to ask for it in so many words.
fn check_open(root: &Section<'_>, registration: &Registration) {
    let missing = list_missing_protections(root);
    if !registration.enabled {
        return;
    }
    for (key, lost) in &missing {
        let text = format!(
            "{lost}, and registration is open: it would be open to all whom this keeps out. Set registration_requires_token: \
             true and remove {key}, or turn registration off (enable_registration: false)"
        );
        root.wrong_key(key, text);
    }
    if missing.is_empty() && !registration.without_verification && !registration.requires_token {
        root.wrong_key(
            "enable_registration",
            "registration is open to anyone without any check, which robots use for spam. Set \
             registration_requires_token: true, or turn registration off, or set \
             enable_registration_without_verification: true if this is what you want"
                .to_owned(),
        );
    }
}
