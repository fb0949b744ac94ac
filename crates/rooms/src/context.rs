//! The structure that every room use case works on, and its settings.

use std::sync::Arc;

use myelin_engine::Engine;
use myelin_events::RoomVersion;
use myelin_model::{Appservices, RoomNid};
use myelin_storage::{Db, StorageError};
use ruma::{RoomId, ServerName, UserId};
use serde_json::{Map, Value};

use crate::{membership::AutoJoin, rules::NamingRules};

/// The settings for rooms.
#[derive(Debug, Clone)]
pub struct RoomSettings {
    /// The version of rooms that are made without asking for one.
    pub default_version: RoomVersion,
    /// The rooms that are encrypted although their maker does not ask for it.
    pub encrypted_by_default: EncryptedByDefault,
    /// The rules on who may make which alias.
    pub alias_creation_rules: NamingRules,
    /// The rules on who may list which room in public.
    pub publication_rules: NamingRules,
    /// A user must be in a room to give it an alias.
    pub require_membership_for_aliases: bool,
    /// Power levels by preset. They are laid over those that a new room of this preset has.
    pub power_level_overrides: Map<String, Value>,
    /// Whether invites carry the name and picture of the invited user.
    pub profiles_in_invites: bool,
    pub only_admins_invite: bool,
    /// A user who leaves a room forgets it too, as does one who is taken out.
    pub forget_on_leave: bool,
    /// The rooms that new users join by themselves.
    pub auto_join: AutoJoin,
    /// The application services, which have aliases for themselves.
    pub appservices: Appservices,
    /// The public list may be read without logging in.
    pub public_rooms_without_auth: bool,
    /// There is a public list at all. Without it, the list reads as empty.
    pub room_list_enabled: bool,
    /// Users may have another name and picture in a room.
    pub per_room_profiles: bool,
}

/// The new rooms that are encrypted although their maker does not ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EncryptedByDefault {
    /// No room is.
    #[default]
    Off,
    /// Rooms of the private presets are.
    Private,
    /// Every room is.
    All,
}

impl Default for RoomSettings {
    fn default() -> Self {
        Self {
            default_version: RoomVersion::DEFAULT,
            encrypted_by_default: EncryptedByDefault::Off,
            alias_creation_rules: NamingRules::allow_all(),
            publication_rules: NamingRules::deny_all(),
            require_membership_for_aliases: true,
            power_level_overrides: Map::new(),
            profiles_in_invites: true,
            only_admins_invite: false,
            forget_on_leave: false,
            auto_join: AutoJoin::default(),
            appservices: Appservices::default(),
            public_rooms_without_auth: false,
            room_list_enabled: true,
            per_room_profiles: true,
        }
    }
}

/// The rooms of a node. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Rooms {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine,
    settings: RoomSettings,
}

impl Rooms {
    /// The rooms of this node, which are written to through its engine.
    pub fn new(engine: Engine, settings: RoomSettings) -> Self {
        Self { inner: Arc::new(Inner { engine, settings }) }
    }

    /// The engine. Whoever is not of this crate reads and writes rooms by its use cases.
    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// The database.
    pub(crate) fn db(&self) -> &Db {
        self.engine().db()
    }

    /// The number of a room. `None` if this server does not know it.
    pub async fn find_nid(&self, room_id: &RoomId) -> Result<Option<RoomNid>, StorageError> {
        Ok(self.db().heads().find(room_id).await?.map(|head| head.room_nid))
    }

    /// This server.
    pub fn server_name(&self) -> &ServerName {
        self.engine().server_name()
    }

    /// The settings.
    pub fn settings(&self) -> &RoomSettings {
        &self.inner.settings
    }

    /// The time, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.engine().now_ms()
    }

    /// Whether the user is one of this server.
    pub fn is_local(&self, user_id: &UserId) -> bool {
        self.engine().is_local(user_id)
    }
}
