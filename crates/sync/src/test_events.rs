//! Events for the tests of this crate.

use std::sync::OnceLock;

use myelin_model::{Event, EventFlags, EventNid, Membership, RoomNid, StreamPos};
use ruma::{owned_room_id, owned_user_id};

/// A message of Alice's, or the member event of a user if `member` says whose and what.
pub(crate) fn event(nid: i64, room: i64, pos: i64, member: Option<(&str, Membership)>) -> Event {
    Event {
        nid: EventNid(nid),
        room_nid: RoomNid(room),
        room_id: owned_room_id!("!r:h"),
        pos: Some(StreamPos(pos)),
        event_id: format!("$e{pos}").try_into().unwrap(),
        event_type: if member.is_some() { "m.room.member" } else { "m.room.message" }.into(),
        state_key: member.map(|(user_id, _)| user_id.into()),
        state_key_nid: None,
        sender: owned_user_id!("@alice:h"),
        origin_server_ts: 0,
        depth: pos,
        membership: member.map(|(_, membership)| membership),
        state_before: None,
        state_after: None,
        replaces: None,
        redacts: None,
        redacted_by: None,
        flags: EventFlags::LINEAR,
        notify_ordinal: 0,
        transaction: None,
        json: "{}".into(),
        client_json: OnceLock::new(),
    }
}
