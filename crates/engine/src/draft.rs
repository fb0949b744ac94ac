//! A draft of a room: what it says of the room's state.

use std::sync::Arc;

use myelin_events::{
    RoomVersion,
    auth::{AuthError, Create, PowerLevels},
};
use myelin_model::{Event, EventNid, Membership, RoomNid, StateKeyNid, StreamPos};
use myelin_storage::{
    NewSnapshot, OutsideState, RoomHead, StateKey, StorageError,
    writer::{Arrival, BuiltOn, LateRedaction, MembershipChange, MissingEvent},
};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, RoomVersionId, UserId};
use tokio::sync::OwnedMutexGuard;

use crate::{
    Engine, EventError,
    known::{Known, Slot, StateEvent},
    tip::{QueuedAnnotation, QueuedRedaction, Tip},
};

/// Events to be appended to a room together. Holds the room's lock on this node.
///
/// Dropped without being appended, nothing has happened.
pub struct Draft {
    pub(crate) engine: Engine,
    /// The room's tip, locked as long as the draft is there.
    pub(crate) tip: OwnedMutexGuard<Option<Tip>>,
    pub(crate) version: RoomVersion,
    /// The state of the room that the first event is built upon.
    pub(crate) built_on: BuiltOn,
    /// The head after the events added.
    pub(crate) head: RoomHead,
    /// The state that the events added set, and what they redact of it.
    pub(crate) set: Known,
    pub(crate) events: Vec<Event>,
    pub(crate) snapshots: Vec<NewSnapshot>,
    pub(crate) memberships: Vec<MembershipChange>,
    /// The redactions of state among the events added.
    pub(crate) redactions: Vec<QueuedRedaction>,
    /// The annotations among the events added.
    pub(crate) annotations: Vec<QueuedAnnotation>,
    /// The state events added with their auth events, for the chain cover.
    pub(crate) auth_events: Vec<(EventNid, Vec<EventNid>)>,
    /// The changes of the current state beyond what the events added say.
    pub(crate) resets: Vec<(StateKeyNid, Option<EventNid>)>,
    /// The users whose member events the current state loses.
    pub(crate) departures: Vec<OwnedUserId>,
    /// The events among those added that came from other servers.
    pub(crate) arrivals: Vec<Arrival>,
    /// The redactions among the events added of what is not known yet.
    pub(crate) late_redactions: Vec<LateRedaction>,
    /// The events that are missing before those added.
    pub(crate) missing: Vec<MissingEvent>,
    /// The state of the room as it was told with the events added, where this server is not in it.
    pub(crate) outside: Vec<OutsideState>,
    /// The room whose aliases this one takes over.
    pub(crate) heir_of: Option<RoomNid>,
}

impl Draft {
    pub(crate) async fn open(
        engine: &Engine,
        room_nid: RoomNid,
    ) -> Result<Option<Self>, StorageError> {
        let tip = engine.tips().of(room_nid).lock_owned().await;
        Self::open_locked(engine, tip, room_nid).await
    }

    /// As [`Draft::open`], with the room's lock in hand.
    pub(crate) async fn open_locked(
        engine: &Engine,
        mut tip: OwnedMutexGuard<Option<Tip>>,
        room_nid: RoomNid,
    ) -> Result<Option<Self>, StorageError> {
        let heads = engine.db().heads();
        let stored = match heads.find_ready(room_nid) {
            Some(head) => head,
            None => match heads.find_many(&[room_nid]).await?.remove(&room_nid) {
                Some(head) => {
                    follow_to(engine, head.last_pos).await?;
                    head
                }
                None => return Ok(None),
            },
        };
        let redactions_seen = engine.db().event_cache().state_redactions();
        let generation = || engine.tips().next_generation();
        let head = match tip.as_mut() {
            Some(tip) => {
                tip.follow(&stored, redactions_seen, generation);
                tip.head.clone()
            }
            None => {
                let head = RoomHead::clone(&stored);
                *tip = Some(Tip::new(head.clone(), redactions_seen, generation()));
                head
            }
        };
        let version = engine.version_of(&head)?;
        Ok(Some(Self::on(engine, tip, version, head)))
    }

    pub(crate) async fn new_room(
        engine: &Engine,
        version: RoomVersion,
        room_id: OwnedRoomId,
    ) -> Result<Self, StorageError> {
        let room_nid = engine.db().nids().next_room().await?;
        let room_version = RoomVersionId::try_from(version.as_str())
            .map_err(StorageError::foreign("rooms.room_version"))?;
        let head = RoomHead::new(room_nid, room_id, room_version);
        let mut tip = engine.tips().of(room_nid).lock_owned().await;
        let redactions_seen = engine.db().event_cache().state_redactions();
        *tip = Some(Tip::new(head.clone(), redactions_seen, engine.tips().next_generation()));
        Ok(Self::on(engine, tip, version, head))
    }

    fn on(
        engine: &Engine,
        tip: OwnedMutexGuard<Option<Tip>>,
        version: RoomVersion,
        head: RoomHead,
    ) -> Self {
        Self {
            engine: engine.clone(),
            tip,
            version,
            built_on: BuiltOn::from(&head),
            head,
            set: Known::default(),
            events: Vec::new(),
            snapshots: Vec::new(),
            memberships: Vec::new(),
            redactions: Vec::new(),
            annotations: Vec::new(),
            auth_events: Vec::new(),
            resets: Vec::new(),
            departures: Vec::new(),
            arrivals: Vec::new(),
            late_redactions: Vec::new(),
            missing: Vec::new(),
            outside: Vec::new(),
            heir_of: None,
        }
    }

    /// The engine that it is of.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The room.
    pub fn room_id(&self) -> &RoomId {
        &self.head.room_id
    }

    /// The room's number.
    pub fn room_nid(&self) -> RoomNid {
        self.head.room_nid
    }

    /// The room version.
    pub fn version(&self) -> RoomVersion {
        self.version
    }

    /// The head after the events added.
    pub fn head(&self) -> &RoomHead {
        &self.head
    }

    /// The room takes the place of another, whose aliases it may name as its own: they are to be moved to it.
    pub fn take_over_aliases_of(&mut self, room_nid: RoomNid) {
        self.heir_of = Some(room_nid);
    }

    /// The state event of a type and state key as it is now, events added included.
    pub async fn find_state(
        &mut self,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Arc<StateEvent>>, EventError> {
        self.load(&[(event_type, state_key)]).await?;
        Ok(self.loaded(event_type, state_key)?.cloned())
    }

    /// A user's membership. `None` if there never was one.
    pub async fn membership(&mut self, user_id: &UserId) -> Result<Option<Membership>, EventError> {
        let event = self.find_state("m.room.member", user_id.as_str()).await?;
        Ok(event.and_then(|event| event.membership))
    }

    /// The power levels in force.
    pub async fn power_levels(&mut self) -> Result<Arc<PowerLevels>, EventError> {
        self.load(&[("m.room.create", ""), ("m.room.power_levels", "")]).await?;
        let create = self.create()?.ok_or(AuthError::NoCreate)?;
        self.levels(&create)
    }

    /// Bring parts of the state into memory. It takes at most two queries, none if they are there.
    pub async fn load(&mut self, keys: &[(&str, &str)]) -> Result<(), EventError> {
        let tip = self.tip.as_mut().ok_or(EventError::NotLoaded)?;
        let missing: Vec<StateKey> = keys
            .iter()
            .filter(|(kind, key)| {
                self.set.find(kind, key).is_none() && tip.known.find(kind, key).is_none()
            })
            .map(|(kind, key)| StateKey::new(kind, key))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let key_nids = self.engine.db().state_keys().find_many(&missing).await?;
        let nids: Vec<EventNid> =
            key_nids.values().filter_map(|key| tip.head.state.get(key).copied()).collect();
        let events = self.engine.db().events().find_many(&nids).await?;
        for key in missing {
            let key_nid = key_nids.get(&key).copied();
            let named = key_nid.and_then(|key| Some((key, *tip.head.state.get(&key)?)));
            let slot = match named {
                None => Slot::Absent { key: key_nid },
                Some((key, nid)) => {
                    let event = events.get(&nid).ok_or(EventError::NotLoaded)?;
                    let event = StateEvent::read(event, self.version, tip.is_redacted(nid))?;
                    Slot::Event { key, event: Arc::new(event) }
                }
            };
            tip.known.insert(&key.event_type, &key.state_key, slot);
        }
        Ok(())
    }

    /// The event that the state has for a key which [`Draft::load`] has made sure of. Fails where it has not: what is
    /// not known decides nothing.
    pub(crate) fn loaded(
        &self,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<&Arc<StateEvent>>, EventError> {
        let in_tip = || self.tip.as_ref()?.known.find(event_type, state_key);
        let slot = self.set.find(event_type, state_key).or_else(in_tip);
        slot.map(Slot::event).ok_or(EventError::NotLoaded)
    }

    /// The create event, parsed. `None` if there is none, or none that can be read.
    pub(crate) fn create(&mut self) -> Result<Option<Arc<Create>>, EventError> {
        if let Some(create) = self.tip.as_ref().and_then(|tip| tip.create.clone()) {
            return Ok(Some(create));
        }
        let Some(event) = self.loaded("m.room.create", "")? else { return Ok(None) };
        let create = Create::parse(self.version, &event.pdu).ok().map(Arc::new);
        if let Some(tip) = self.tip.as_mut() {
            tip.create.clone_from(&create);
        }
        Ok(create)
    }

    /// The power levels, parsed.
    pub(crate) fn levels(&mut self, create: &Arc<Create>) -> Result<Arc<PowerLevels>, EventError> {
        let event = self.loaded("m.room.power_levels", "")?.cloned();
        if let Some((of, levels)) = self.tip.as_ref().and_then(|tip| tip.levels.as_ref())
            && of.as_ref().map(Arc::as_ptr) == event.as_ref().map(Arc::as_ptr)
        {
            return Ok(Arc::clone(levels));
        }
        let content = event.as_ref().map(|event| event.pdu.content());
        let levels = Arc::new(PowerLevels::new(Arc::clone(create), content));
        if let Some(tip) = self.tip.as_mut() {
            tip.levels = Some((event, Arc::clone(&levels)));
        }
        Ok(levels)
    }
}

/// Wait until the log has brought what a head that was read from the database follows. The events in memory are as the log left them:
/// a redaction that stands before the head and that this node has not heard of would decide nothing.
async fn follow_to(engine: &Engine, pos: StreamPos) -> Result<(), StorageError> {
    let pos = engine.db().reach(pos).await?;
    if engine.db().log().applied() < pos {
        return Err(StorageError::Stopping);
    }
    Ok(())
}
