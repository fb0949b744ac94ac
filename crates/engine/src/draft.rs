//! Adding events to a room, under its lock.

use std::sync::{Arc, OnceLock};

use myelin_events::{
    NewEvent, Pdu, RoomVersion,
    auth::{self, AuthError, AuthState, Create, JoinRule, PowerLevels, ThirdPartyInviteKeys},
};
use myelin_model::{
    Event, EventFlags, EventNid, Membership, RoomNid, StateKeyNid, limits::PREV_EVENTS_MAX,
};
use myelin_storage::{
    Extremity, NewSnapshot, RoomHead, StateKey, StorageError,
    writer::{BuiltOn, MembershipChange},
};
use ruma::{OwnedEventId, OwnedUserId, RoomId, RoomVersionId, UserId};
use tokio::sync::OwnedMutexGuard;

use crate::{
    Engine, EventError,
    intent::{Added, Intent},
    known::{Known, Slot, StateEvent},
    notify::notifies,
    tip::Tip,
};

/// The greatest integer of canonical JSON, and so the greatest depth.
const DEPTH_MAX: i64 = 9_007_199_254_740_991;

/// Events to be appended to a room together. Holds the room's lock on this node.
///
/// Dropped without being appended, nothing has happened.
pub struct Draft {
    pub(crate) engine: Engine,
    pub(crate) tip: OwnedMutexGuard<Option<Tip>>,
    pub(crate) version: RoomVersion,
    /// What the first event is built upon.
    pub(crate) built_on: BuiltOn,
    /// The head after the events added.
    pub(crate) head: RoomHead,
    /// The state that the events added set.
    pub(crate) set: Known,
    pub(crate) events: Vec<Event>,
    pub(crate) snapshots: Vec<NewSnapshot>,
    pub(crate) memberships: Vec<MembershipChange>,
    /// The state events added and the events that entitle them, for the chain cover.
    pub(crate) entitled: Vec<(EventNid, Vec<EventNid>)>,
}

impl Draft {
    pub(crate) async fn open(
        engine: &Engine,
        room_nid: RoomNid,
    ) -> Result<Option<Self>, StorageError> {
        let mut tip = engine.tips().of(room_nid).lock_owned().await;
        let heads = engine.db().heads();
        let stored = match heads.find_ready(room_nid) {
            Some(head) => head,
            None => match heads.find_many(&[room_nid]).await?.remove(&room_nid) {
                Some(head) => head,
                None => return Ok(None),
            },
        };
        let generation = || engine.tips().next_generation();
        match tip.as_mut() {
            Some(tip) => tip.follow(&stored, generation),
            None => *tip = Some(Tip::new(RoomHead::clone(&stored), generation())),
        }
        let head = tip.as_ref().map_or_else(|| RoomHead::clone(&stored), |tip| tip.head.clone());
        let version = engine.version_of(&head)?;
        Ok(Some(Self::on(engine, tip, version, head)))
    }

    pub(crate) async fn new_room(
        engine: &Engine,
        version: RoomVersion,
    ) -> Result<Self, StorageError> {
        let room_nid = engine.db().nids().next_room().await?;
        let room_id = RoomId::new_v1(engine.server_name());
        let room_version = RoomVersionId::try_from(version.as_str())
            .map_err(StorageError::foreign("rooms.room_version"))?;
        let head = RoomHead::new(room_nid, room_id, room_version);
        let mut tip = engine.tips().of(room_nid).lock_owned().await;
        *tip = Some(Tip::new(head.clone(), engine.tips().next_generation()));
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
            entitled: Vec::new(),
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

    /// The state event of a type and state key, events added included.
    pub async fn find_state(
        &mut self,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Arc<StateEvent>>, StorageError> {
        self.load(&[(event_type, state_key)]).await?;
        Ok(self.loaded(event_type, state_key).cloned())
    }

    /// A user's membership. `None` if there never was one.
    pub async fn membership(
        &mut self,
        user_id: &UserId,
    ) -> Result<Option<Membership>, StorageError> {
        let event = self.find_state("m.room.member", user_id.as_str()).await?;
        Ok(event.and_then(|event| event.membership))
    }

    /// The power levels in force.
    pub async fn power_levels(&mut self) -> Result<Arc<PowerLevels>, EventError> {
        self.load(&[("m.room.create", ""), ("m.room.power_levels", "")]).await?;
        let create = self.create().ok_or(AuthError::NoCreate)?;
        Ok(self.levels(&create))
    }

    /// Have parts of the state in memory. At most two queries, none if they are there.
    pub async fn load(&mut self, keys: &[(&str, &str)]) -> Result<(), StorageError> {
        let Some(tip) = self.tip.as_mut() else { return Ok(()) };
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
            let nid = key_nid.and_then(|key_nid| tip.head.state.get(&key_nid));
            let event = match nid.and_then(|nid| events.get(nid)) {
                Some(event) => Some(Arc::new(parse(event, self.version)?)),
                None => None,
            };
            tip.known.insert(&key.event_type, &key.state_key, Slot { key: key_nid, event });
        }
        Ok(())
    }

    /// An event that [`Draft::load`] has made sure of.
    fn loaded(&self, event_type: &str, state_key: &str) -> Option<&Arc<StateEvent>> {
        let known = || self.tip.as_ref()?.known.find(event_type, state_key);
        self.set.find(event_type, state_key).or_else(known)?.event.as_ref()
    }

    fn create(&mut self) -> Option<Arc<Create>> {
        if let Some(create) = self.tip.as_ref().and_then(|tip| tip.create.clone()) {
            return Some(create);
        }
        let create =
            Arc::new(Create::parse(self.version, &self.loaded("m.room.create", "")?.pdu).ok()?);
        if let Some(tip) = self.tip.as_mut() {
            tip.create = Some(Arc::clone(&create));
        }
        Some(create)
    }

    fn levels(&mut self, create: &Arc<Create>) -> Arc<PowerLevels> {
        let event = self.loaded("m.room.power_levels", "").cloned();
        let nid = event.as_ref().map(|event| event.nid);
        match self.tip.as_ref().and_then(|tip| tip.levels.as_ref()) {
            Some((of, levels)) if *of == nid => return Arc::clone(levels),
            _ => {}
        }
        let content = event.as_ref().map(|event| event.pdu.content());
        let levels = Arc::new(PowerLevels::new(Arc::clone(create), content));
        if let Some(tip) = self.tip.as_mut() {
            tip.levels = Some((nid, Arc::clone(&levels)));
        }
        levels
    }

    /// Build an event upon those before it, check it and add it.
    pub async fn add(&mut self, intent: Intent<'_>) -> Result<Added, EventError> {
        let auth_types = auth::auth_types_for(
            self.version,
            intent.event_type,
            intent.sender,
            intent.state_key,
            intent.content,
        )?;
        let mut wanted: Vec<(&str, &str)> =
            auth_types.iter().map(|(kind, key)| (*kind, key.as_str())).collect();
        wanted.push(("m.room.create", ""));
        self.load(&wanted).await?;

        let auth: Vec<Arc<StateEvent>> =
            auth_types.iter().filter_map(|(kind, key)| self.loaded(kind, key).cloned()).collect();
        let pdu = self.build(&intent, &auth)?;
        if self.head.version == 0 {
            self.head.room_id = pdu.room_id.clone();
        }
        self.check(&pdu)?;
        let redacts = self.check_redaction(&pdu).await?;
        self.take(pdu, intent, &auth, redacts).await
    }

    fn build(&self, intent: &Intent<'_>, auth: &[Arc<StateEvent>]) -> Result<Pdu, EventError> {
        let prev_events: Vec<OwnedEventId> =
            self.built_upon().iter().map(|extremity| extremity.event_id.clone()).collect();
        let auth_events: Vec<OwnedEventId> =
            auth.iter().map(|event| event.pdu.event_id.clone()).collect();
        let derives_room_id =
            self.version.has_hashed_room_ids() && intent.event_type == "m.room.create";
        let new = NewEvent {
            room_id: (!derives_room_id).then_some(&*self.head.room_id),
            sender: intent.sender,
            event_type: intent.event_type,
            state_key: intent.state_key,
            content: intent.content,
            redacts: intent.redacts,
            prev_events: &prev_events,
            auth_events: &auth_events,
            reference_hashes: None,
            depth: self.head.depth.saturating_add(1).min(DEPTH_MAX),
            origin_server_ts: intent.origin_server_ts.unwrap_or_else(|| self.engine.now_ms()),
        };
        Ok(new.build(self.version, self.engine.server_name(), self.engine.key())?)
    }

    /// The extremities that the next event follows: all, unless there are more than an event may name.
    fn built_upon(&self) -> &[Extremity] {
        let extremities = &self.head.extremities;
        extremities.get(..PREV_EVENTS_MAX).unwrap_or(extremities)
    }

    fn check(&mut self, pdu: &Pdu) -> Result<(), EventError> {
        let create = self.create();
        let levels = create.as_ref().map(|create| self.levels(create));
        let state = Entitling { draft: self, create, levels };
        Ok(auth::check(self.version, pdu, &state)?)
    }

    /// Take an event that passed the checks into the draft.
    async fn take(
        &mut self,
        pdu: Pdu,
        intent: Intent<'_>,
        auth: &[Arc<StateEvent>],
        redacts: Option<EventNid>,
    ) -> Result<Added, EventError> {
        let db = self.engine.db().clone();
        let nid = db.nids().next_event().await?;
        let key_nid = match intent.state_key {
            Some(state_key) => Some(self.state_key_nid(intent.event_type, state_key).await?),
            None => None,
        };
        let membership = match (intent.event_type, intent.state_key) {
            ("m.room.member", Some(_)) => auth::AuthEvent::membership(&pdu),
            _ => None,
        };
        let state_before = self.head.chain.state_nid();
        let replaces = key_nid.and_then(|key| self.head.state.get(&key).copied());
        if let Some(key) = key_nid {
            self.head.state.insert(key, nid);
            let state_nid = db.nids().next_state().await?;
            self.snapshots.push(self.head.chain.extend(
                state_nid,
                &[(key, Some(nid))],
                &self.head.state,
            ));
            self.cover(nid, auth).await?;
        }
        if let (Some(membership), Some(state_key)) = (membership, intent.state_key)
            && let Ok(user_id) = OwnedUserId::try_from(state_key)
        {
            self.memberships.push(MembershipChange { user_id, membership, event_nid: nid });
        }
        let linear = self.follow(nid, &pdu);
        if notifies(intent.event_type, key_nid.is_some(), pdu.content()) {
            self.head.notify_ordinal += 1;
        }
        let added = Added { event_id: pdu.event_id.clone() };
        self.events.push(Event {
            nid,
            room_nid: self.head.room_nid,
            room_id: self.head.room_id.clone(),
            pos: None,
            event_id: pdu.event_id.clone(),
            event_type: intent.event_type.into(),
            state_key: intent.state_key.map(Into::into),
            state_key_nid: key_nid,
            sender: intent.sender.to_owned(),
            origin_server_ts: pdu.origin_server_ts,
            depth: pdu.depth,
            membership,
            state_before,
            state_after: self.head.chain.state_nid(),
            replaces,
            redacts,
            redacted_by: None,
            flags: if linear { EventFlags::LINEAR } else { EventFlags::NONE },
            notify_ordinal: self.head.notify_ordinal,
            transaction: intent.transaction,
            json: pdu.json().into(),
            client_json: OnceLock::new(),
        });
        if let (Some(key), Some(state_key)) = (key_nid, intent.state_key) {
            let event = Some(Arc::new(StateEvent { nid, pdu, membership }));
            self.set.insert(intent.event_type, state_key, Slot { key: Some(key), event });
        }
        Ok(added)
    }

    /// Make the event the newest of the head. Whether it alone is the extremity now.
    fn follow(&mut self, nid: EventNid, pdu: &Pdu) -> bool {
        let followed = self.built_upon().len();
        self.head.extremities.drain(..followed);
        let linear = self.head.extremities.is_empty();
        self.head.extremities.push(Extremity { nid, event_id: pdu.event_id.clone() });
        self.head.depth = pdu.depth;
        self.head.version = nid.0;
        linear
    }

    async fn state_key_nid(
        &self,
        event_type: &str,
        state_key: &str,
    ) -> Result<StateKeyNid, StorageError> {
        let key = StateKey::new(event_type, state_key);
        let nids = self.engine.db().state_keys().get_or_add(std::slice::from_ref(&key)).await?;
        nids.get(&key).copied().ok_or_else(|| {
            StorageError::foreign("state_keys.state_key")("a key that was added is missing")
        })
    }

    /// Note what entitles a state event, and have the places of that in memory.
    async fn cover(&mut self, nid: EventNid, auth: &[Arc<StateEvent>]) -> Result<(), StorageError> {
        let auth_nids: Vec<EventNid> = auth.iter().map(|event| event.nid).collect();
        if let Some(tip) = self.tip.as_mut() {
            let mut missing = tip.chains.missing(&auth_nids);
            missing.retain(|nid| !self.entitled.iter().any(|(added, _)| added == nid));
            if !missing.is_empty() {
                for (nid, position) in self.engine.db().list_chain_positions(&missing).await? {
                    tip.chains.insert_read(nid, position);
                }
            }
        }
        self.entitled.push((nid, auth_nids));
        Ok(())
    }
}

/// Read a stored state event.
fn parse(event: &Event, version: RoomVersion) -> Result<StateEvent, StorageError> {
    let pdu = Pdu::from_stored(event.event_id.clone(), event.json.clone(), version)
        .map_err(StorageError::foreign("events.json"))?;
    Ok(StateEvent { nid: event.nid, pdu, membership: event.membership })
}

/// The state that an event is checked against. What it asks for was loaded before.
struct Entitling<'d> {
    draft: &'d Draft,
    create: Option<Arc<Create>>,
    levels: Option<Arc<PowerLevels>>,
}

impl AuthState for Entitling<'_> {
    fn create(&self) -> Option<Arc<Create>> {
        self.create.clone()
    }

    fn power_levels(&self, create: &Arc<Create>) -> Arc<PowerLevels> {
        match &self.levels {
            Some(levels) => Arc::clone(levels),
            None => Arc::new(PowerLevels::new(Arc::clone(create), None)),
        }
    }

    fn join_rule(&self) -> JoinRule {
        let event = self.draft.loaded("m.room.join_rules", "");
        event.map_or(JoinRule::Invite, |event| JoinRule::parse(event.pdu.content()))
    }

    fn membership(&self, user_id: &UserId) -> Option<Membership> {
        self.draft.loaded("m.room.member", user_id.as_str())?.membership
    }

    fn third_party_invite(&self, token: &str) -> Option<ThirdPartyInviteKeys> {
        let event = self.draft.loaded("m.room.third_party_invite", token)?;
        Some(ThirdPartyInviteKeys::parse(&event.pdu))
    }
}
