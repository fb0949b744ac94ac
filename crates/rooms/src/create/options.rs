//! The options of `createRoom`, read strictly where Synapse does.

use std::collections::HashSet;

use myelin_events::RoomVersion;
use myelin_model::Actor;
use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value, json};

use super::CreateRoomError;
use crate::{EncryptedByDefault, Rooms};

/// The number of users that may be invited at once.
const INVITES_MAX: usize = 500;

/// The number of events that `initial_state` may have.
const INITIAL_STATE_MAX: usize = 1_000;

/// A set of rules to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    PrivateChat,
    TrustedPrivateChat,
    PublicChat,
}

impl Preset {
    fn parse(preset: &str) -> Option<Self> {
        Some(match preset {
            "private_chat" => Self::PrivateChat,
            "trusted_private_chat" => Self::TrustedPrivateChat,
            "public_chat" => Self::PublicChat,
            _ => return None,
        })
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::PrivateChat => "private_chat",
            Self::TrustedPrivateChat => "trusted_private_chat",
            Self::PublicChat => "public_chat",
        }
    }

    pub(super) fn join_rule(self) -> &'static str {
        match self {
            Self::PrivateChat | Self::TrustedPrivateChat => "invite",
            Self::PublicChat => "public",
        }
    }

    pub(super) fn guests_may_join(self) -> bool {
        self != Self::PublicChat
    }

    pub(super) fn is_encrypted(self, default: EncryptedByDefault) -> bool {
        match default {
            EncryptedByDefault::Off => false,
            EncryptedByDefault::Private => self != Self::PublicChat,
            EncryptedByDefault::All => true,
        }
    }
}

/// A state event to begin with.
#[derive(Debug, Clone)]
pub(super) struct InitialState {
    pub(super) event_type: String,
    pub(super) state_key: String,
    pub(super) content: Value,
}

/// The parsed body of the request, completed by the preset and the configuration.
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) version: RoomVersion,
    pub(super) preset: Preset,
    pub(super) is_public: bool,
    pub(super) alias_name: Option<String>,
    pub(super) name: Option<Value>,
    pub(super) topic: Option<Value>,
    pub(super) invite: Vec<OwnedUserId>,
    pub(super) is_direct: bool,
    pub(super) initial_state: Vec<InitialState>,
    /// The users whom the member events of `initial_state` invite.
    pub(super) invited_by_state: Vec<OwnedUserId>,
    pub(super) creation_content: Map<String, Value>,
    pub(super) power_levels: Map<String, Value>,
}

impl Options {
    /// Read the body of the request `createRoom`. An error says what is wrong with it.
    pub fn parse(rooms: &Rooms, actor: &Actor, body: &str) -> Result<Self, CreateRoomError> {
        let body = match serde_json::from_str(body) {
            Ok(Value::Object(body)) => Body(body),
            Ok(_) => return Err(bad("Content must be a JSON object.")),
            Err(_) => return Err(CreateRoomError::BadJson("Content not JSON.".to_owned())),
        };
        let version = match body.0.get("room_version") {
            None | Some(Value::Null) => rooms.settings().default_version,
            Some(Value::String(version)) => {
                version.parse().map_err(|_| CreateRoomError::UnsupportedVersion)?
            }
            Some(_) => return Err(bad("room_version must be a string")),
        };
        let is_public = match body.text("visibility")?.as_deref() {
            None | Some("private") => false,
            Some("public") => true,
            Some(_) => return Err(bad("visibility must be public or private")),
        };
        let preset = match body.text("preset")? {
            Some(preset) => Preset::parse(&preset).ok_or_else(|| {
                CreateRoomError::BadJson(format!("'{preset}' is not a valid preset"))
            })?,
            None if is_public => Preset::PublicChat,
            None => Preset::PrivateChat,
        };
        if !body.list("invite_3pid")?.is_empty() {
            return Err(CreateRoomError::ThirdPartyInvite);
        }
        let mut options = Self {
            version,
            preset,
            is_public,
            alias_name: body.text("room_alias_name")?,
            name: body.text("name")?.map(Value::String),
            topic: body.text("topic")?.map(Value::String),
            invite: read_invite(rooms, &body)?,
            is_direct: body.flag("is_direct")?,
            initial_state: read_initial_state(&body)?,
            invited_by_state: Vec::new(),
            creation_content: body.object("creation_content")?,
            power_levels: body.object("power_level_content_override")?,
        };
        options.invited_by_state = find_invited(rooms, &options.initial_state)?;
        if options.invites() > INVITES_MAX {
            return Err(CreateRoomError::TooManyInvites);
        }
        options.complete(&actor.user_id)?;
        Ok(options)
    }

    /// The number of users who are invited, in whatever way.
    pub fn invites(&self) -> usize {
        self.invited().count()
    }

    /// All users who are invited, in whatever way.
    pub(super) fn invited(&self) -> impl Iterator<Item = &OwnedUserId> {
        self.invite.iter().chain(&self.invited_by_state)
    }

    /// Check the options against each other, and fill in the defaults that follow from several of them.
    fn complete(&mut self, creator: &UserId) -> Result<(), CreateRoomError> {
        let rules = self.version.auth_rules();
        let privileges_creators = rules.explicitly_privilege_room_creators;
        if !privileges_creators
            && let Some(users) = self.power_levels.get("users")
            && users.get(creator.as_str()).is_none()
        {
            return Err(CreateRoomError::OverrideWithoutCreator(creator.to_owned()));
        }
        let content = &mut self.creation_content;
        content.insert("room_version".to_owned(), self.version.as_str().into());
        if rules.use_room_create_sender {
            content.remove("creator");
        } else {
            content.insert("creator".to_owned(), creator.as_str().into());
        }
        if privileges_creators
            && self.preset == Preset::TrustedPrivateChat
            && !self.invite.is_empty()
        {
            let creators = content.entry("additional_creators").or_insert_with(|| json!([]));
            let Value::Array(creators) = creators else {
                return Err(bad("additional_creators must be a list of user IDs"));
            };
            for user_id in &self.invite {
                if !creators.iter().any(|creator| creator.as_str() == Some(user_id.as_str())) {
                    creators.push(user_id.as_str().into());
                }
            }
        }
        Ok(())
    }
}

fn read_invite(rooms: &Rooms, body: &Body) -> Result<Vec<OwnedUserId>, CreateRoomError> {
    let (mut invite, mut known) = (Vec::new(), HashSet::new());
    for user_id in body.list("invite")? {
        // Who asks for too much is not heard to the end.
        if invite.len() > INVITES_MAX {
            return Err(CreateRoomError::TooManyInvites);
        }
        let Some(user_id) = user_id.as_str() else {
            return Err(CreateRoomError::BadUserId(user_id.to_string()));
        };
        let parsed = OwnedUserId::try_from(user_id)
            .map_err(|_| CreateRoomError::BadUserId(user_id.to_owned()))?;
        if !rooms.is_local(&parsed) {
            return Err(CreateRoomError::RemoteUser(parsed));
        }
        if known.insert(parsed.clone()) {
            invite.push(parsed);
        }
    }
    Ok(invite)
}

fn find_invited(
    rooms: &Rooms,
    initial_state: &[InitialState],
) -> Result<Vec<OwnedUserId>, CreateRoomError> {
    let is_invite = |event: &&InitialState| {
        event.event_type == "m.room.member"
            && event.content.get("membership").and_then(Value::as_str) == Some("invite")
    };
    let invited = initial_state.iter().filter(is_invite).map(|event| {
        let user_id = OwnedUserId::try_from(&*event.state_key)
            .map_err(|_| CreateRoomError::BadUserId(event.state_key.clone()))?;
        match rooms.is_local(&user_id) {
            true => Ok(user_id),
            false => Err(CreateRoomError::RemoteUser(user_id)),
        }
    });
    invited.collect()
}

fn read_initial_state(body: &Body) -> Result<Vec<InitialState>, CreateRoomError> {
    let mut initial_state: Vec<InitialState> = Vec::new();
    for event in body.list("initial_state")? {
        let Some(event_type) = event.get("type").and_then(Value::as_str) else {
            return Err(bad("initial_state events must have a type"));
        };
        let state_key = match event.get("state_key") {
            None => "",
            Some(Value::String(state_key)) => state_key,
            Some(_) => return Err(bad("the state_key of initial_state events must be a string")),
        };
        let Some(content @ Value::Object(_)) = event.get("content") else {
            return Err(bad("the content of initial_state events must be an object"));
        };
        let content = content.clone();
        // The last one of a type and state key counts, in the place of the first.
        let is_same = |other: &&mut InitialState| {
            other.event_type == event_type && other.state_key == state_key
        };
        match initial_state.iter_mut().find(is_same) {
            Some(other) => other.content = content,
            None => initial_state.push(InitialState {
                event_type: event_type.to_owned(),
                state_key: state_key.to_owned(),
                content,
            }),
        }
        if initial_state.len() > INITIAL_STATE_MAX {
            return Err(bad("too many initial_state events"));
        }
    }
    Ok(initial_state)
}

/// The request, with members that are checked when they are read. Null counts as absent.
struct Body(Map<String, Value>);

impl Body {
    fn text(&self, key: &str) -> Result<Option<String>, CreateRoomError> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(CreateRoomError::BadJson(format!("{key} must be a string"))),
        }
    }

    fn flag(&self, key: &str) -> Result<bool, CreateRoomError> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(CreateRoomError::BadJson(format!("{key} must be a boolean"))),
        }
    }

    fn list(&self, key: &str) -> Result<&[Value], CreateRoomError> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(&[]),
            Some(Value::Array(list)) => Ok(list),
            Some(_) => Err(CreateRoomError::BadJson(format!("{key} must be a list"))),
        }
    }

    fn object(&self, key: &str) -> Result<Map<String, Value>, CreateRoomError> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(object)) => Ok(object.clone()),
            Some(_) => Err(CreateRoomError::BadJson(format!("{key} must be an object"))),
        }
    }
}

fn bad(text: &str) -> CreateRoomError {
    CreateRoomError::BadJson(text.to_owned())
}
