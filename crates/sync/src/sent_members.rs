//! Which members a device was told of, for clients that want members only when they are needed.

use std::{collections::HashMap, sync::Arc};

use myelin_model::{Actor, EventNid, RoomNid, StateKeyNid};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use ruma::{OwnedDeviceId, OwnedUserId};

/// How many devices are remembered.
const DEVICES_MAX: usize = 20_000;

/// How many members of all rooms are remembered for one device. Beyond it the device is told again.
const MEMBERS_MAX: usize = 5_000;

type Members = Mutex<HashMap<(RoomNid, StateKeyNid), EventNid>>;

/// The member events that devices have. What is forgotten is sent again, which does no harm.
pub(crate) struct SentMembers {
    devices: Cache<(OwnedUserId, Option<OwnedDeviceId>), Arc<Members>>,
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
    fn of(&self, session: &Actor) -> Arc<Members> {
        let key = (session.user_id.clone(), session.device_id().map(ToOwned::to_owned));
        match self.devices.get(&key) {
            Some(members) => members,
            None => {
                let members = Arc::new(Members::default());
                self.devices.insert(key, Arc::clone(&members));
                members
            }
        }
    }

    /// The device begins anew: it knows nobody.
    pub(crate) fn clear(&self, session: &Actor) {
        self.of(session).lock().clear();
    }

    /// The device missed a part of the room and may have let go of it.
    pub(crate) fn clear_room(&self, session: &Actor, room_nid: RoomNid) {
        self.of(session).lock().retain(|(room, _), _| *room != room_nid);
    }

    /// Whether the device has this member event.
    pub(crate) fn contains(
        &self,
        session: &Actor,
        room_nid: RoomNid,
        key: StateKeyNid,
        event_nid: EventNid,
    ) -> bool {
        self.of(session).lock().get(&(room_nid, key)) == Some(&event_nid)
    }

    /// The device gets these member events.
    pub(crate) fn add(
        &self,
        session: &Actor,
        room_nid: RoomNid,
        members: impl IntoIterator<Item = (StateKeyNid, EventNid)>,
    ) {
        let known = self.of(session);
        let mut known = known.lock();
        for (key, event_nid) in members {
            if known.len() >= MEMBERS_MAX {
                known.clear();
            }
            known.insert((room_nid, key), event_nid);
        }
    }
}
