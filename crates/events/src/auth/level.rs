//! One power level as it stands in a content, in all the ways that room versions let it be written.

use std::collections::BTreeMap;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::canonical::Members;

/// Levels by event type, notification or user ID.
pub(super) type Levels = BTreeMap<Box<str>, Level>;

/// A part of the content, named, that could not be read. It is no error until a rule needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

/// A level. What is too large for an `i64` is as good as the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Integer(i64),
    /// A string with an integer, or a fraction, cut off: levels up to version 9.
    Written(i64),
    /// `null`: as good as nothing where it is in force, but no level for a new event.
    Null,
    /// A value that is no level.
    Unreadable,
}

impl Level {
    /// The level that holds where this is in force. `None` leaves it to the default.
    pub(super) fn in_force(self, part: &'static str) -> Result<Option<i64>, Unreadable> {
        match self {
            Self::Integer(level) | Self::Written(level) => Ok(Some(level)),
            Self::Null => Ok(None),
            Self::Unreadable => Err(Unreadable(part)),
        }
    }

    /// The level, where it must be one.
    pub(super) fn get(self, part: &'static str) -> Result<i64, Unreadable> {
        match self {
            Self::Integer(level) | Self::Written(level) => Ok(level),
            Self::Null | Self::Unreadable => Err(Unreadable(part)),
        }
    }

    /// The level by the rules of the version, of which the strict ones take only integers.
    fn held_to(self, strict: bool) -> Self {
        match self {
            Self::Written(_) | Self::Null if strict => Self::Unreadable,
            level => level,
        }
    }
}

/// A member of a content that is one level. `None` if there is none.
pub(super) fn read_level(members: &Members<'_>, name: &str, strict: bool) -> Option<Level> {
    let level: Level = serde_json::from_str(members.get(name)?.get()).unwrap_or(Level::Unreadable);
    Some(level.held_to(strict))
}

/// A member of a content that has levels. One that cannot be read leaves the others as they are.
pub(super) fn read_levels(
    members: &Members<'_>,
    name: &'static str,
    strict: bool,
) -> Result<Levels, Unreadable> {
    let Some(value) = members.get(name) else { return Ok(Levels::new()) };
    let mut levels: Levels = serde_json::from_str(value.get()).map_err(|_| Unreadable(name))?;
    if strict {
        levels.values_mut().for_each(|level| *level = level.held_to(strict));
    }
    Ok(levels)
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LevelVisitor)
    }
}

struct LevelVisitor;

impl<'de> Visitor<'de> for LevelVisitor {
    type Value = Level;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a power level")
    }

    fn visit_i64<E>(self, level: i64) -> Result<Level, E> {
        Ok(Level::Integer(level))
    }

    fn visit_u64<E>(self, level: u64) -> Result<Level, E> {
        Ok(Level::Integer(i64::try_from(level).unwrap_or(i64::MAX)))
    }

    #[expect(clippy::cast_possible_truncation, reason = "a fraction is cut off, and saturates")]
    fn visit_f64<E>(self, level: f64) -> Result<Level, E> {
        Ok(Level::Written(level as i64))
    }

    /// White space, a sign and leading zeros are allowed around an integer (room version 1, "events accept values as strings").
    fn visit_str<E>(self, level: &str) -> Result<Level, E> {
        let level = level.trim().parse::<i64>();
        Ok(level.map_or(Level::Unreadable, Level::Written))
    }

    fn visit_unit<E>(self) -> Result<Level, E> {
        Ok(Level::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Level, E> {
        Ok(Level::Unreadable)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Level, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Level::Unreadable)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Level, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Level::Unreadable)
    }
}
