//! A place in a room's history, as `/messages` and its like name it: between the event at a position and the next.

use std::fmt;

use myelin_model::StreamPos;
use myelin_storage::StorageError;

use crate::Rooms;

/// A place in a room's history: after the event at this position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub StreamPos);

/// The reason why a token names no place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// It is none of ours.
    #[error("Invalid pagination token")]
    Invalid,
    #[error("could not read the log")]
    Storage(#[from] StorageError),
}

/// The place that a client's token names. Some clients send an empty token for none. A place of the future, as after a restore, is
/// taken for the end of what there is: nothing that is new is passed over, and no answer names it again.
pub async fn find_place(rooms: &Rooms, token: Option<&str>) -> Result<Option<Place>, PlaceError> {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
    let place = Place::parse(token).ok_or(PlaceError::Invalid)?;
    Ok(Some(Place(rooms.db().reach(place.0).await?)))
}

impl Place {
    /// The place before a room's first event. Backfilled events have negative positions.
    pub const START: Self = Self(StreamPos(i64::MIN + 1));

    /// The place before the event at a position.
    pub fn before(pos: StreamPos) -> Self {
        Self(StreamPos(pos.0.saturating_sub(1)))
    }

    /// Whether a client's token names this place.
    pub fn is_named_by(self, token: &str) -> bool {
        Self::parse(token) == Some(self)
    }

    /// Read a token: `t<pos>` of our own, a `/sync` token `s<pos>_...`, or one of Synapse's (`s<pos>_...`, `t<depth>-<pos>_...`,
    /// `m<pos>~...`).
    fn parse(token: &str) -> Option<Self> {
        let first = token.split(['_', '~']).next().unwrap_or_default();
        let number = if let Some(number) = first.strip_prefix('t') {
            match number.split_once('-') {
                Some((depth, pos)) if !depth.is_empty() => pos,
                _ => number,
            }
        } else {
            first.strip_prefix(['s', 'm'])?
        };
        number.parse().map(|pos| Self(StreamPos(pos))).ok()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read() {
        for (token, pos) in [
            ("t17", 17),
            ("t-5", -5),
            ("s20_1700000000000", 20),
            ("s20", 20),
            ("t3-85_1_2", 85),
            ("m56~2.58~3.59_1", 56),
        ] {
            assert_eq!(Place::parse(token), Some(Place(StreamPos(pos))), "{token}");
        }
        for token in ["", "t", "s_1", "17", "x17", "tabc", "s99999999999999999999"] {
            assert_eq!(Place::parse(token), None, "{token}");
        }
        for place in [Place::START, Place(StreamPos(3))] {
            assert_eq!(Place::parse(&place.to_string()), Some(place));
        }
    }
}
