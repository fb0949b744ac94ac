//! Keys as clients send them.

use myelin_storage::e2ee::BackedUpKey;
use ruma::RoomId;
use serde_json::{Map, Value, json};

/// The length of a session's ID, in bytes. Megolm's have 43.
const SESSION_ID_LENGTH_BYTES_MAX: usize = 255;

/// The size of an encrypted key, as JSON. Megolm's have some 1,500 bytes.
const SESSION_DATA_SIZE_BYTES_MAX: usize = 65_536;

/// Keys that a client wants to keep.
#[derive(Debug)]
pub struct Keys(pub(super) Vec<BackedUpKey>);

/// The reason why keys are refused. None of the request is kept then: its answer has no place to say which were.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0}")]
    Wrong(&'static str),
    #[error("{0} is too long")]
    TooLong(&'static str),
}

impl Keys {
    /// The keys in the body of a request for all rooms: `{"rooms": {room: {"sessions": {session: key}}}}`.
    pub fn of_rooms(body: Map<String, Value>) -> Result<Self, InvalidKey> {
        let mut keys = vec![];
        for (room_id, room) in object(body, "rooms")? {
            let Value::Object(room) = room else {
                return Err(InvalidKey::Wrong("a room must be an object"));
            };
            add_room(&mut keys, &room_id, room)?;
        }
        Ok(Self(keys))
    }

    /// The keys in the body of a request for one room: `{"sessions": {session: key}}`.
    pub fn of_room(room_id: &str, body: Map<String, Value>) -> Result<Self, InvalidKey> {
        let mut keys = vec![];
        add_room(&mut keys, room_id, body)?;
        Ok(Self(keys))
    }

    /// The key in the body of a request for one session.
    pub fn of_session(
        room_id: &str,
        session_id: &str,
        body: Map<String, Value>,
    ) -> Result<Self, InvalidKey> {
        let mut keys = vec![];
        add_session(&mut keys, room_id, session_id, body)?;
        Ok(Self(keys))
    }
}

fn add_room(
    keys: &mut Vec<BackedUpKey>,
    room_id: &str,
    room: Map<String, Value>,
) -> Result<(), InvalidKey> {
    for (session_id, key) in object(room, "sessions")? {
        let Value::Object(key) = key else {
            return Err(InvalidKey::Wrong("a session must be an object"));
        };
        add_session(keys, room_id, &session_id, key)?;
    }
    Ok(())
}

fn add_session(
    keys: &mut Vec<BackedUpKey>,
    room_id: &str,
    session_id: &str,
    mut key: Map<String, Value>,
) -> Result<(), InvalidKey> {
    if RoomId::parse(room_id).is_err() {
        return Err(InvalidKey::Wrong("not a room ID"));
    }
    if session_id.len() > SESSION_ID_LENGTH_BYTES_MAX {
        return Err(InvalidKey::TooLong("a session ID"));
    }
    let session_data = key.remove("session_data").ok_or(InvalidKey::Missing("session_data"))?;
    let session_data = session_data.to_string();
    if session_data.len() > SESSION_DATA_SIZE_BYTES_MAX {
        return Err(InvalidKey::TooLong("session_data"));
    }
    let is_verified = key.get("is_verified").ok_or(InvalidKey::Missing("is_verified"))?;
    let is_verified =
        is_verified.as_bool().ok_or(InvalidKey::Wrong("is_verified must be a boolean"))?;
    keys.push(BackedUpKey {
        room_id: room_id.to_owned(),
        session_id: session_id.to_owned(),
        first_message_index: count(&key, "first_message_index")?,
        forwarded_count: count(&key, "forwarded_count")?,
        is_verified,
        session_data,
    });
    Ok(())
}

fn object(
    mut body: Map<String, Value>,
    name: &'static str,
) -> Result<Map<String, Value>, InvalidKey> {
    match body.remove(name) {
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(InvalidKey::Wrong("rooms and sessions must be objects")),
        None => Err(InvalidKey::Missing(name)),
    }
}

fn count(key: &Map<String, Value>, name: &'static str) -> Result<i64, InvalidKey> {
    let count = key.get(name).ok_or(InvalidKey::Missing(name))?.as_i64();
    count.filter(|count| *count >= 0).ok_or(InvalidKey::Wrong("counts must be integers from 0 on"))
}

/// A key as clients see it, without `session_data`, which is JSON already.
pub(super) fn to_json(key: &BackedUpKey) -> String {
    let fields = json!({
        "first_message_index": key.first_message_index,
        "forwarded_count": key.forwarded_count,
        "is_verified": key.is_verified,
    });
    let mut text = fields.to_string();
    text.pop();
    text.push_str(",\"session_data\":");
    text.push_str(&key.session_data);
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(change: impl FnOnce(&mut Map<String, Value>)) -> Map<String, Value> {
        let key = json!({"first_message_index": 1, "forwarded_count": 0, "is_verified": true, "session_data": {"a": "b"}});
        let Value::Object(mut key) = key else { unreachable!() };
        change(&mut key);
        key
    }

    #[test]
    fn what_is_wrong_with_a_key_is_told() {
        let wrong = |name: &str, value: Value| key(|key| drop(key.insert(name.to_owned(), value)));
        let missing = |name: &str| key(|key| drop(key.remove(name)));
        for (key, error) in [
            (missing("session_data"), "session_data is missing"),
            (missing("is_verified"), "is_verified is missing"),
            (missing("forwarded_count"), "forwarded_count is missing"),
            (wrong("is_verified", json!("yes")), "is_verified must be a boolean"),
            (wrong("first_message_index", json!(-1)), "counts must be integers from 0 on"),
            (wrong("first_message_index", json!(1.5)), "counts must be integers from 0 on"),
            (wrong("session_data", json!("x".repeat(65_536))), "session_data is too long"),
        ] {
            assert_eq!(Keys::of_session("!r:x", "s", key).unwrap_err().to_string(), error);
        }
        let bad_room = Keys::of_session("r", "s", key(|_| {})).unwrap_err();
        assert_eq!(bad_room, InvalidKey::Wrong("not a room ID"));
        let long = Keys::of_session("!r:x", &"s".repeat(256), key(|_| {})).unwrap_err();
        assert_eq!(long, InvalidKey::TooLong("a session ID"));
    }

    #[test]
    fn a_key_is_shown_as_it_came() {
        let sent = key(|_| {});
        let Keys(keys) = Keys::of_session("!r:x", "s", sent.clone()).unwrap();
        let shown: Value = serde_json::from_str(&to_json(&keys[0])).unwrap();
        assert_eq!(shown, Value::Object(sent));
    }
}
