//! The users who type, by room.

use std::collections::{BTreeMap, HashMap};

use myelin_model::RoomNid;
use ruma::{OwnedUserId, UserId};

/// The rooms in which somebody types or typed not long ago.
#[derive(Debug, Default)]
pub(super) struct TypingRooms {
    rooms: HashMap<RoomNid, TypingRoom>,
}

#[derive(Debug, Default)]
struct TypingRoom {
    /// The stamp of the last change of the set of users.
    stamp: u64,
    /// The users who type, with the time at which they stop unless it is renewed, in milliseconds since the epoch.
    users: BTreeMap<OwnedUserId, u64>,
}

impl TypingRooms {
    /// A user types until `expires_ms`. Whether the user did not before.
    pub(super) fn add(&mut self, room_nid: RoomNid, user_id: OwnedUserId, expires_ms: u64) -> bool {
        self.rooms.entry(room_nid).or_default().users.insert(user_id, expires_ms).is_none()
    }

    /// A user types no more. Whether the user did before.
    pub(super) fn delete(&mut self, room_nid: RoomNid, user_id: &UserId) -> bool {
        self.rooms.get_mut(&room_nid).is_some_and(|room| room.users.remove(user_id).is_some())
    }

    /// The set of a room's users has changed. Returns the stamp of the change before.
    pub(super) fn set_stamp(&mut self, room_nid: RoomNid, stamp: u64) -> u64 {
        let room = self.rooms.entry(room_nid).or_default();
        std::mem::replace(&mut room.stamp, stamp)
    }

    /// The stamp of the last change of the set, and the users in it.
    pub(super) fn list(&self, room_nid: RoomNid, now_ms: u64) -> (u64, Vec<OwnedUserId>) {
        let Some(room) = self.rooms.get(&room_nid) else { return (0, Vec::new()) };
        let users = room.users.iter().filter(|(_, expires_ms)| **expires_ms > now_ms);
        (room.stamp, users.map(|(user_id, _)| user_id.clone()).collect())
    }

    /// The time at which somebody stops next unless it is renewed, in milliseconds since the epoch.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.rooms.values().flat_map(|room| room.users.values().copied()).min()
    }

    /// Let go of those whose time is over. The rooms in which there were any.
    pub(super) fn expire(&mut self, now_ms: u64) -> Vec<RoomNid> {
        let mut changed = Vec::new();
        for (room_nid, room) in &mut self.rooms {
            let before = room.users.len();
            room.users.retain(|_, expires_ms| *expires_ms > now_ms);
            if room.users.len() != before {
                changed.push(*room_nid);
            }
        }
        changed
    }

    /// Forget rooms in which nobody has typed since `before`. Their stamps.
    pub(super) fn forget(&mut self, before: u64) -> Vec<u64> {
        let mut forgotten = Vec::new();
        self.rooms.retain(|_, room| {
            let keep = !room.users.is_empty() || room.stamp >= before;
            if !keep {
                forgotten.push(room.stamp);
            }
            keep
        });
        forgotten
    }
}
