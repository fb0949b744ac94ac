//! The rules for a new `m.room.power_levels` event.

use super::{
    AuthError, AuthEvent, Create, Power, PowerLevels,
    level::{Level, Levels, Unreadable},
    power_levels::{Contents, Name},
};
use crate::version::RoomVersion;

/// The rules for a new power levels event.
pub(super) fn check(
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
    check_form(version, &new)?;
    if version.auth_rules().explicitly_privilege_room_creators
        && new.users.as_ref().is_ok_and(|users| {
            create.creators().any(|creator| users.contains_key(creator.as_str()))
        })
    {
        return Err(AuthError::CreatorInPowerLevels);
    }
    let Some(old) = current.event_contents() else { return Ok(()) };
    for name in Name::ALL {
        check_field(name, old.field(name), new.field(name), sender_power)?;
    }
    let above = |_: &str, level: i64| sender_power < level;
    check_levels("events", &old.events, &new.events, sender_power, above)?;
    if version.auth_rules().limit_notifications_power_levels {
        check_levels("notifications", &old.notifications, &new.notifications, sender_power, above)?;
    }
    check_levels("users", &old.users, &new.users, sender_power, |user_id, level| {
        user_id != event.sender().as_str() && sender_power <= level
    })
}

/// Check that those fields are levels which must be, whoever sends them: all of them since version 10, before that only
/// those of users.
fn check_form(version: RoomVersion, new: &Contents) -> Result<(), AuthError> {
    for (user_id, level) in new.users.as_ref().map_err(|unreadable| *unreadable)? {
        level.get("users")?;
        if !looks_like_a_user_id(user_id) {
            return Err(AuthError::Malformed(format!("{user_id:?} is no user ID")));
        }
    }
    if !version.auth_rules().integer_power_levels {
        return Ok(());
    }
    for name in Name::ALL {
        new.field(name).map_or(Ok(0), |level| level.get(name.as_str()))?;
    }
    for (part, levels) in [("events", &new.events), ("notifications", &new.notifications)] {
        for level in levels.as_ref().map_err(|unreadable| *unreadable)?.values() {
            level.get(part)?;
        }
    }
    Ok(())
}

/// Whether a key of `users` counts as a user ID: a sigil and a server. Rooms have such that no grammar of today allows, and every server
/// takes them.
fn looks_like_a_user_id(text: &str) -> bool {
    text.starts_with('@') && text.contains(':')
}

/// A field that is added, changed or removed must be within the sender's power, before and after. An absent one is not its default here.
fn check_field(
    name: Name,
    old: Option<Level>,
    new: Option<Level>,
    sender_power: Power,
) -> Result<(), AuthError> {
    let read = |level: Option<Level>| level.map(|level| level.get(name.as_str())).transpose();
    let (old, new) = (read(old)?, read(new)?);
    if old != new && [old, new].into_iter().flatten().any(|level| sender_power < level) {
        return Err(AuthError::NotEnoughPower { action: format!("change {}", name.as_str()) });
    }
    Ok(())
}

/// Each entry that changes must be within the sender's power, before and after.
fn check_levels(
    part: &'static str,
    old: &Result<Levels, Unreadable>,
    new: &Result<Levels, Unreadable>,
    sender_power: Power,
    is_old_beyond: impl Fn(&str, i64) -> bool,
) -> Result<(), AuthError> {
    let old = old.as_ref().map_err(|unreadable| *unreadable)?;
    let new = new.as_ref().map_err(|unreadable| *unreadable)?;
    let refuse =
        |key: &str| Err(AuthError::NotEnoughPower { action: format!("change the level of {key}") });
    let read =
        |levels: &Levels, key: &str| levels.get(key).map(|level| level.get(part)).transpose();
    for (key, level) in old {
        let level = level.get(part)?;
        if read(new, key)? != Some(level) && is_old_beyond(key, level) {
            return refuse(key);
        }
    }
    for (key, level) in new {
        let level = level.get(part)?;
        if read(old, key)? != Some(level) && sender_power < level {
            return refuse(key);
        }
    }
    Ok(())
}
