//! The part of the configuration that concerns accounts.

use myelin_model::Secret;

/// The settings that say who may register and log in, and how long tokens hold. The names are those of
/// `homeserver.yaml`.
#[derive(Debug, Clone)]
pub struct AccountsSettings {
    /// Everybody may register.
    pub enable_registration: bool,
    /// A registration token is needed.
    pub registration_requires_token: bool,
    /// Proves who may register whatever else is set.
    pub registration_shared_secret: Option<Secret>,
    /// The key of the nonces for such registrations: all nodes of a server have the same, and nobody else can guess it.
    pub nonce_key: Secret,
    /// Guests may register.
    pub allow_guest_access: bool,
    /// Say that a name is free even if it is not; registration fails later.
    pub inhibit_user_in_use_error: bool,
    /// Names may start with `_`.
    pub allow_underscore_prefixed_registration: bool,
    /// Users may log in with a password.
    pub password_enabled: bool,
    /// Passwords prove who is logged in already, and can be changed: `password_config.enabled: only_for_reauth`, or true.
    pub password_reauth_enabled: bool,
    /// Appended to each password before it is hashed.
    pub password_pepper: Secret,
    /// The demands that new passwords have to meet.
    pub password_policy: PasswordPolicy,
    /// Users may set their display name.
    pub enable_set_displayname: bool,
    /// Users may set their avatar.
    pub enable_set_avatar_url: bool,
    /// Users may change their third-party identifiers.
    pub enable_3pid_changes: bool,
    /// `hs_disabled`: nobody may do anything that changes something.
    pub disabled: Option<Disabled>,
    /// Profiles are shown to users only, not to strangers.
    pub require_auth_for_profile_requests: bool,
    /// Users see the profiles only of those with whom they share a room. It has no effect without
    /// `require_auth_for_profile_requests`.
    pub limit_profile_requests_to_users_who_share_rooms: bool,
    /// `experimental_features.msc3391_enabled`: users may delete account data, and an empty entry is none.
    pub account_data_deletable: bool,
    /// `user_directory.enabled`: users may look for others.
    pub user_directory_enabled: bool,
    /// `user_directory.search_all_users`: they find everybody, not only those whom they may know.
    pub user_directory_search_all_users: bool,
    /// The time for which a session holds, in milliseconds. `None`: for ever.
    pub session_lifetime_ms: Option<u64>,
    /// The time for which an access token that can be refreshed holds, in milliseconds. `None`: for ever.
    pub refreshable_access_token_lifetime_ms: Option<u64>,
    /// The time for which a refresh token holds, in milliseconds. `None`: for ever.
    pub refresh_token_lifetime_ms: Option<u64>,
    /// The time for which an access token that cannot be refreshed holds, in milliseconds. `None`: for ever.
    pub nonrefreshable_access_token_lifetime_ms: Option<u64>,
    /// The time after authentication during which the same session may do more without repeating it, in milliseconds.
    pub ui_auth_session_timeout_ms: u64,
    /// Logging in another device from one that is logged in.
    pub login_via_existing_session: LoginTokenSettings,
    /// The number of passwords that are hashed at once.
    pub password_hashes_concurrent_max: usize,
}

/// The answer that users of a blocked server get.
#[derive(Debug, Clone)]
pub struct Disabled {
    /// `hs_disabled_message`: the text of the error.
    pub message: String,
    /// `admin_contact`: how to reach the admin.
    pub admin_contact: Option<String>,
}

/// `password_config.policy`.
#[derive(Debug, Clone, Default)]
pub struct PasswordPolicy {
    /// The policy holds. Otherwise only the empty password is refused.
    pub enabled: bool,
    /// The least length, in characters.
    pub minimum_length: usize,
    /// It must have a digit.
    pub require_digit: bool,
    /// It must have a symbol.
    pub require_symbol: bool,
    /// It must have a lower-case letter.
    pub require_lowercase: bool,
    /// It must have an upper-case letter.
    pub require_uppercase: bool,
}

/// `login_via_existing_session`.
#[derive(Debug, Clone)]
pub struct LoginTokenSettings {
    /// Users may log in another device from one that is logged in.
    pub enabled: bool,
    /// Users must authenticate again for it.
    pub require_ui_auth: bool,
    /// The time for which the token holds, in milliseconds.
    pub token_timeout_ms: u64,
}

impl Default for LoginTokenSettings {
    fn default() -> Self {
        Self { enabled: false, require_ui_auth: true, token_timeout_ms: 5 * 60 * 1000 }
    }
}

impl Default for AccountsSettings {
    fn default() -> Self {
        Self {
            enable_registration: false,
            registration_requires_token: false,
            registration_shared_secret: None,
            nonce_key: Secret::default(),
            allow_guest_access: false,
            inhibit_user_in_use_error: false,
            allow_underscore_prefixed_registration: false,
            password_enabled: true,
            password_reauth_enabled: true,
            password_pepper: Secret::default(),
            password_policy: PasswordPolicy::default(),
            enable_set_displayname: true,
            enable_set_avatar_url: true,
            enable_3pid_changes: true,
            disabled: None,
            require_auth_for_profile_requests: false,
            limit_profile_requests_to_users_who_share_rooms: false,
            account_data_deletable: false,
            user_directory_enabled: true,
            user_directory_search_all_users: false,
            session_lifetime_ms: None,
            refreshable_access_token_lifetime_ms: Some(5 * 60 * 1000),
            refresh_token_lifetime_ms: None,
            nonrefreshable_access_token_lifetime_ms: None,
            ui_auth_session_timeout_ms: 0,
            login_via_existing_session: LoginTokenSettings::default(),
            password_hashes_concurrent_max: 2,
        }
    }
}
