//! Adding an event to a draft: build it upon those before it, check it, take it in. Every event of this server comes this way.

use std::sync::{Arc, OnceLock};

use myelin_events::{NewEvent, Pdu, auth, visibility::HistoryVisibility};
use myelin_model::{Event, EventFlags, EventNid, StateKeyNid, limits::PREV_EVENTS_MAX};
use myelin_storage::{
    Extremity, StateKey, StorageError,
    writer::{LateRedaction, MembershipChange},
};
use ruma::{OwnedEventId, OwnedUserId};

use crate::{
    Added, Draft, EventError, Intent, StateEvent,
    known::Slot,
    notify::notifies,
    tip::{QueuedAnnotation, QueuedRedaction},
};

/// The greatest integer of canonical JSON, and so the greatest depth.
const DEPTH_MAX: i64 = 9_007_199_254_740_991;

impl Draft {
    /// Build an event upon those before it, check it and add it.
    pub async fn add(&mut self, intent: Intent<'_>) -> Result<Added, EventError> {
        self.check_intent(&intent)?;
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
        let mut auth_events = Vec::with_capacity(auth_types.len());
        for (kind, key) in &auth_types {
            auth_events.extend(self.loaded(kind, key)?.cloned());
        }

        let pdu = self.build(&intent, &auth_events)?;
        if self.head.newest.is_none() {
            self.head.room_id = pdu.room_id.clone();
        }
        self.check_auth(&pdu)?;
        self.check_shape(&pdu)?;
        let annotation = self.check_circumstances(&pdu).await?;
        let redacted = self.check_redaction(&pdu).await?;
        let added = self.take(pdu, intent, &auth_events, redacted.as_deref()).await?;
        if let (Some(nid), Some(annotation)) = (self.head.newest, annotation) {
            self.annotations.push(QueuedAnnotation { nid, annotation });
        }
        Ok(added)
    }

    fn build(
        &self,
        intent: &Intent<'_>,
        auth_events: &[Arc<StateEvent>],
    ) -> Result<Pdu, EventError> {
        let prev_events: Vec<OwnedEventId> =
            self.built_upon().iter().map(|extremity| extremity.event_id.clone()).collect();
        let auth_events: Vec<OwnedEventId> =
            auth_events.iter().map(|event| event.pdu.event_id.clone()).collect();
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

    /// Take an event that passed the checks into the draft.
    async fn take(
        &mut self,
        pdu: Pdu,
        intent: Intent<'_>,
        auth_events: &[Arc<StateEvent>],
        redacted: Option<&Event>,
    ) -> Result<Added, EventError> {
        let nid = self.engine.db().nids().next_event().await?;
        let key = match intent.state_key {
            Some(state_key) => Some(self.state_key_nid(intent.event_type, state_key).await?),
            None => None,
        };
        let membership = match (intent.event_type, intent.state_key) {
            ("m.room.member", Some(_)) => auth::AuthEvent::membership(&pdu),
            _ => None,
        };
        let state_before = self.head.chain.state_nid();
        let replaces = key.and_then(|key| self.head.state.get(&key).copied());
        if let Some(key) = key {
            self.extend_state(key, nid).await?;
            self.note_auth_events(nid, auth_events).await?;
        }
        if let (Some(membership), Some(state_key)) = (membership, intent.state_key)
            && let Ok(user_id) = OwnedUserId::try_from(state_key)
        {
            self.memberships.push(MembershipChange { user_id, membership, event_nid: nid });
        }
        match redacted {
            Some(redacted) => self.redact(nid, redacted)?,
            None => self.note_late_redaction(nid, &pdu),
        }
        if intent.event_type == "m.room.history_visibility" {
            self.head.is_open &= HistoryVisibility::parse(pdu.content()).is_open();
        }
        let linear = self.follow(nid, &pdu);
        if notifies(intent.event_type, key.is_some(), pdu.content()) {
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
            state_key_nid: key,
            sender: intent.sender.to_owned(),
            origin_server_ts: pdu.origin_server_ts,
            depth: pdu.depth,
            membership,
            state_before,
            state_after: self.head.chain.state_nid(),
            replaces,
            redacts: redacted.map(|event| event.nid),
            redacted_by: None,
            flags: if linear { EventFlags::LINEAR } else { EventFlags::NONE },
            notify_ordinal: self.head.notify_ordinal,
            transaction: intent.transaction,
            json: pdu.json().into(),
            client_json: OnceLock::new(),
        });
        if let (Some(key), Some(state_key)) = (key, intent.state_key) {
            let event = Arc::new(StateEvent { nid, pdu, membership });
            self.set.insert(intent.event_type, state_key, Slot::Event { key, event });
        }
        Ok(added)
    }

    /// Set a key of the state to a new event, in a snapshot of its own.
    async fn extend_state(&mut self, key: StateKeyNid, nid: EventNid) -> Result<(), StorageError> {
        self.head.state.insert(key, nid);
        let state_nid = self.engine.db().nids().next_state().await?;
        let snapshot = self.head.chain.extend(state_nid, &[(key, Some(nid))], &self.head.state);
        self.snapshots.push(snapshot);
        Ok(())
    }

    /// Redact an event of the state: from here on the draft has it as the redaction leaves it.
    pub(crate) fn redact(
        &mut self,
        redaction: EventNid,
        redacted: &Event,
    ) -> Result<(), StorageError> {
        let (Some(key), Some(state_key)) = (redacted.state_key_nid, &redacted.state_key) else {
            return Ok(());
        };
        self.redactions.push(QueuedRedaction { redaction, redacted: redacted.nid });
        if self.head.state.get(&key) == Some(&redacted.nid) {
            let event = Arc::new(StateEvent::read(redacted, self.version, true)?);
            self.set.insert(&redacted.event_type, state_key, Slot::Event { key, event });
        }
        Ok(())
    }

    /// A redaction of what is not known yet counts when that comes. Nothing may come in between: it could be the very event.
    fn note_late_redaction(&mut self, redaction: EventNid, pdu: &Pdu) {
        if let Some(target_id) = &pdu.redacts
            && &*pdu.event_type == "m.room.redaction"
            && pdu.state_key.is_none()
        {
            let target_id = target_id.clone();
            // Others were refused.
            self.late_redactions.push(LateRedaction { redaction, target_id, is_powerful: true });
            self.built_on.state_nid = None;
        }
    }

    /// Make the event the newest of the head. Whether it alone is the extremity now.
    fn follow(&mut self, nid: EventNid, pdu: &Pdu) -> bool {
        let followed = self.built_upon().len();
        self.head.extremities.drain(..followed);
        let linear = self.head.extremities.is_empty();
        self.head.extremities.push(Extremity { nid, event_id: pdu.event_id.clone() });
        self.head.depth = pdu.depth;
        self.head.newest = Some(nid);
        linear
    }

    pub(crate) async fn state_key_nid(
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

    /// Note the auth events of a state event, and have their places in the chain cover in memory.
    pub(crate) async fn note_auth_events(
        &mut self,
        nid: EventNid,
        auth_events: &[Arc<StateEvent>],
    ) -> Result<(), StorageError> {
        let auth_nids: Vec<EventNid> = auth_events.iter().map(|event| event.nid).collect();
        if let Some(tip) = self.tip.as_mut() {
            let mut missing = tip.chains.missing(&auth_nids);
            missing.retain(|nid| !self.auth_events.iter().any(|(added, _)| added == nid));
            if !missing.is_empty() {
                for (nid, position) in
                    self.engine.db().auth_chains().list_positions(&missing).await?
                {
                    tip.chains.insert_read(nid, position);
                }
            }
        }
        self.auth_events.push((nid, auth_nids));
        Ok(())
    }
}
