//! Room versions: which rules hold in a room.

use std::{fmt, str::FromStr};

use ruma::{
    RoomVersionId,
    room_version_rules::{
        AuthorizationRules, EventIdFormatVersion, RedactionRules, RoomIdFormatVersion,
        RoomVersionRules, StateResolutionV2Rules, StateResolutionVersion,
    },
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A room version that Myelin knows whole: its format, auth rules, redaction and state resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RoomVersion {
    V1 = 1,
    V2 = 2,
    V3 = 3,
    V4 = 4,
    V5 = 5,
    V6 = 6,
    V7 = 7,
    V8 = 8,
    V9 = 9,
    V10 = 10,
    V11 = 11,
    V12 = 12,
}

/// The room version is not one that Myelin knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("room version {0:?} is not supported")]
pub struct UnknownRoomVersion(pub String);

impl RoomVersion {
    /// The version of rooms that are made without asking for one.
    pub const DEFAULT: Self = Self::V12;

    /// All versions, oldest first: the list for `m.room_versions` in the capabilities. All are stable.
    pub const ALL: [Self; 12] = [
        Self::V1,
        Self::V2,
        Self::V3,
        Self::V4,
        Self::V5,
        Self::V6,
        Self::V7,
        Self::V8,
        Self::V9,
        Self::V10,
        Self::V11,
        Self::V12,
    ];

    /// The version as `room_version` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "1",
            Self::V2 => "2",
            Self::V3 => "3",
            Self::V4 => "4",
            Self::V5 => "5",
            Self::V6 => "6",
            Self::V7 => "7",
            Self::V8 => "8",
            Self::V9 => "9",
            Self::V10 => "10",
            Self::V11 => "11",
            Self::V12 => "12",
        }
    }

    /// The rules that hold in rooms of this version.
    pub fn rules(self) -> &'static RoomVersionRules {
        match self {
            Self::V1 => &RoomVersionRules::V1,
            Self::V2 => &RoomVersionRules::V2,
            Self::V3 => &RoomVersionRules::V3,
            Self::V4 => &RoomVersionRules::V4,
            Self::V5 => &RoomVersionRules::V5,
            Self::V6 => &RoomVersionRules::V6,
            Self::V7 => &RoomVersionRules::V7,
            Self::V8 => &RoomVersionRules::V8,
            Self::V9 => &RoomVersionRules::V9,
            Self::V10 => &RoomVersionRules::V10,
            Self::V11 => &RoomVersionRules::V11,
            Self::V12 => &RoomVersionRules::V12,
        }
    }

    /// The auth rules.
    pub fn auth_rules(self) -> &'static AuthorizationRules {
        &self.rules().authorization
    }

    /// The redaction rules.
    pub fn redaction_rules(self) -> &'static RedactionRules {
        &self.rules().redaction
    }

    /// Whether event IDs are chosen by the sending server and stand in the event (versions 1 and 2), rather than being hashes of it.
    pub fn has_chosen_event_ids(self) -> bool {
        self.rules().event_id_format == EventIdFormatVersion::V1
    }

    /// Whether event IDs are hashes in the URL-safe alphabet (since version 4).
    pub(crate) fn has_url_safe_event_ids(self) -> bool {
        self.rules().event_id_format == EventIdFormatVersion::V3
    }

    /// Whether the room ID is the hash of the create event (since version 12).
    pub fn has_hashed_room_ids(self) -> bool {
        self.rules().room_id_format == RoomIdFormatVersion::V2
    }

    /// Whether JSON must be canonical by the letter, with integers only (since version 6).
    pub fn is_json_strict(self) -> bool {
        self.auth_rules().strict_canonical_json
    }

    /// Whether `redacts` stands in the content (since version 11) rather than beside it.
    pub fn redacts_in_content(self) -> bool {
        self.redaction_rules().content_field_redacts
    }

    /// The tweaks of state resolution; `None` is the first algorithm (version 1).
    pub fn state_resolution(self) -> Option<&'static StateResolutionV2Rules> {
        match &self.rules().state_res {
            StateResolutionVersion::V2(rules) => Some(rules),
            _ => None,
        }
    }
}

impl Default for RoomVersion {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl FromStr for RoomVersion {
    type Err = UnknownRoomVersion;

    fn from_str(version: &str) -> Result<Self, UnknownRoomVersion> {
        Self::ALL
            .into_iter()
            .find(|known| known.as_str() == version)
            .ok_or_else(|| UnknownRoomVersion(version.to_owned()))
    }
}

impl TryFrom<&RoomVersionId> for RoomVersion {
    type Error = UnknownRoomVersion;

    fn try_from(version: &RoomVersionId) -> Result<Self, UnknownRoomVersion> {
        version.as_str().parse()
    }
}

impl From<RoomVersion> for RoomVersionId {
    fn from(version: RoomVersion) -> Self {
        match version {
            RoomVersion::V1 => Self::V1,
            RoomVersion::V2 => Self::V2,
            RoomVersion::V3 => Self::V3,
            RoomVersion::V4 => Self::V4,
            RoomVersion::V5 => Self::V5,
            RoomVersion::V6 => Self::V6,
            RoomVersion::V7 => Self::V7,
            RoomVersion::V8 => Self::V8,
            RoomVersion::V9 => Self::V9,
            RoomVersion::V10 => Self::V10,
            RoomVersion::V11 => Self::V11,
            RoomVersion::V12 => Self::V12,
        }
    }
}

impl fmt::Display for RoomVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for RoomVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RoomVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_read_as_it_is_written() {
        for version in RoomVersion::ALL {
            assert_eq!(version.to_string().parse(), Ok(version));
        }
        for unknown in ["", "0", "01", "13", "org.matrix.hydra.11"] {
            assert_eq!(unknown.parse::<RoomVersion>(), Err(UnknownRoomVersion(unknown.to_owned())));
        }
    }

    #[test]
    fn formats_change_where_the_spec_says() {
        let since =
            |holds: fn(RoomVersion) -> bool| RoomVersion::ALL.into_iter().find(|v| holds(*v));
        assert_eq!(since(|v| !v.has_chosen_event_ids()), Some(RoomVersion::V3));
        assert_eq!(since(RoomVersion::has_url_safe_event_ids), Some(RoomVersion::V4));
        assert_eq!(since(RoomVersion::is_json_strict), Some(RoomVersion::V6));
        assert_eq!(since(RoomVersion::redacts_in_content), Some(RoomVersion::V11));
        assert_eq!(since(RoomVersion::has_hashed_room_ids), Some(RoomVersion::V12));
        assert_eq!(since(|v| v.state_resolution().is_some()), Some(RoomVersion::V2));
    }
}
