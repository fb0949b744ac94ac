//! A room of this server and others, on one node or several, beside a slow model that is told the same.

use std::collections::{BTreeMap, BTreeSet};

use myelin_engine::{Engine, Intent, Outcome, Place, ReceiveError, StateAt, Verdict};
use myelin_events::{
    Pdu, RoomVersion,
    received::{Dropped, Received},
};
use myelin_model::{Event, EventFlags, Membership};
use myelin_storage::{GraphEvent, RoomHead};
use myelin_testing::{Graph, Judged, NamedState, Remote, ServerKeys};
use ruma::{EventId, OwnedEventId, OwnedRoomId};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::fixture::{alice, eventually, node, send};

pub(crate) const BOB: &str = "@bob:two.example";
pub(crate) const CAROL: &str = "@carol:three.example";
pub(crate) const DAVE: &str = "@dave:four.example";
pub(crate) const SERVERS: [&str; 3] = ["two.example", "three.example", "four.example"];

/// The room, and who is in it.
pub(crate) struct World {
    pub(crate) nodes: Vec<Engine>,
    pub(crate) graph: Graph,
    pub(crate) room_id: OwnedRoomId,
    pub(crate) keys: ServerKeys,
}

impl World {
    /// A public room of Alice's on this server, with Bob, who has power 50, and Carol.
    pub(crate) async fn new(pool: &PgPool, version: RoomVersion, nodes: usize) -> Self {
        let mut engines = Vec::new();
        for _ in 0..nodes {
            engines.push(node(pool).await);
        }
        Self::on(engines, version).await
    }

    /// As [`World::new`], on nodes that are there.
    pub(crate) async fn on(nodes: Vec<Engine>, version: RoomVersion) -> Self {
        let (graph, room_id) = found(&nodes[0], version).await;
        let keys = ServerKeys::of(&SERVERS);
        let mut world = Self { nodes, graph, room_id, keys };
        for (nr, user_id) in [BOB, CAROL].into_iter().enumerate() {
            let (nr, end) = (nr % world.nodes.len(), world.end());
            world.deliver(nr, Remote::member(user_id, user_id, "join", &end)).await;
        }
        world
    }

    /// The forward extremities.
    pub(crate) fn end(&self) -> Vec<OwnedEventId> {
        self.graph.extremities().into_iter().collect()
    }

    pub(crate) fn build(&self, remote: &Remote<'_>) -> Pdu {
        remote.build(&self.graph, &self.room_id)
    }

    pub(crate) fn read(&self, json: &str) -> Result<Received, Dropped> {
        Received::read(json, self.graph.version, &self.room_id, &self.keys)
    }

    /// Hand an event to a node, without telling the model.
    pub(crate) async fn hand(&self, nr: usize, pdu: &Pdu) -> Outcome {
        self.hand_as(nr, pdu, Place::New, &[]).await.unwrap()
    }

    pub(crate) async fn hand_as(
        &self,
        nr: usize,
        pdu: &Pdu,
        place: Place,
        states: &[StateAt],
    ) -> Result<Outcome, ReceiveError> {
        let received = self.read(pdu.json()).unwrap();
        self.nodes[nr].receive(&received, place, states).await
    }

    /// Build an event and hand it to a node. The model must come to the same, and the room must be what the model says.
    pub(crate) async fn deliver(&mut self, nr: usize, remote: Remote<'_>) -> Pdu {
        let pdu = self.build(&remote);
        self.deliver_pdu(nr, &pdu).await;
        pdu
    }

    pub(crate) async fn deliver_pdu(&mut self, nr: usize, pdu: &Pdu) -> Outcome {
        let outcome = self.hand(nr, pdu).await;
        assert_eq!(judged(&outcome), self.graph.take(pdu), "{outcome:?}: {}", pdu.json());
        self.check().await;
        outcome
    }

    /// Hand over an event that others follow already.
    pub(crate) async fn deliver_late(&self, nr: usize, pdu: &Pdu) {
        assert_eq!(judged(&self.hand(nr, pdu).await), Some(Judged::Accepted));
    }

    /// The room as another server has it.
    pub(crate) fn copy(graph: &Graph) -> Graph {
        let mut copy = Graph::new(graph.version);
        for pdu in graph.events() {
            copy.take(pdu).unwrap();
        }
        copy
    }

    /// Send an event of Alice's, and tell the model.
    pub(crate) async fn send(&mut self, nr: usize, intent: Intent<'_>) -> OwnedEventId {
        let event_id = send(&self.nodes[nr], &self.room_id, intent).await.unwrap();
        self.take_stored(nr, &event_id).await;
        self.check().await;
        event_id
    }

    /// Tell the model of an event that a node has.
    pub(crate) async fn take_stored(&mut self, nr: usize, event_id: &OwnedEventId) {
        let event = self.stored(nr, event_id).await;
        let json = event.json.clone();
        let pdu = Pdu::from_stored(event_id.clone(), json, self.graph.version).unwrap();
        assert_eq!(self.graph.take(&pdu), Some(Judged::Accepted));
    }

    pub(crate) async fn stored(&self, nr: usize, event_id: &OwnedEventId) -> Event {
        let event = self.nodes[nr].db().events().find_by_id(event_id).await.unwrap().unwrap();
        Event::clone(&event)
    }

    /// Check that the room is on every node what the model says.
    pub(crate) async fn check(&self) {
        let (state, extremities) = (self.graph.state(), self.graph.extremities());
        for engine in &self.nodes {
            let is_there =
                async || extremities_of(&head(engine, &self.room_id).await) == extremities;
            eventually(is_there).await;
            let head = head(engine, &self.room_id).await;
            assert_eq!(name(engine, &head).await, state);
            assert_eq!(self.memberships(engine, &head).await, self.memberships_of(&state));
        }
    }

    /// Check that what is stored of every event is what the model says.
    pub(crate) async fn check_verdicts(&self) {
        let ids: Vec<&EventId> = self.graph.events().iter().map(|pdu| &*pdu.event_id).collect();
        let stored = self.nodes[0].db().graph().find_many(&ids).await.unwrap();
        for id in ids {
            assert_eq!(stored.get(id).map(judged_by), self.graph.judged(id), "{id}");
        }
    }

    async fn memberships(&self, engine: &Engine, head: &RoomHead) -> BTreeMap<String, Membership> {
        let mut memberships = BTreeMap::new();
        for membership in [
            Membership::Join,
            Membership::Leave,
            Membership::Invite,
            Membership::Ban,
            Membership::Knock,
        ] {
            let users = engine
                .db()
                .memberships()
                .list_user_ids(head.room_nid, &[membership])
                .await
                .unwrap();
            memberships.extend(users.into_iter().map(|user_id| (user_id.to_string(), membership)));
        }
        memberships
    }

    fn memberships_of(&self, state: &NamedState) -> BTreeMap<String, Membership> {
        let members = state.iter().filter(|((kind, _), _)| kind == "m.room.member");
        let membership = |((_, user_id), event_id): (&(String, String), &OwnedEventId)| {
            let content: Value = self.graph.get(event_id)?.content_as().ok()?;
            let membership = Membership::parse(content["membership"].as_str()?)?;
            Some((user_id.clone(), membership))
        };
        members.filter_map(membership).collect()
    }

    /// The event that the current state has for a key on a node.
    pub(crate) async fn state_of(&self, nr: usize, kind: &str, key: &str) -> Option<OwnedEventId> {
        let head = head(&self.nodes[nr], &self.room_id).await;
        name(&self.nodes[nr], &head).await.remove(&(kind.to_owned(), key.to_owned()))
    }
}

/// Make the room.
async fn found(engine: &Engine, version: RoomVersion) -> (Graph, OwnedRoomId) {
    let mut draft = engine.create_draft(version).await.unwrap();
    let alice = alice();
    let create = json!({"room_version": version.as_str(), "creator": alice}).to_string();
    let mut levels = json!({"users": {BOB: 50}, "users_default": 0});
    if !version.has_hashed_room_ids() {
        levels["users"][alice.as_str()] = json!(100);
    }
    let levels = levels.to_string();
    for (event_type, state_key, content) in [
        ("m.room.create", "", &*create),
        ("m.room.member", alice.as_str(), r#"{"membership":"join"}"#),
        ("m.room.power_levels", "", &*levels),
        ("m.room.join_rules", "", r#"{"join_rule":"public"}"#),
    ] {
        draft.add(Intent::state(alice, event_type, state_key, content)).await.unwrap();
    }
    let room_id = draft.room_id().to_owned();
    let appended = draft.append().await.unwrap();
    let mut graph = Graph::new(version);
    for event in appended.events {
        let pdu = Pdu::from_stored(event.event_id.clone(), event.json.clone(), version).unwrap();
        assert_eq!(graph.take(&pdu), Some(Judged::Accepted));
    }
    (graph, room_id)
}

/// The outcome as the model has it. `None` where the event is in no history.
pub(crate) fn judged(outcome: &Outcome) -> Option<Judged> {
    match outcome {
        Outcome::Judged(Verdict::Appended | Verdict::RedactedAndAppended) => Some(Judged::Accepted),
        Outcome::Judged(Verdict::SoftFailed) => Some(Judged::SoftFailed),
        Outcome::Judged(Verdict::Rejected(_)) => Some(Judged::Rejected),
        Outcome::Judged(Verdict::Outlier | Verdict::Backfilled | Verdict::Undecided)
        | Outcome::Missing(_) => None,
    }
}

/// A stored verdict as the model has it.
pub(crate) fn judged_by(stored: &GraphEvent) -> Judged {
    match (
        stored.flags.contains(EventFlags::REJECTED),
        stored.flags.contains(EventFlags::SOFT_FAILED),
    ) {
        (true, _) => Judged::Rejected,
        (false, true) => Judged::SoftFailed,
        (false, false) => Judged::Accepted,
    }
}

pub(crate) async fn head(engine: &Engine, room_id: &OwnedRoomId) -> RoomHead {
    let head = engine.db().heads().find(room_id).await.unwrap().unwrap();
    RoomHead::clone(&head)
}

fn extremities_of(head: &RoomHead) -> BTreeSet<OwnedEventId> {
    head.extremities.iter().map(|extremity| extremity.event_id.clone()).collect()
}

/// A state by names.
pub(crate) async fn name(engine: &Engine, head: &RoomHead) -> NamedState {
    let keys: Vec<_> = head.state.keys().copied().collect();
    let keys = engine.db().state_keys().list(&keys).await.unwrap();
    let nids: Vec<_> = head.state.values().copied().collect();
    let events = engine.db().events().find_many(&nids).await.unwrap();
    let name = |(key, nid)| {
        let key = &keys[key];
        ((key.event_type.to_string(), key.state_key.to_string()), events[nid].event_id.clone())
    };
    head.state.iter().map(name).collect()
}
