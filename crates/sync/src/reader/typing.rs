//! The users who type in a room.

use myelin_events::canonical::write_string;
use ruma::{OwnedUserId, RoomId};

use super::{Reader, events::write_room_id};

/// Write an `m.typing` event without those whom the user ignores; with the room where that is not known otherwise.
pub(crate) fn write_typing(
    reader: &Reader<'_>,
    users: &[OwnedUserId],
    room_id: Option<&RoomId>,
    out: &mut String,
) {
    out.push_str("{\"content\":{\"user_ids\":[");
    let heard = users.iter().filter(|user_id| !reader.personal.ignored.contains(*user_id));
    for (at, user_id) in heard.enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_string(out, user_id.as_str());
    }
    out.push_str("]}");
    write_room_id(room_id, out);
    out.push_str(",\"type\":\"m.typing\"}");
}
