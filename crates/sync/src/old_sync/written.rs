//! Writing what happened, event by event.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_engine::{Related, look_up};
use myelin_events::sight::Sight;
use myelin_model::{Event, EventNid, Membership, RoomNid, StreamPos};
use myelin_storage::{Change, LogEntry, RoomHead, StorageError};
use ruma::OwnedUserId;

use super::chunk::{RoomPart, Seen};
use crate::reader::{
    EventForm, EventWriter, PresenceNames, Reader, Receipts, account_data::write_event,
    members_among, new_acquaintances, sharers, write_presence, write_typing,
};

/// Events, separated by commas.
#[derive(Default)]
pub(super) struct Written {
    pub(super) json: String,
}

impl Written {
    fn item(&mut self) -> &mut String {
        if !self.json.is_empty() {
            self.json.push(',');
        }
        &mut self.json
    }

    /// Write room events. It takes at most one query, for what they refer to, and three if that is of a time when their rooms had
    /// branches. `sights` are the user's views of the rooms.
    pub(super) async fn write_events(
        &mut self,
        reader: &Reader<'_>,
        form: EventForm<'_>,
        seen: &[Seen],
        mut sights: HashMap<RoomNid, Sight>,
    ) -> Result<(), StorageError> {
        let nids: Vec<EventNid> = seen
            .iter()
            .flat_map(|seen| seen.event.replaces.into_iter().chain(seen.event.redacted_by))
            .collect();
        let events = reader.sync.db().events().find_many(&nids).await?;
        let referred: Vec<Arc<Event>> = events.values().cloned().collect();
        look_up(reader.sync.db(), reader.user_id, &mut sights, &referred).await?;
        let related = Related::default();
        for Seen { event, version, membership } in seen {
            let sight = sights.get(&event.room_nid);
            let is_joined = |sight: &Sight| sight.membership() == Some(Membership::Join);
            let out_of_it = sight.filter(|sight| !is_joined(sight));
            let writer = EventWriter {
                reader,
                form,
                version: *version,
                events: &events,
                related: &related,
                seen: None,
                sight,
                left_at: out_of_it.and_then(Sight::joined_upto),
            };
            writer.write(event, Some(*membership), self.item());
        }
        Ok(())
    }

    pub(super) fn write_receipts(
        &mut self,
        reader: &Reader<'_>,
        rooms: &[RoomPart],
        heads: &HashMap<RoomNid, Arc<RoomHead>>,
        end: StreamPos,
    ) {
        for room in rooms.iter().filter(|room| room.is_open) {
            let Some(head) = heads.get(&room.room_nid) else { continue };
            let mut receipts = Receipts::default();
            for entry in room.entries.iter().filter(|entry| entry.pos <= end) {
                receipts.add_entry(entry, reader.user_id);
            }
            if !receipts.is_empty() && reader.tells_of(&head.room_id) {
                receipts.write(Some(&head.room_id), self.item());
            }
        }
    }

    pub(super) fn write_typing(
        &mut self,
        reader: &Reader<'_>,
        rooms: &[RoomNid],
        heads: &HashMap<RoomNid, Arc<RoomHead>>,
    ) {
        for head in rooms.iter().filter_map(|room_nid| heads.get(room_nid)) {
            if reader.tells_of(&head.room_id) {
                let (_, users) = reader.sync.db().ephemeral().typing(head.room_nid);
                write_typing(reader, &users, Some(&head.room_id), self.item());
            }
        }
    }

    /// Write changes of account data; of rooms those that the user has to do with.
    pub(super) fn write_account_data(
        &mut self,
        own: &[Arc<LogEntry>],
        heads: &HashMap<RoomNid, Arc<RoomHead>>,
        end: StreamPos,
    ) {
        for entry in own.iter().filter(|entry| entry.pos <= end) {
            let Change::AccountData { room_nid, data_type, content, .. } = &entry.change else {
                continue;
            };
            let head = room_nid.map(|room_nid| heads.get(&room_nid));
            if let None | Some(Some(_)) = head {
                let room_id = head.flatten().map(|head| &*head.room_id);
                write_event(data_type, content.get(), room_id, self.item());
            }
        }
    }

    /// Write the presence that changed, and that of those whom the user now shares a room with. It takes at most two
    /// queries.
    pub(super) async fn write_presence(
        &mut self,
        reader: &Reader<'_>,
        changed: &[OwnedUserId],
        rooms: &[RoomPart],
        seen: &[Seen],
    ) -> Result<(), StorageError> {
        if !reader.sync.db().ephemeral().is_presence_enabled() {
            return Ok(());
        }
        let entered: Vec<RoomNid> =
            rooms.iter().filter(|room| room.entered).map(|room| room.room_nid).collect();
        // Who joined a room that the user has left is no acquaintance.
        let open: HashSet<RoomNid> =
            rooms.iter().filter(|room| room.is_open).map(|room| room.room_nid).collect();
        let events = seen.iter().map(|seen| &seen.event);
        let events = events.filter(|event| open.contains(&event.room_nid));
        let mut users = new_acquaintances(reader, &entered, events).await?;
        users.extend(sharers(reader, None, changed).await?);
        self.write_presence_of(reader, users);
        Ok(())
    }

    /// Write the presence that changed of those who are in the rooms, as far as these are open. It takes at most one query.
    pub(super) async fn write_presence_in(
        &mut self,
        reader: &Reader<'_>,
        changed: Vec<OwnedUserId>,
        rooms: &[RoomPart],
    ) -> Result<(), StorageError> {
        let open: Vec<RoomNid> =
            rooms.iter().filter(|room| room.is_open).map(|room| room.room_nid).collect();
        let users = members_among(reader, changed, &open).await?;
        self.write_presence_of(reader, users);
        Ok(())
    }

    fn write_presence_of(
        &mut self,
        reader: &Reader<'_>,
        users: impl IntoIterator<Item = OwnedUserId>,
    ) {
        let hub = reader.sync.db().ephemeral();
        for user_id in users {
            if let Some(presence) = hub.presence(&user_id) {
                write_presence(&user_id, &presence, PresenceNames::InContent, self.item());
            }
        }
    }
}
