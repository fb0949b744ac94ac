//! The ground of every protocol of the read side: one user's look at the log, up to a position.
//!
//! [`changes`] tells in which rooms something happened after an earlier position, and how the user's own memberships
//! went; [`load()`] gets what is not in memory for all rooms of an answer together, each with its own timeline; the
//! other modules make of it what clients know: timelines, summaries, receipts, counts, events.
//!
//! The reader knows no protocol: neither how a client says what it wants, nor the shape of an answer, nor what was sent
//! before. `cargo xtask arrows` holds that.

pub(crate) mod account_data;
pub(crate) mod changes;
mod ends;
mod events;
mod left;
mod load;
mod own;
mod presence;
mod receipts;
mod relations;
mod room;
mod sharers;
mod sights;
mod stripped;
mod summary;
mod timeline;
mod to_device;
mod typing;
mod windows;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use myelin_engine::{get_sight, look_up};
use myelin_events::{RoomVersion, redact::prune, sight::Sight};
use myelin_model::{Event, Membership, RoomNid, StreamPos};
use myelin_storage::{MembershipRow, RoomHead, StorageError, accounts::StoredAccountData};
use ruma::{DeviceId, OwnedUserId, RoomId, UserId};

pub(crate) use self::{
    ends::undo,
    events::{EventForm, EventWriter},
    left::{departed_rooms, left_rooms},
    load::{Loaded, ReadReceipts, Wants, load},
    own::OwnHistory,
    presence::{PresenceNames, members_among, new_acquaintances, present_members, write_presence},
    receipts::Receipts,
    room::RoomRead,
    sharers::sharers,
    stripped::write_stripped_state,
    summary::{Summary, summary},
    timeline::{Timeline, Window, cut},
    to_device::{ToDeviceMessages, take as take_to_device},
    typing::write_typing,
};
use crate::{
    Sync,
    context::KnownKeys,
    view::{Personal, is_join},
};

/// A user at a position of the log: what everything that is told follows from.
pub(crate) struct Reader<'a> {
    pub(crate) sync: &'a Sync,
    pub(crate) user_id: &'a UserId,
    /// The device that reads: it sees the transaction IDs of what it sent.
    pub(crate) device_id: Option<&'a DeviceId>,
    /// The position up to which changes are told.
    pub(crate) upto: StreamPos,
    pub(crate) now_ms: u64,
    pub(crate) personal: Arc<Personal>,
    pub(crate) keys: KnownKeys,
    /// The users who were erased: who was not in the room sees nothing of what they said.
    erased: Arc<HashSet<OwnedUserId>>,
    /// All account data, if it was read.
    account_data: Option<Vec<StoredAccountData>>,
}

impl<'a> Reader<'a> {
    /// A user at a position that this node has applied. It takes at most one query where the user is known here.
    pub(crate) async fn at(
        sync: &'a Sync,
        user_id: &'a UserId,
        device_id: Option<&'a DeviceId>,
        upto: StreamPos,
    ) -> Result<Self, StorageError> {
        let (personal, account_data) = sync.personal(user_id).await?;
        let (keys, now_ms) = (*sync.keys().await?, sync.now_ms());
        let erased = sync.db().users().list_erased().await?;
        Ok(Self { sync, user_id, device_id, upto, now_ms, personal, keys, erased, account_data })
    }

    /// Whether an event is shown without its content: its sender was erased, and had not sent it to the user, who was not in
    /// the room then.
    pub(crate) fn is_pruned(&self, event: &Event, was_joined: bool) -> bool {
        !was_joined && self.erased.contains(&event.sender)
    }

    /// An event from before what is told now, as the user sees it. Whether the user was in the room then is known for sure
    /// only since the user's last member event: who was erased is not shown in doubt.
    fn older(&self, event: &Arc<Event>, version: RoomVersion) -> Arc<Event> {
        let row = self.sync.view().find_membership(self.user_id, event.room_nid);
        let row = row.ok().flatten().filter(is_join);
        let was_joined = row.is_some_and(|row| event.pos.is_some_and(|pos| pos >= row.pos));
        if self.is_pruned(event, was_joined) {
            Arc::new(prune(event, version))
        } else {
            Arc::clone(event)
        }
    }

    /// The user's views of those of these rooms that have one, for these events, anywhere in history. It takes at most one query for
    /// each room, mostly none, and three if the events are of a time when their rooms had branches.
    pub(crate) async fn sights(
        &self,
        heads: &[Arc<RoomHead>],
        events: &[Arc<Event>],
    ) -> Result<HashMap<RoomNid, Sight>, StorageError> {
        let (db, ignored) = (self.sync.db(), Arc::new(self.personal.ignored.clone()));
        let mut sights = HashMap::new();
        for head in heads {
            let sight = get_sight(db, head, self.user_id, Arc::clone(&ignored)).await?;
            sights.insert(head.room_nid, sight);
        }
        look_up(db, self.user_id, &mut sights, events).await?;
        Ok(sights)
    }

    /// The user's membership in a room, if the user is joined to it. It takes at most one query, mostly none.
    pub(crate) async fn joined_row(
        &self,
        room_nid: RoomNid,
    ) -> Result<Option<MembershipRow>, StorageError> {
        Ok(self.sync.find_membership(self.user_id, room_nid).await?.filter(is_join))
    }

    /// Whether the user hears of a member event of one's own: an invite from someone ignored never happened, nor does any where
    /// the user takes none.
    pub(crate) fn takes_invite(&self, own: &Event) -> bool {
        own.membership != Some(Membership::Invite)
            || !self.personal.blocks_invites && !self.personal.ignored.contains(&own.sender)
    }

    /// Whether clients hear of a room at all, by the server's settings.
    pub(crate) fn tells_of(&self, room_id: &RoomId) -> bool {
        !self.sync.settings().excluded_rooms.contains(room_id)
    }
}
