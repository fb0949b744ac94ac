//! Taking guests out of a room that lets no guests in any more (client-server API, "Guest access").

use myelin_model::Actor;
use ruma::RoomId;

use super::{MembershipError, leave_all::leave, update::guests_may_join};
use crate::{Rooms, unfinished::Steps};

/// Have all guests of this server leave the room, and reject their invites, unless the room lets guests in. Each leaves by
/// itself, so that nobody's power counts.
#[tracing::instrument(name = "rooms.membership.remove_guests", skip_all, fields(room.id = %room_id))]
pub(crate) async fn remove_guests(rooms: &Rooms, room_id: &RoomId) -> Result<(), MembershipError> {
    let Some(mut draft) = rooms.engine().find_draft(room_id).await? else { return Ok(()) };
    let (room_nid, is_open) = (draft.room_nid(), guests_may_join(&mut draft).await?);
    drop(draft);
    if is_open {
        return Ok(());
    }
    let mut steps = Steps::default();
    for user_id in rooms.db().memberships().list_guests(room_nid).await? {
        let guest = Actor { is_guest: true, ..Actor::server(user_id) };
        if !steps.note(leave(rooms, &guest, room_id).await.map(drop)) {
            break;
        }
    }
    steps.end()
}
