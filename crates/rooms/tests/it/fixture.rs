//! Nodes, users and rooms.

use std::{ops::Deref, sync::Arc};

use myelin_engine::Engine;
use myelin_events::SigningKey;
use myelin_model::{Actor, Agent, SystemClock};
use myelin_rooms::{
    RoomSettings, Rooms,
    create::{CreateRoomError, CreatedRoom, Options, create_room},
    membership::{Action, MembershipUpdate, update},
    send::{NewMessage, send},
};
use myelin_storage::{Db, StorageSettings};
use ruma::{OwnedEventId, OwnedRoomId, RoomId, server_name};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// A node: its rooms, and the database that they are in.
#[derive(Clone)]
pub(crate) struct Node {
    rooms: Rooms,
    pub(crate) db: Db,
    pub(crate) engine: Engine,
}

impl Deref for Node {
    type Target = Rooms;

    fn deref(&self) -> &Rooms {
        &self.rooms
    }
}

pub(crate) async fn node(pool: &PgPool) -> Node {
    node_with(pool, RoomSettings::default()).await
}

pub(crate) async fn node_with(pool: &PgPool, room_settings: RoomSettings) -> Node {
    let settings = StorageSettings::default();
    let db =
        Db::open(pool.clone(), pool.clone(), &settings, CancellationToken::new()).await.unwrap();
    let engine = Engine::new(
        db.clone(),
        Arc::new(SystemClock),
        server_name!("example.org").to_owned(),
        Arc::new(SigningKey::from_seed(&[7; 32], "test")),
    );
    Node { rooms: Rooms::new(engine.clone(), room_settings), db, engine }
}

/// A user with a device. Rooms ask for no account.
pub(crate) fn user(localpart: &str) -> Actor {
    user_on(localpart, "DEVICE")
}

/// A user on one of its devices.
pub(crate) fn user_on(localpart: &str, device_id: &str) -> Actor {
    Actor {
        user_id: format!("@{localpart}:example.org").try_into().unwrap(),
        is_guest: false,
        agent: Agent::User {
            device_id: Some(device_id.into()),
            is_admin: false,
            is_suspended: false,
            rate_limit: None,
        },
    }
}

/// A room, as the body of a request asks for it.
pub(crate) async fn create(
    rooms: &Rooms,
    creator: &Actor,
    body: &str,
) -> Result<CreatedRoom, CreateRoomError> {
    create_room(rooms, creator.active().unwrap(), &Options::parse(rooms, creator, body)?).await
}

/// A public room.
pub(crate) async fn public_room(rooms: &Rooms, creator: &Actor) -> OwnedRoomId {
    create(rooms, creator, r#"{"preset":"public_chat"}"#).await.unwrap().room_id
}

pub(crate) async fn join(rooms: &Rooms, actor: &Actor, room_id: &RoomId) {
    let (target, action) = (&*actor.user_id, Action::Join);
    let content = serde_json::Map::new();
    update(
        rooms,
        actor,
        MembershipUpdate { room_id, target, action, content, origin_server_ts: None },
    )
    .await
    .unwrap();
}

pub(crate) async fn say(
    rooms: &Rooms,
    actor: &Actor,
    room_id: &RoomId,
    txn_id: &str,
) -> OwnedEventId {
    let new = NewMessage {
        room_id,
        event_type: "m.room.message",
        content: r#"{"msgtype":"m.text","body":"hello"}"#,
        txn_id: Some(txn_id),
        origin_server_ts: None,
    };
    send(rooms, actor, new).await.unwrap()
}
