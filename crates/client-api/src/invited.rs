//! Rooms that this server is not in, and knows of by an invite to one of its users.

use myelin_engine::OutsideError;
use myelin_events::{Pdu, RoomVersion, received::Received};
use myelin_testing::{Graph, Judged, Remote, ServerKeys, TestServer, TestUser};
use ruma::OwnedRoomId;
use serde_json::{Value, json, value::RawValue};
use sqlx::PgPool;

use crate::{foreign::BOB, test_rooms::encode, test_server};

const V3: &str = "/_matrix/client/v3";
const VERSION: RoomVersion = RoomVersion::V11;

/// A room of Bob's that no user of ours is in.
struct Elsewhere {
    room_id: OwnedRoomId,
    graph: Graph,
}

impl Elsewhere {
    fn new() -> Self {
        let room_id = OwnedRoomId::try_from("!elsewhere:two.example").unwrap();
        let mut room = Self { room_id, graph: Graph::new(VERSION) };
        let create = json!({"room_version": VERSION.as_str()});
        room.hold(Remote::state(BOB, "m.room.create", "", create, &[]));
        let end = room.end();
        room.hold(Remote::member(BOB, BOB, "join", &end));
        room
    }

    fn end(&self) -> Vec<ruma::OwnedEventId> {
        self.graph.extremities().into_iter().collect()
    }

    fn hold(&mut self, remote: Remote<'_>) -> Received {
        let pdu = remote.build(&self.graph, &self.room_id);
        assert_eq!(self.graph.take(&pdu), Some(Judged::Accepted));
        self.read(&pdu)
    }

    fn read(&self, pdu: &Pdu) -> Received {
        Received::read(pdu.json(), VERSION, &self.room_id, &ServerKeys::of(&["two.example"]))
            .unwrap()
    }

    /// Bob invites a user, or takes that back.
    fn member(&mut self, user: &TestUser, membership: &str) -> Received {
        let end = self.end();
        self.hold(Remote::member(BOB, user.user_id.as_str(), membership, &end))
    }
}

/// The state of the room as Bob's server tells it.
fn stripped() -> Vec<Box<RawValue>> {
    [
        r#"{"content":{"name":"Else where"},  "sender":"@bob:two.example","state_key":"","type":"m.room.name"}"#,
        r#""no event""#,
    ]
    .into_iter()
    .map(|event| RawValue::from_string(event.to_owned()).unwrap())
    .collect()
}

async fn sync(server: &TestServer, user: &TestUser, since: &str) -> Value {
    server.get(&format!("{V3}/sync?timeout=0{since}"), Some(user)).await.ok()
}

/// Have both nodes apply what the other has.
async fn catch_up(nodes: [&TestServer; 2], user: &TestUser) {
    for node in nodes {
        let answer = sync(node, user, "").await;
        let now = format!("&since={}", answer["next_batch"].as_str().unwrap());
        for node in nodes {
            sync(node, user, &now).await;
        }
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn an_invite_from_elsewhere_is_shown_declined_and_forgotten(pool: PgPool) {
    let (here, there) = (test_server::open(pool.clone()).await, test_server::open(pool).await);
    let (alice, carol) = (here.user("alice").await, here.user("carol").await);
    let since = sync(&there, &alice, "").await["next_batch"].as_str().unwrap().to_owned();
    let mut room = Elsewhere::new();
    let id = room.room_id.to_string();
    let invite = room.member(&alice, "invite");
    // The same invite comes to both nodes at once, and again.
    let (one, other) = (test_server::engine(&here.parts), test_server::engine(&there.parts));
    let told = stripped();
    let (first, second) = tokio::join!(
        one.receive_invite(VERSION, &invite, &told),
        other.receive_invite(VERSION, &invite, &told)
    );
    first.unwrap();
    second.unwrap();
    one.receive_invite(VERSION, &invite, &told).await.unwrap();
    catch_up([&here, &there], &alice).await;

    for server in [&here, &there] {
        for since in [String::new(), format!("&since={since}")] {
            let answer = sync(server, &alice, &since).await;
            let events = &answer["rooms"]["invite"][&id]["invite_state"]["events"];
            assert_eq!(events.as_array().unwrap().len(), 2, "{answer}");
            assert_eq!(events[0]["content"]["name"], "Else where");
            assert_eq!(events[1]["content"]["membership"], "invite");
        }
        let nothing = sync(server, &carol, "").await;
        assert!(nothing["rooms"]["invite"].is_null(), "{nothing}");
        // Nothing is known of the room that could decide anything.
        let path = format!("{V3}/rooms/{}", encode(&id));
        let state = server.get(&format!("{path}/state"), Some(&alice)).await;
        assert_eq!(state.error(), (403, "M_FORBIDDEN"));
        let join = server.post(&format!("{path}/join"), Some(&alice), json!({})).await;
        assert_eq!(join.status, 404, "{}", join.text);
        let send = format!("{path}/send/m.room.message/1");
        let send = server.put(&send, Some(&alice), json!({})).await;
        assert!(send.status.is_client_error(), "{}", send.text);
        let other = server.post(&format!("{path}/leave"), Some(&carol), json!({})).await;
        assert!(other.status.is_client_error(), "{}", other.text);
    }

    let path = |rest: &str| format!("{V3}/rooms/{}/{rest}", encode(&id));
    let since = sync(&there, &alice, "").await["next_batch"].as_str().unwrap().to_owned();
    there.post(&path("leave"), Some(&alice), json!({"reason": "no"})).await.ok();
    catch_up([&here, &there], &alice).await;
    for server in [&here, &there] {
        let answer = sync(server, &alice, &format!("&since={since}")).await;
        let left = &answer["rooms"]["leave"][&id]["timeline"]["events"];
        assert_eq!(left[0]["content"]["membership"], "leave", "{answer}");
        assert!(sync(server, &alice, "").await["rooms"]["invite"].is_null());
    }
    here.post(&path("forget"), Some(&alice), json!({})).await.ok();

    // Bob invites again, and takes it back.
    let invite = room.member(&alice, "invite");
    one.receive_invite(VERSION, &invite, &told).await.unwrap();
    let answer = sync(&here, &alice, "").await;
    assert!(answer["rooms"]["invite"][&id].is_object(), "{answer}");
    let leave = room.member(&alice, "leave");
    other.receive_uninvite(&leave).await.unwrap();
    assert!(sync(&there, &alice, "").await["rooms"]["invite"].is_null());
    let again = one.receive_uninvite(&leave).await.unwrap_err();
    assert!(matches!(again, OutsideError::NotInvited), "{again}");
    let join = room.member(&carol, "invite");
    assert!(matches!(one.receive_uninvite(&join).await.unwrap_err(), OutsideError::NotForUs));
}
