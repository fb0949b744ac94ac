//! Power levels: who may do what, and who may change that.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use myelin_model::Membership;
use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Deserializer};

use super::{AuthError, AuthEvent, Create};
use crate::{canonical::Members, version::RoomVersion};

/// A user's power, or the power that an action asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Power {
    /// A level.
    Level(i64),
    /// Above every level: creators, since version 12.
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

/// The power levels in force in a room, parsed once: those of the event, with the defaults and the creators' power.
#[derive(Debug, Clone)]
pub struct PowerLevels {
    create: Arc<Create>,
    /// `None` while the room has no power levels event.
    event: Option<Contents>,
}

/// A part of the content that could not be read. It is no error until a rule needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unreadable(&'static str);

type Field = Result<Option<i64>, Unreadable>;
type Levels<K> = Result<Option<BTreeMap<K, i64>>, Unreadable>;

#[derive(Debug, Clone)]
struct Contents {
    integers: [Field; 7],
    events: Levels<String>,
    notifications: Levels<String>,
    users: Levels<OwnedUserId>,
}

/// The fields with one level, in the order of the auth rules.
#[derive(Clone, Copy)]
enum Name {
    UsersDefault,
    EventsDefault,
    StateDefault,
    Ban,
    Redact,
    Kick,
    Invite,
}

impl Name {
    const ALL: [Self; 7] = [
        Self::UsersDefault,
        Self::EventsDefault,
        Self::StateDefault,
        Self::Ban,
        Self::Redact,
        Self::Kick,
        Self::Invite,
    ];

    fn as_str(self) -> &'static str {
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
    fn parse(version: RoomVersion, content: &str) -> Self {
        let members: Members<'_> = serde_json::from_str(content).unwrap_or_default();
        let strict = version.auth_rules().integer_power_levels;
        let integers = Name::ALL.map(|name| {
            read_field(&members, name.as_str(), strict).map(|level| level.map(|Lax(level)| level))
        });
        Self {
            integers,
            events: read_levels(&members, "events", strict),
            notifications: read_levels(&members, "notifications", strict),
            users: read_levels(&members, "users", strict),
        }
    }

    fn integer(&self, name: Name) -> Field {
        self.integers.get(name as usize).cloned().unwrap_or(Ok(None))
    }
}

/// A level as versions 1 to 9 let it be written: an integer, a string with one, or a fraction.
struct Lax(i64);

impl<'de> Deserialize<'de> for Lax {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Lax;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a power level")
            }

            fn visit_i64<E>(self, level: i64) -> Result<Lax, E> {
                Ok(Lax(level))
            }

            fn visit_u64<E: serde::de::Error>(self, level: u64) -> Result<Lax, E> {
                i64::try_from(level).map(Lax).map_err(E::custom)
            }

            #[expect(
                clippy::cast_possible_truncation,
                reason = "levels are cut off as Synapse does"
            )]
            fn visit_f64<E>(self, level: f64) -> Result<Lax, E> {
                Ok(Lax(level as i64))
            }

            fn visit_str<E: serde::de::Error>(self, level: &str) -> Result<Lax, E> {
                level.trim().parse().map(Lax).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

fn read_field(
    members: &Members<'_>,
    name: &'static str,
    strict: bool,
) -> Result<Option<Lax>, Unreadable> {
    let Some(value) = members.get(name) else { return Ok(None) };
    let level = if strict {
        serde_json::from_str(value.get()).map(Lax)
    } else {
        serde_json::from_str(value.get())
    };
    level.map(Some).map_err(|_| Unreadable(name))
}

fn read_levels<K>(members: &Members<'_>, name: &'static str, strict: bool) -> Levels<K>
where
    K: Ord + for<'de> Deserialize<'de>,
{
    let Some(value) = members.get(name) else { return Ok(None) };
    let levels = if strict {
        serde_json::from_str(value.get())
    } else {
        serde_json::from_str::<BTreeMap<K, Lax>>(value.get())
            .map(|levels| levels.into_iter().map(|(key, Lax(level))| (key, level)).collect())
    };
    levels.map(Some).map_err(|_| Unreadable(name))
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
        let levels = self
            .event
            .as_ref()
            .and_then(|event| event.notifications.as_ref().ok())
            .and_then(Option::as_ref);
        Power::Level(levels.and_then(|levels| levels.get(kind)).copied().unwrap_or(50))
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

    /// The users that the event names, with their levels.
    pub fn users(&self) -> impl Iterator<Item = (&UserId, i64)> {
        let users = self
            .event
            .as_ref()
            .and_then(|event| event.users.as_ref().ok())
            .and_then(Option::as_ref);
        users.into_iter().flatten().map(|(user_id, level)| (&**user_id, *level))
    }

    fn lax(&self, name: Name) -> Power {
        self.read(name).unwrap_or(Power::Level(name.default_level()))
    }
}

/// Reading for the rules, which refuse what they cannot read.
impl PowerLevels {
    fn read(&self, name: Name) -> Result<Power, AuthError> {
        let level = match &self.event {
            Some(event) => event.integer(name)?,
            None => None,
        };
        Ok(Power::Level(level.unwrap_or(name.default_level())))
    }

    pub(crate) fn read_user(&self, user_id: &UserId) -> Result<Power, AuthError> {
        if self.create.is_privileged(user_id) {
            return Ok(Power::Infinite);
        }
        match &self.event {
            Some(event) => match event.users.clone_error()?.and_then(|users| users.get(user_id)) {
                Some(level) => Ok(Power::Level(*level)),
                None => self.read(Name::UsersDefault),
            },
            None if self.create.is_creator(user_id) => Ok(Power::Level(100)),
            None => Ok(Power::Level(Name::UsersDefault.default_level())),
        }
    }

    pub(super) fn read_event(&self, event_type: &str, is_state: bool) -> Result<Power, AuthError> {
        let events = match &self.event {
            Some(event) => event.events.clone_error()?,
            None => None,
        };
        match events.and_then(|events| events.get(event_type)) {
            Some(level) => Ok(Power::Level(*level)),
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

/// Borrow the levels, clone only the error.
trait CloneError<K> {
    fn clone_error(&self) -> Result<Option<&BTreeMap<K, i64>>, AuthError>;
}

impl<K> CloneError<K> for Levels<K> {
    fn clone_error(&self) -> Result<Option<&BTreeMap<K, i64>>, AuthError> {
        match self {
            Ok(levels) => Ok(levels.as_ref()),
            Err(unreadable) => Err(unreadable.clone().into()),
        }
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

/// The rules for a new power levels event.
pub(super) fn check_change(
    version: RoomVersion,
    event: &impl AuthEvent,
    create: &Create,
    current: &PowerLevels,
    sender_power: Power,
) -> Result<(), AuthError> {
    if !event.content().trim_start().starts_with('{') {
        return Err(AuthError::Malformed("the power levels are no object".to_owned()));
    }
    let new = Contents::parse(version, event.content());
    if version.auth_rules().integer_power_levels {
        for name in Name::ALL {
            new.integer(name)?;
        }
        new.events.clone_error()?;
        new.notifications.clone_error()?;
    }
    let new_users = new.users.clone_error()?;
    if version.auth_rules().explicitly_privilege_room_creators
        && new_users
            .is_some_and(|users| create.creators().any(|creator| users.contains_key(creator)))
    {
        return Err(AuthError::CreatorInPowerLevels);
    }
    let Some(current) = &current.event else { return Ok(()) };
    for name in Name::ALL {
        let (old, new) = (current.integer(name)?, new.integer(name)?);
        if old != new
            && [old, new]
                .into_iter()
                .any(|level| sender_power < level.unwrap_or(name.default_level()))
        {
            return Err(AuthError::NotEnoughPower { action: format!("change {}", name.as_str()) });
        }
    }
    let above = |_: &String, level: i64| sender_power < level;
    check_levels(current.events.clone_error()?, new.events.clone_error()?, sender_power, above)?;
    if version.auth_rules().limit_notifications_power_levels {
        check_levels(
            current.notifications.clone_error()?,
            new.notifications.clone_error()?,
            sender_power,
            above,
        )?;
    }
    check_levels(current.users.clone_error()?, new_users, sender_power, |user_id, level| {
        *user_id != *event.sender() && sender_power <= level
    })
}

/// Each entry that changes must be within the sender's power, before and after.
fn check_levels<K: Ord + std::fmt::Display>(
    old: Option<&BTreeMap<K, i64>>,
    new: Option<&BTreeMap<K, i64>>,
    sender_power: Power,
    is_old_beyond: impl Fn(&K, i64) -> bool,
) -> Result<(), AuthError> {
    let refuse =
        |key: &K| Err(AuthError::NotEnoughPower { action: format!("change the level of {key}") });
    for (key, level) in old.into_iter().flatten() {
        if new.and_then(|new| new.get(key)) != Some(level) && is_old_beyond(key, *level) {
            return refuse(key);
        }
    }
    for (key, level) in new.into_iter().flatten() {
        if old.and_then(|old| old.get(key)) != Some(level) && sender_power < *level {
            return refuse(key);
        }
    }
    Ok(())
}
