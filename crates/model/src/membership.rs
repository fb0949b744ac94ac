//! Membership as the database and the rules see it.

/// A user's relation to a room (client-server API, `m.room.member`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum Membership {
    /// The user is not in the room: it left or was kicked, or an invite or knock ended.
    Leave = 0,
    /// The user is invited.
    Invite = 1,
    /// The user is in the room.
    Join = 2,
    /// The user has asked to be let in.
    Knock = 3,
    /// The user is banned.
    Ban = 4,
}

impl Membership {
    /// Read the `membership` of a member event. `None` for values that the spec does not know.
    pub fn parse(membership: &str) -> Option<Self> {
        Some(match membership {
            "leave" => Self::Leave,
            "invite" => Self::Invite,
            "join" => Self::Join,
            "knock" => Self::Knock,
            "ban" => Self::Ban,
            _ => return None,
        })
    }

    /// The `membership` of a member event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leave => "leave",
            Self::Invite => "invite",
            Self::Join => "join",
            Self::Knock => "knock",
            Self::Ban => "ban",
        }
    }

    /// The number that stands in the database.
    pub fn to_i16(self) -> i16 {
        self as i16
    }

    /// Read the number that stands in the database.
    pub fn from_i16(number: i16) -> Option<Self> {
        Some(match number {
            0 => Self::Leave,
            1 => Self::Invite,
            2 => Self::Join,
            3 => Self::Knock,
            4 => Self::Ban,
            _ => return None,
        })
    }
}
