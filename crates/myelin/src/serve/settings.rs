//! The config turned into the small settings of the parts. Only this binary knows both.

use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use hmac::{Hmac, KeyInit as _, Mac as _};
use myelin_accounts::{AccountsSettings, Disabled, LoginTokenSettings, PasswordPolicy};
use myelin_client_api::{ClientApiSettings, TurnSettings};
use myelin_config::{
    Config,
    sections::{
        appservices::{AppService, Namespace},
        password::PasswordLogin,
        ratelimits,
        rooms::{DirectoryRule, EncryptionByDefault},
        users::{Presence, PresenceMode},
    },
};
use myelin_events::{RoomVersion, SigningKey};
use myelin_http::{RateLimit, RateLimitSettings};
use myelin_model::{
    Appservice, AppserviceNamespace, AppserviceNamespaces, AppserviceRegistration, Appservices,
    Clock, Secret,
};
use myelin_outbound::AddressRules;
use myelin_rooms::{
    EncryptedByDefault, NamingRule, NamingRules, RoomSettings, membership::AutoJoin,
};
use myelin_storage::{PresenceTimers, StorageSettings, upkeep::UpkeepSettings};
use myelin_sync::{PrejoinState, SyncSettings};
use ruma::{OwnedRoomId, OwnedServerName, ServerName, UserId};
use sha2::Sha256;

/// The settings of storage.
pub fn storage(config: &Config, clock: &Arc<dyn Clock>) -> StorageSettings {
    StorageSettings {
        presence: presence(&config.users.presence),
        clock: clock.clone(),
        ..StorageSettings::default()
    }
}

fn presence(presence: &Presence) -> Option<PresenceTimers> {
    (presence.mode == PresenceMode::Enabled).then_some(PresenceTimers {
        active_millis: presence.last_active_granularity_ms,
        idle_millis: presence.idle_timeout_ms,
        offline_millis: presence.sync_online_timeout_ms,
    })
}

/// The settings of upkeep.
pub fn upkeep(config: &Config, clock: &Arc<dyn Clock>) -> UpkeepSettings {
    UpkeepSettings {
        clock: clock.clone(),
        user_ips_max_age_ms: config.sessions.user_ips_max_age_ms,
    }
}

/// The settings of the read side. Fails for an event type or room that is none.
pub fn sync(config: &Config) -> anyhow::Result<SyncSettings> {
    let rooms = &config.rooms;
    let events_max = rooms.filter_timeline_limit;
    let excluded = rooms.exclude_rooms_from_sync.iter().map(|room_id| {
        OwnedRoomId::try_from(room_id.as_str())
            .with_context(|| format!("exclude_rooms_from_sync: {room_id:?} is no room ID"))
    });
    Ok(SyncSettings {
        timeline_events_max: events_max
            .map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX)),
        presence_includes_offline: config.users.presence.include_offline_users_on_sync,
        excluded_rooms: excluded.collect::<anyhow::Result<_>>()?,
        prejoin_state: PrejoinState {
            without_usual: rooms.prejoin_state.disable_default_event_types,
            additional: rooms.prejoin_state.additional_event_types.clone(),
        },
        ..SyncSettings::default()
    })
}

/// The server's name.
pub fn server_name(config: &Config) -> anyhow::Result<OwnedServerName> {
    let name = &config.server.server_name;
    ServerName::parse(name.as_str())
        .with_context(|| format!("server_name: {name:?} is no server name"))
}

/// The key that signs.
pub fn signing_key(config: &Config) -> anyhow::Result<Arc<SigningKey>> {
    let key = config.signing.keys.first().context(
        "there is no signing key. Make one with `myelin generate-signing-key -o FILE` and name it in signing_key_path",
    )?;
    Ok(Arc::new(SigningKey::from_seed(&key.seed, &key.version)))
}

/// The key of nonces: it follows from the signing key, which all nodes have and nobody can guess.
fn nonce_key(config: &Config) -> Secret {
    let seed = config.signing.keys.first().map(|key| key.seed).unwrap_or_default();
    let derived = Hmac::<Sha256>::new_from_slice(&seed).map(|mut mac| {
        mac.update(b"nonces of registrations");
        mac.finalize().into_bytes()
    });
    let bytes = derived.into_iter().flatten();
    Secret::new(bytes.map(|byte| format!("{byte:02x}")).collect())
}

/// The settings of accounts.
pub fn accounts(config: &Config) -> AccountsSettings {
    let (registration, sessions, password) =
        (&config.registration, &config.sessions, &config.password);
    let existing = &sessions.login_via_existing_session;
    AccountsSettings {
        enable_registration: registration.enabled,
        registration_requires_token: registration.requires_token,
        registration_shared_secret: registration.shared_secret.clone(),
        nonce_key: nonce_key(config),
        allow_guest_access: registration.allow_guest_access,
        inhibit_user_in_use_error: registration.inhibit_user_in_use_error,
        allow_underscore_prefixed_registration: registration.allow_underscore_prefixed_localpart,
        password_reauth_enabled: password.login != PasswordLogin::Disabled
            && password.localdb_enabled,
        password_enabled: password.login == PasswordLogin::Enabled && password.localdb_enabled,
        password_pepper: password.pepper.clone().unwrap_or_default(),
        account_data_deletable: config.server.has_experimental("msc3391_enabled"),
        password_policy: password.policy.as_ref().map_or_else(PasswordPolicy::default, |policy| {
            PasswordPolicy {
                enabled: true,
                minimum_length: policy.minimum_length,
                require_digit: policy.require_digit,
                require_symbol: policy.require_symbol,
                require_lowercase: policy.require_lowercase,
                require_uppercase: policy.require_uppercase,
            }
        }),
        enable_set_displayname: registration.enable_set_displayname,
        enable_set_avatar_url: registration.enable_set_avatar_url,
        enable_3pid_changes: registration.enable_3pid_changes,
        disabled: config.server.hs_disabled.then(|| Disabled {
            message: config.server.hs_disabled_message.clone(),
            admin_contact: config.server.admin_contact.clone(),
        }),
        require_auth_for_profile_requests: config.users.require_auth_for_profile_requests,
        limit_profile_requests_to_users_who_share_rooms: config
            .users
            .limit_profile_requests_to_users_who_share_rooms,
        user_directory_enabled: config.users.directory.enabled,
        user_directory_search_all_users: config.users.directory.search_all_users,
        session_lifetime_ms: sessions.session_lifetime_ms,
        refreshable_access_token_lifetime_ms: sessions.refreshable_access_token_lifetime_ms,
        refresh_token_lifetime_ms: sessions.refresh_token_lifetime_ms,
        nonrefreshable_access_token_lifetime_ms: sessions.nonrefreshable_access_token_lifetime_ms,
        ui_auth_session_timeout_ms: sessions.ui_auth_session_timeout_ms,
        login_via_existing_session: LoginTokenSettings {
            enabled: existing.enabled,
            require_ui_auth: existing.require_ui_auth,
            token_timeout_ms: existing.token_timeout_ms,
        },
        password_hashes_concurrent_max: std::thread::available_parallelism()
            .map_or(1, |count| count.get()),
    }
}

/// The addresses that requests to others may reach.
pub fn address_rules(config: &Config) -> AddressRules {
    let outgoing = &config.outgoing;
    AddressRules::new(outgoing.ip_range_blacklist.clone(), outgoing.ip_range_whitelist.clone())
}

/// The settings that concern the client-server API alone.
pub fn client_api(config: &Config) -> ClientApiSettings {
    let turn = &config.turn;
    ClientApiSettings {
        public_baseurl: config.server.public_baseurl.as_deref().map(Into::into),
        turn: Arc::new(TurnSettings {
            uris: turn.uris.clone(),
            shared_secret: turn.shared_secret.clone(),
            username: turn.username.clone(),
            password: turn.password.clone(),
            user_lifetime_ms: turn.user_lifetime_ms,
            allow_guests: turn.allow_guests,
        }),
    }
}

/// The rate limits.
pub fn rate_limits(config: &Config) -> RateLimitSettings {
    let limits = &config.ratelimits;
    let rate = |limit: ratelimits::RateLimit| RateLimit {
        per_second: limit.per_second,
        burst_count: f64::from(limit.burst_count),
    };
    RateLimitSettings {
        message: rate(limits.message),
        registration: rate(limits.registration),
        registration_token_validity: rate(limits.registration_token_validity),
        login_address: rate(limits.login_address),
        login_account: rate(limits.login_account),
        login_failed_attempts: rate(limits.login_failed_attempts),
        admin_redaction: rate(limits.admin_redaction.unwrap_or(limits.message)),
        joins_local: rate(limits.joins_local),
        joins_remote: rate(limits.joins_remote),
        joins_per_room: rate(limits.joins_per_room),
        threepid_validation: rate(limits.third_party_validation),
        invites_per_room: rate(limits.invites_per_room),
        invites_per_user: rate(limits.invites_per_user),
        invites_per_issuer: rate(limits.invites_per_issuer),
        third_party_invite: rate(limits.third_party_invite),
        presence_per_user: rate(limits.presence_per_user),
        key_requests: rate(limits.key_requests),
        reports: rate(limits.reports),
        room_creation: rate(limits.room_creation),
        user_directory: rate(limits.user_directory),
        profile: rate(limits.profile),
        ..RateLimitSettings::default()
    }
}

/// The settings of rooms.
pub fn rooms(
    config: &Config,
    server_name: &ServerName,
    appservices: Appservices,
) -> anyhow::Result<RoomSettings> {
    let rooms = &config.rooms;
    let version = &rooms.default_room_version;
    Ok(RoomSettings {
        default_version: version
            .parse::<RoomVersion>()
            .map_err(|_| anyhow!("default_room_version: {version:?} is not known"))?,
        encrypted_by_default: match rooms.encryption_by_default {
            EncryptionByDefault::Off => EncryptedByDefault::Off,
            EncryptionByDefault::Invite => EncryptedByDefault::Private,
            EncryptionByDefault::All => EncryptedByDefault::All,
        },
        alias_creation_rules: naming_rules(&rooms.alias_creation_rules),
        publication_rules: naming_rules(&rooms.room_list_publication_rules),
        require_membership_for_aliases: rooms.require_membership_for_aliases,
        power_level_overrides: rooms.default_power_level_content_override.clone(),
        profiles_in_invites: rooms.include_profile_data_on_invite,
        only_admins_invite: rooms.block_non_admin_invites,
        forget_on_leave: rooms.forget_rooms_on_leave,
        auto_join: auto_join(config, server_name)?,
        appservices,
        public_rooms_without_auth: rooms.allow_public_rooms_without_auth,
        room_list_enabled: rooms.enable_room_list_search,
        per_room_profiles: rooms.allow_per_room_profiles,
    })
}

fn auto_join(config: &Config, server_name: &ServerName) -> anyhow::Result<AutoJoin> {
    let registration = &config.registration;
    let aliases = registration.auto_join_rooms.iter();
    let aliases = aliases
        .map(|alias| alias.as_str().try_into().with_context(|| format!("auto_join_rooms: {alias}")))
        .collect::<anyhow::Result<_>>()?;
    let creator = match &registration.auto_join_mxid_localpart {
        Some(localpart) => Some(
            UserId::parse_with_server_name(localpart.as_str(), server_name)
                .with_context(|| format!("auto_join_mxid_localpart: {localpart}"))?,
        ),
        None => None,
    };
    Ok(AutoJoin {
        aliases,
        create: registration.autocreate_auto_join_rooms,
        federated: registration.autocreate_auto_join_rooms_federated,
        preset: registration.autocreate_auto_join_room_preset.clone(),
        creator,
        guests: registration.auto_join_rooms_for_guests,
    })
}

fn naming_rules(rules: &[DirectoryRule]) -> NamingRules {
    let rules = rules.iter().map(|rule| NamingRule {
        user_id: rule.user_id.clone(),
        alias: rule.alias.clone(),
        room_id: rule.room_id.clone(),
        allow: rule.allow,
    });
    NamingRules(rules.collect())
}

/// The application services.
pub fn appservices(config: &Config, server_name: &ServerName) -> anyhow::Result<Appservices> {
    let (mut services, mut faults) = (Vec::new(), Vec::new());
    for service in &config.appservices {
        match Appservice::new(registration(service), server_name) {
            Ok(prepared) => services.push(prepared),
            Err(error) => faults.push(format!("{}: {error}", service.file.display())),
        }
    }
    if faults.is_empty() { Ok(Appservices::new(services)) } else { bail!(faults.join("\n")) }
}

fn registration(service: &AppService) -> AppserviceRegistration {
    let namespaces = |list: &[Namespace]| {
        let list = list.iter();
        list.map(|one| AppserviceNamespace { exclusive: one.exclusive, regex: one.regex.clone() })
            .collect()
    };
    AppserviceRegistration {
        id: service.id.clone(),
        url: service.url.clone(),
        as_token: service.as_token.clone(),
        hs_token: service.hs_token.clone(),
        sender_localpart: service.sender_localpart.clone(),
        namespaces: AppserviceNamespaces {
            users: namespaces(&service.users),
            aliases: namespaces(&service.aliases),
            rooms: namespaces(&service.rooms),
        },
        rate_limited: Some(service.rate_limited),
        protocols: Some(service.protocols.clone()),
        receive_ephemeral: service.receive_ephemeral,
        manages_devices: service.manages_devices,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use myelin_config::Sources;

    use super::*;

    #[test]
    fn no_setting_shows_a_secret() {
        const BRIDGE: &str = "id: b\nurl: null\nas_token: HIDDEN\nhs_token: HIDDEN\nsender_localpart: b\nnamespaces: {}\n";
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let text = format!(
            "server_name: example.org\nregistration_shared_secret: HIDDEN\npassword_config: {{pepper: HIDDEN}}\n\
             turn_uris: ['turn:example.org']\nturn_shared_secret: HIDDEN\nturn_username: x\nturn_password: HIDDEN\n\
             macaroon_secret_key: HIDDEN\nform_secret: HIDDEN\nsigning_key_path: {at}/key\n\
             app_service_config_files: ['{at}/bridge.yaml']\n\
             database: {{name: psycopg2, args: {{host: h, user: u, password: HIDDEN, dbname: d}}}}\n"
        );
        fs::write(folder.path().join("bridge.yaml"), BRIDGE).unwrap();
        let file = folder.path().join("homeserver.yaml");
        fs::write(&file, text).unwrap();
        let paths = vec![file];
        let sources = Sources { paths, create_signing_key: true, ..Sources::default() };
        let config = myelin_config::load(&sources).unwrap().config;

        let name = server_name(&config).unwrap();
        let services = appservices(&config, &name).unwrap();
        let shown = [
            format!("{config:?}"),
            format!("{services:?}"),
            format!("{:?}", accounts(&config)),
            format!("{:?}", client_api(&config)),
            format!("{:?}", rooms(&config, &name, services).unwrap()),
            format!("{:?}", sync(&config).unwrap()),
            format!("{:?}", signing_key(&config).unwrap()),
        ];

        let secret = config.registration.shared_secret.unwrap();
        assert_eq!(secret.expose(), "HIDDEN", "it was read");
        for text in shown {
            assert!(!text.contains("HIDDEN"), "{text}");
        }
        let key = fs::read_to_string(folder.path().join("key")).unwrap();
        let seed = key.split_whitespace().last().unwrap().to_owned();
        assert!(!format!("{:?}", config.signing).contains(&seed));
    }
}
