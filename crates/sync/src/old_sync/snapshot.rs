//! The parts that both initial syncs have in common: rooms, receipts, presence, account data.

use myelin_events::filter::EventFilter;
use myelin_model::Membership;
use myelin_storage::PresenceState;
use ruma::OwnedUserId;

use super::List;
use crate::{
    SyncToken,
    reader::{
        EventForm, Loaded, PresenceNames, Reader, Receipts, RoomRead, Wants,
        account_data::{AccountData, write_event},
        cut, write_presence,
    },
};

/// The wish of initial syncs for rooms: everything, but nothing counted and nothing aggregated.
pub(super) fn wants(timeline: &EventFilter) -> Wants<'_> {
    Wants { timeline, few_members: false, counts: false, relations: false, state_first: false }
}

/// The loaded rooms that an initial sync tells of, and the form of their events.
pub(super) struct Snapshot<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) wants: &'a Wants<'a>,
    pub(super) loaded: &'a Loaded,
    pub(super) form: EventForm<'a>,
    /// The token from which the client goes on.
    pub(super) token: SyncToken,
}

impl Snapshot<'_> {
    /// Write a room's newest events and its state, both up to where the user sees it. `None` if nothing is known of the room.
    pub(super) fn write_history(&self, room: &RoomRead, out: &mut String) -> Option<()> {
        let (_, version) = self.loaded.room(room.room_nid)?;
        let window = self.loaded.windows.get(&room.room_nid)?;
        let timeline = cut(self.reader, self.wants, room, window, self.loaded);
        let writer = self.loaded.writer(self.reader, self.form, room, version);
        out.push_str(",\"messages\":{");
        let mut chunk = List::begin("chunk", out);
        for (event, membership) in &timeline.events {
            // Who was never in the room counts as out of it.
            writer.write(event, Some(membership.unwrap_or(Membership::Leave)), chunk.item());
        }
        chunk.end();
        let end = SyncToken { pos: room.end, ..self.token };
        out.push_str(&format!(",\"start\":\"t{}\",\"end\":\"{end}\"}},", timeline.before));
        let mut state = List::begin("state", out);
        let nids = self.loaded.ends.get(&room.room_nid).into_iter().flat_map(|end| end.values());
        for event in nids.filter_map(|nid| self.loaded.events.get(nid)) {
            writer.write(event, None, state.item());
        }
        state.end();
        Some(())
    }

    /// Write the receipts of rooms.
    pub(super) fn write_receipts<'r>(
        &self,
        rooms: impl IntoIterator<Item = &'r RoomRead>,
        out: &mut String,
    ) {
        let mut list = List::begin("receipts", out);
        for room in rooms {
            let mut receipts = Receipts::default();
            for row in self.loaded.receipts.get(&room.room_nid).into_iter().flatten() {
                receipts.add_row(row);
            }
            let Some((room_id, _)) = self.loaded.room(room.room_nid) else { continue };
            if !receipts.is_empty() {
                receipts.write(Some(room_id), list.item());
            }
        }
        list.end();
    }

    /// Write the presence of those of the users who are there.
    pub(super) fn write_presence(
        &self,
        users: impl IntoIterator<Item = OwnedUserId>,
        out: &mut String,
    ) {
        let hub = self.reader.sync.db().ephemeral();
        let mut list = List::begin("presence", out);
        for user_id in users {
            let presence = hub.presence(&user_id);
            if let Some(presence) = presence.filter(|one| one.state != PresenceState::Offline) {
                write_presence(&user_id, &presence, PresenceNames::InContent, list.item());
            }
        }
        list.end();
    }
}

/// Write account data.
pub(super) fn write_account_data(entries: Option<&AccountData>, out: &mut String) {
    let mut list = List::begin("account_data", out);
    for (data_type, content) in entries.into_iter().flatten() {
        write_event(data_type, content, None, list.item());
    }
    list.end();
}
