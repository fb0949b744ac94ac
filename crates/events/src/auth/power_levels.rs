//! Power levels: who may do what, and who may change that.

use std::{cmp::Ordering, sync::Arc};

use myelin_model::Membership;
use ruma::UserId;

use super::{
    AuthError, Create,
    level::{Level, Levels, Unreadable, read_level, read_levels},
};
use crate::{canonical::Members, version::RoomVersion};

/// A user's power, or the power that an action asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Power {
    Level(i64),
    /// The power above every level, of creators since version 12.
    Infinite,
}

impl PartialEq<i64> for Power {
    fn eq(&self, level: &i64) -> bool {
        *self == Self::Level(*level)
    }
}

impl PartialOrd<i64> for Power {
    fn partial_cmp(&self, level: &i64) -> Option<Ordering> {
        Some(self.cmp(&Self::Level(*level)))
    }
}

/// The power to notify a whole room, unless it is given.
const NOTIFICATION_DEFAULT: i64 = 50;

/// The power levels in force in a room, parsed once: those of the event, with the defaults and the creators' power.
#[derive(Debug, Clone)]
pub struct PowerLevels {
    create: Arc<Create>,
    /// `None` while the room has no power levels event.
    event: Option<Contents>,
}

/// A content, as far as it can be read.
#[derive(Debug, Clone)]
pub(super) struct Contents {
    /// The fields by [`Name`]. `None`: the content does not have it.
    fields: [Option<Level>; 7],
    pub(super) events: Result<Levels, Unreadable>,
    pub(super) notifications: Result<Levels, Unreadable>,
    /// The levels by user ID. The keys are not held to a grammar that older events break.
    pub(super) users: Result<Levels, Unreadable>,
}

/// The fields with one level, in the order of the auth rules.
#[derive(Clone, Copy)]
pub(super) enum Name {
    UsersDefault,
    EventsDefault,
    StateDefault,
    Ban,
    Redact,
    Kick,
    Invite,
}

impl Name {
    pub(super) const ALL: [Self; 7] = [
        Self::UsersDefault,
        Self::EventsDefault,
        Self::StateDefault,
        Self::Ban,
        Self::Redact,
        Self::Kick,
        Self::Invite,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::UsersDefault => "users_default",
            Self::EventsDefault => "events_default",
            Self::StateDefault => "state_default",
            Self::Ban => "ban",
            Self::Redact => "redact",
            Self::Kick => "kick",
            Self::Invite => "invite",
        }
    }

    fn default_level(self) -> i64 {
        match self {
            Self::UsersDefault | Self::EventsDefault | Self::Invite => 0,
            Self::StateDefault | Self::Ban | Self::Redact | Self::Kick => 50,
        }
    }
}

impl Contents {
    pub(super) fn parse(version: RoomVersion, content: &str) -> Self {
        let members: Members<'_> = serde_json::from_str(content).unwrap_or_default();
        let strict = version.auth_rules().integer_power_levels;
        Self {
            fields: Name::ALL.map(|name| read_level(&members, name.as_str(), strict)),
            events: read_levels(&members, "events", strict),
            notifications: read_levels(&members, "notifications", strict),
            users: read_levels(&members, "users", strict),
        }
    }

    pub(super) fn field(&self, name: Name) -> Option<Level> {
        self.fields.get(name as usize).copied().flatten()
    }

    /// The level of a field where it has one that can be read.
    fn read_field(&self, name: Name) -> Result<Option<i64>, Unreadable> {
        match self.fields.get(name as usize) {
            Some(Some(level)) => level.in_force(name.as_str()),
            Some(None) | None => Ok(None),
        }
    }

    /// The level of a user or an event type where it has one that can be read.
    fn read_entry(
        levels: &Result<Levels, Unreadable>,
        key: &str,
        group: &'static str,
    ) -> Result<Option<i64>, Unreadable> {
        match levels {
            Ok(levels) => match levels.get(key) {
                Some(level) => level.in_force(group),
                None => Ok(None),
            },
            Err(unreadable) => Err(*unreadable),
        }
    }
}

impl From<Unreadable> for AuthError {
    fn from(Unreadable(field): Unreadable) -> Self {
        Self::Malformed(format!("{field} of the power levels"))
    }
}

/// Reading for callers that want an answer in any case; what cannot be read counts as absent.
impl PowerLevels {
    /// The levels in force given the content of the `m.room.power_levels` event, if there is one.
    pub fn new(create: Arc<Create>, content: Option<&str>) -> Self {
        let event = content.map(|content| Contents::parse(create.version, content));
        Self { create, event }
    }

    /// The create event that the creators come from.
    pub fn create(&self) -> &Arc<Create> {
        &self.create
    }

    /// A user's power.
    pub fn user(&self, user_id: &UserId) -> Power {
        self.read_user(user_id).unwrap_or_else(|_| self.lax(Name::UsersDefault))
    }

    /// The power to send events of a type.
    pub fn event(&self, event_type: &str, is_state: bool) -> Power {
        let default = if is_state { Name::StateDefault } else { Name::EventsDefault };
        self.read_event(event_type, is_state).unwrap_or_else(|_| self.lax(default))
    }

    /// The power to notify a whole room by `@room` (`notifications.room`; 50 unless given).
    pub fn notification(&self, kind: &str) -> Power {
        let level = self.event.as_ref().and_then(|event| {
            Contents::read_entry(&event.notifications, kind, "notifications").ok().flatten()
        });
        Power::Level(level.unwrap_or(NOTIFICATION_DEFAULT))
    }

    /// The power to ban.
    pub fn ban(&self) -> Power {
        self.lax(Name::Ban)
    }

    /// The power to kick.
    pub fn kick(&self) -> Power {
        self.lax(Name::Kick)
    }

    /// The power to invite.
    pub fn invite(&self) -> Power {
        self.lax(Name::Invite)
    }

    /// The power to redact other users' events.
    pub fn redact(&self) -> Power {
        self.lax(Name::Redact)
    }

    /// The level of users that are not named.
    pub fn users_default(&self) -> Power {
        self.lax(Name::UsersDefault)
    }

    /// The users that the event names, with their levels. What is no user ID or no level is left out.
    pub fn users(&self) -> impl Iterator<Item = (&UserId, i64)> {
        let users = self.event.as_ref().and_then(|event| event.users.as_ref().ok());
        users.into_iter().flatten().filter_map(|(user_id, level)| {
            Some((<&UserId>::try_from(&**user_id).ok()?, level.in_force("users").ok()??))
        })
    }

    fn lax(&self, name: Name) -> Power {
        self.read(name).unwrap_or(Power::Level(name.default_level()))
    }
}

/// Reading for the rules, which refuse what they cannot read.
impl PowerLevels {
    /// The contents of the power levels event. `None` while the room has none.
    pub(super) fn event_contents(&self) -> Option<&Contents> {
        self.event.as_ref()
    }

    fn read(&self, name: Name) -> Result<Power, AuthError> {
        let level = match &self.event {
            Some(event) => event.read_field(name)?,
            None => None,
        };
        Ok(Power::Level(level.unwrap_or(name.default_level())))
    }

    pub(crate) fn read_user(&self, user_id: &UserId) -> Result<Power, AuthError> {
        if self.create.is_privileged(user_id) {
            return Ok(Power::Infinite);
        }
        match &self.event {
            Some(event) => match Contents::read_entry(&event.users, user_id.as_str(), "users")? {
                Some(level) => Ok(Power::Level(level)),
                None => self.read(Name::UsersDefault),
            },
            None if self.create.is_creator(user_id) => Ok(Power::Level(100)),
            None => Ok(Power::Level(Name::UsersDefault.default_level())),
        }
    }

    pub(super) fn read_event(&self, event_type: &str, is_state: bool) -> Result<Power, AuthError> {
        let level = match &self.event {
            Some(event) => Contents::read_entry(&event.events, event_type, "events")?,
            None => None,
        };
        match level {
            Some(level) => Ok(Power::Level(level)),
            None => self.read(if is_state { Name::StateDefault } else { Name::EventsDefault }),
        }
    }

    pub(super) fn read_ban(&self) -> Result<Power, AuthError> {
        self.read(Name::Ban)
    }

    pub(super) fn read_kick(&self) -> Result<Power, AuthError> {
        self.read(Name::Kick)
    }

    pub(super) fn read_invite(&self) -> Result<Power, AuthError> {
        self.read(Name::Invite)
    }

    pub(super) fn read_redact(&self) -> Result<Power, AuthError> {
        self.read(Name::Redact)
    }
}

/// Questions that endpoints ask before they make an event. The rules decide in the end.
impl PowerLevels {
    /// Whether the sender's power is enough to send this kind of event.
    pub fn may_send(&self, sender: &UserId, event_type: &str, is_state: bool) -> bool {
        self.user(sender) >= self.event(event_type, is_state)
    }

    /// Whether the sender's power is enough to give the target a membership: `Leave` is a kick (or unban), `Ban`, `Invite`.
    pub fn may_set_membership(
        &self,
        sender: &UserId,
        target: &UserId,
        membership: Membership,
    ) -> bool {
        let power = self.user(sender);
        match membership {
            Membership::Invite => power >= self.invite(),
            Membership::Leave => power >= self.kick() && power > self.user(target),
            Membership::Ban => power >= self.ban() && power > self.user(target),
            Membership::Join | Membership::Knock => sender == target,
        }
    }
}
