//! The members that a device was told of, for clients that want members only when they are needed.

use std::{collections::HashMap, sync::Arc};

use myelin_model::{EventNid, RoomNid, StateKeyNid};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};

use crate::SyncToken;

/// The number of devices that are remembered.
const DEVICES_MAX: usize = 20_000;

/// The number of members of all rooms that are remembered for one device. Beyond it the device is told again.
const MEMBERS_MAX: usize = 5_000;

/// The member events that devices were told of. What is forgotten is sent again, which does no harm.
pub(crate) struct SentMembers {
    devices: Cache<(OwnedUserId, Option<OwnedDeviceId>), Arc<Mutex<Members>>>,
}

/// The member events that one device was told of.
#[derive(Debug, Default)]
struct Members {
    /// The event by which a member was told, and the token of the answer that told it. Only a device that comes back
    /// with that token, or a later one, has got the answer.
    told: HashMap<(RoomNid, StateKeyNid), (EventNid, SyncToken)>,
    /// No token in `told` is greater.
    last: SyncToken,
}

impl std::fmt::Debug for SentMembers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SentMembers").field("devices", &self.devices.len()).finish_non_exhaustive()
    }
}

impl Default for SentMembers {
    fn default() -> Self {
        Self { devices: Cache::new(DEVICES_MAX) }
    }
}

impl SentMembers {
    /// The members that a device has which comes with `since`. Later answers did not reach it, and are forgotten.
    pub(crate) fn at(
        &self,
        user_id: &UserId,
        device_id: Option<&DeviceId>,
        since: Option<SyncToken>,
    ) -> DeviceMembers {
        let key = (user_id.to_owned(), device_id.map(ToOwned::to_owned));
        let members = self.devices.get(&key).unwrap_or_else(|| {
            let members = Arc::default();
            self.devices.insert(key, Arc::clone(&members));
            members
        });
        members.lock().go_back_to(since.unwrap_or_default());
        DeviceMembers { members }
    }
}

impl Members {
    fn go_back_to(&mut self, since: SyncToken) {
        if self.last > since {
            self.told.retain(|_, (_, token)| *token <= since);
            self.last = since;
        }
    }
}

/// The members that one device has.
pub(crate) struct DeviceMembers {
    members: Arc<Mutex<Members>>,
}

impl DeviceMembers {
    /// Whether the device has this member event.
    pub(crate) fn contains(&self, room_nid: RoomNid, key: StateKeyNid, nid: EventNid) -> bool {
        self.members.lock().told.get(&(room_nid, key)).is_some_and(|(told, _)| *told == nid)
    }

    /// The answer with the token `token` tells the device of these member events.
    pub(crate) fn add(
        &self,
        token: SyncToken,
        room_nid: RoomNid,
        members: impl IntoIterator<Item = (StateKeyNid, EventNid)>,
    ) {
        let mut known = self.members.lock();
        known.last = known.last.max(token);
        for (key, event_nid) in members {
            if known.told.len() >= MEMBERS_MAX {
                known.told.clear();
            }
            known.told.insert((room_nid, key), (event_nid, token));
        }
    }
}

#[cfg(test)]
mod tests {
    use myelin_model::StreamPos;
    use ruma::user_id;

    use super::*;

    fn token(pos: i64) -> SyncToken {
        SyncToken { pos: StreamPos(pos), stamp: 0, to_device: None }
    }

    #[test]
    fn what_did_not_arrive_was_not_told() {
        let sent = SentMembers::default();
        let at = |pos: i64| sent.at(user_id!("@a:h"), None, Some(token(pos)));
        let (room, key, nid) = (RoomNid(1), StateKeyNid(2), EventNid(3));
        let first = at(5);
        assert!(!first.contains(room, key, nid));
        first.add(token(7), room, [(key, nid)]);
        assert!(at(7).contains(room, key, nid), "the client has the answer");
        assert!(!at(7).contains(room, key, EventNid(4)), "another event of the member");
        // The same question again: the answer was lost.
        let again = at(5);
        assert!(!again.contains(room, key, nid));
        again.add(token(9), RoomNid(2), [(key, nid)]);
        let next = at(9);
        assert!(next.contains(RoomNid(2), key, nid));
        assert!(!next.contains(room, key, nid), "what the second answer did not tell");
    }
}
