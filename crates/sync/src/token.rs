//! The token of `/sync`: a position in the log and a stamp of ephemeral changes.

use std::fmt;

use myelin_model::StreamPos;

/// A token up to which a client has heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct SyncToken {
    /// The position in the log.
    pub pos: StreamPos,
    /// The stamp of the last ephemeral change (typing, presence).
    pub stamp: u64,
    /// The position up to which the device has got its to-device messages, where it has not got all of them.
    pub to_device: Option<StreamPos>,
}

/// A text that is no token.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a sync token")]
pub struct InvalidToken;

impl SyncToken {
    /// Read a token of ours, or one of Synapse's: of that only its first field counts, the position of room events, and
    /// everything else there was by then the client hears of again.
    pub fn parse(token: &str) -> Result<Self, InvalidToken> {
        let mut fields = token.split('_');
        let first = fields.next().ok_or(InvalidToken)?;
        let pos = Self::parse_room_field(first)?;
        let mut others = Vec::new();
        let mut to_device = None;
        for field in fields {
            if let Some(pos) = field.strip_prefix('d') {
                to_device = Some(StreamPos(pos.parse().map_err(|_| InvalidToken)?));
                continue;
            }
            // Fields of Synapse's with several writers look like `m56~2.58`.
            let valid = !field.is_empty()
                && field.bytes().all(|byte| byte.is_ascii_digit() || b"m~.-".contains(&byte));
            if !valid {
                return Err(InvalidToken);
            }
            others.push(field);
        }
        let stamp = match others.as_slice() {
            [stamp] => stamp.parse().map_err(|_| InvalidToken)?,
            _ => 0,
        };
        Ok(Self { pos: StreamPos(pos), stamp, to_device })
    }

    /// `s85`, `t3-85`, `t85`, or `m56~2.58~3.59` with the least position first.
    fn parse_room_field(field: &str) -> Result<i64, InvalidToken> {
        let number = if let Some(rest) = field.strip_prefix('s') {
            rest
        } else if let Some(rest) = field.strip_prefix('t') {
            rest.split_once('-').map_or(rest, |(_, stream)| stream)
        } else if let Some(rest) = field.strip_prefix('m') {
            rest.split_once('~').map_or(rest, |(least, _)| least)
        } else {
            return Err(InvalidToken);
        };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidToken);
        }
        number.parse().map_err(|_| InvalidToken)
    }
}

impl fmt::Display for SyncToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}_{}", self.pos, self.stamp)?;
        if let Some(pos) = self.to_device {
            write!(f, "_d{pos}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_tokens_and_synapses_are_read() {
        for to_device in [None, Some(StreamPos(9))] {
            let token = SyncToken { pos: StreamPos(17), stamp: 1_700_000_000_000, to_device };
            assert_eq!(SyncToken::parse(&token.to_string()), Ok(token));
        }
        for (text, pos) in [
            ("s85_3_0_1_2_1_1_4_0_1_1_1_1_9", 85),
            ("m56~2.58~3.59_1_0_1_1", 56),
            ("t3-85_1_2", 85),
            ("t12", 12),
            ("s9", 9),
        ] {
            let expect = SyncToken { pos: StreamPos(pos), stamp: 0, to_device: None };
            assert_eq!(SyncToken::parse(text), Ok(expect), "{text}");
        }
        for text in
            ["", "s", "foo", "s-1", "sx_1", "s1_x", "s99999999999999999999", "1", "s1__2", "s1_2_d"]
        {
            assert_eq!(SyncToken::parse(text), Err(InvalidToken), "{text}");
        }
    }
}
