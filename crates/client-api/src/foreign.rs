//! Events of other servers for tests, handed to the engine of a test server.

use myelin_engine::{Outcome, Place, StateAt, Verdict};
use myelin_events::{Pdu, RoomVersion, received::Received};
use myelin_model::StreamPos;
use myelin_storage::{Page, PageFilter};
use myelin_testing::{Graph, Remote, ServerKeys, TestServer};
use ruma::{OwnedEventId, OwnedRoomId};

use crate::{test_rooms::TestRoom, test_server};

/// A user of another server.
pub(crate) const BOB: &str = "@bob:two.example";

/// A room as another server has it, and the way of its events to ours.
pub(crate) struct Foreign {
    pub(crate) room_id: OwnedRoomId,
    pub(crate) graph: Graph,
    keys: ServerKeys,
}

impl Foreign {
    /// A server that has what ours has of a room.
    pub(crate) async fn copy(room: &TestRoom<'_>) -> Self {
        let room_id = OwnedRoomId::try_from(room.id.clone()).unwrap();
        let head = room.server.parts.db.heads().find(&room_id).await.unwrap().unwrap();
        let version = RoomVersion::try_from(&head.room_version).unwrap();
        let graph = Graph::new(version);
        let mut foreign = Self { room_id, graph, keys: ServerKeys::of(&["two.example"]) };
        foreign.catch_up(room.server).await;
        foreign
    }

    /// Take in what has come to our server.
    pub(crate) async fn catch_up(&mut self, server: &TestServer) {
        let room_nid = server.parts.db.heads().find_nid(&self.room_id).await.unwrap().unwrap();
        let page = Page {
            room_nid,
            after: StreamPos::ZERO,
            upto: StreamPos(i64::MAX),
            backward: false,
            limit: 1_000,
            filter: &PageFilter::default(),
        };
        for event in server.parts.db.history().list(&page).await.unwrap().events {
            let (id, json) = (event.event_id.clone(), event.json.clone());
            self.graph.take(&Pdu::from_stored(id, json, self.graph.version).unwrap());
        }
    }

    /// The forward extremities there.
    pub(crate) fn end(&self) -> Vec<OwnedEventId> {
        self.graph.extremities().into_iter().collect()
    }

    /// Build an event without handing it over.
    pub(crate) fn build(&self, remote: &Remote<'_>) -> Pdu {
        remote.build(&self.graph, &self.room_id)
    }

    /// Make an event part of the room there, without handing it over.
    pub(crate) fn hold(&mut self, remote: &Remote<'_>) -> Pdu {
        let pdu = self.build(remote);
        self.graph.take(&pdu).unwrap();
        pdu
    }

    /// Build an event, and hand it to a server, which must append it.
    pub(crate) async fn send(&mut self, server: &TestServer, remote: &Remote<'_>) -> String {
        let pdu = self.hold(remote);
        let outcome = self.hand(server, &pdu, Place::New, &[]).await;
        assert_eq!(outcome, Outcome::Judged(Verdict::Appended));
        pdu.event_id.to_string()
    }

    /// Hand an event over.
    pub(crate) async fn hand(
        &self,
        server: &TestServer,
        pdu: &Pdu,
        place: Place,
        states: &[StateAt],
    ) -> Outcome {
        let engine = test_server::engine(&server.parts);
        engine.receive(&self.read(pdu), place, states).await.unwrap()
    }

    /// Hand a page of history over.
    pub(crate) async fn hand_history(
        &self,
        server: &TestServer,
        pdus: &[&Pdu],
        states: &[StateAt],
    ) -> Vec<Outcome> {
        let page: Vec<Received> = pdus.iter().map(|pdu| self.read(pdu)).collect();
        let outcomes = test_server::engine(&server.parts).backfill(&page, states).await.unwrap();
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    fn read(&self, pdu: &Pdu) -> Received {
        Received::read(pdu.json(), self.graph.version, &self.room_id, &self.keys).unwrap()
    }

    /// The state after an event there.
    pub(crate) fn state_at(&self, pdu: &Pdu) -> StateAt {
        let state = self.graph.state_after(std::slice::from_ref(&pdu.event_id));
        StateAt {
            event_id: pdu.event_id.clone(),
            state: state.into_values().collect(),
            is_partial: false,
        }
    }
}
