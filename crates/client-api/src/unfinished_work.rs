//! Work of several steps: what one node leaves undone, another does.

use myelin_accounts::{
    AccountsSettings,
    deactivate::deactivate,
    profile,
    registration::{NewAccount, register},
    session::{self, NewSession},
};
use myelin_engine::Intent;
use myelin_http::{RateLimit, RateLimitSettings};
use myelin_model::{Actor, Clock as _};
use myelin_rooms::unfinished::finish_due;
use myelin_storage::{WorkKind, accounts::NewUser};
use myelin_testing::{TestServer, TestUser};
use ruma::OwnedUserId;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    test_rooms::{TestRoom, encode},
    test_server::{self, TestSettings},
};

/// Another node finds what was left undone some time ago.
async fn another_node_looks(server: &TestServer) {
    server.parts.clock.advance_ms(61_000);
    finish_due(&test_server::state(&server.parts).rooms).await;
}

async fn member(room: &TestRoom<'_>, reader: &TestUser, user: &TestUser) -> Value {
    room.get(&format!("state/m.room.member/{}", user.user_id), reader).await.ok()
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_was_deactivated_leaves_after_all(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
    room.join(&bob).await;

    deactivate(&server.parts.accounts, &bob.user_id, false).await.unwrap();
    assert_eq!(member(&room, &alice, &bob).await["membership"], "join");
    another_node_looks(&server).await;

    assert_eq!(member(&room, &alice, &bob).await["membership"], "leave");
    // A request that was under way when the account ended brings Bob back.
    let engine = test_server::engine(&server.parts);
    let mut draft = engine.get_draft(room.id.as_str().try_into().unwrap()).await.unwrap();
    let join = r#"{"membership":"join"}"#;
    draft
        .add(Intent::state(&bob.user_id, "m.room.member", bob.user_id.as_str(), join))
        .await
        .unwrap();
    draft.append().await.unwrap();
    assert_eq!(member(&room, &alice, &bob).await["membership"], "join");
    another_node_looks(&server).await;
    assert_eq!(member(&room, &alice, &bob).await["membership"], "leave");

    another_node_looks(&server).await;
    assert_eq!(server.parts.db.unfinished_work().list_due(u64::MAX, 10).await.unwrap(), []);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn rooms_hear_of_a_new_name_after_all(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = server.user("alice").await;
    let room = TestRoom::create(&server, &alice, json!({})).await;
    let actor = Actor::server(alice.user_id.clone());
    let actor = actor.active().unwrap();

    let name = Some("Alice".into());
    profile::set_field(&server.parts.accounts, actor, "displayname", name).await.unwrap();
    assert_eq!(member(&room, &alice, &alice).await["displayname"], Value::Null);
    another_node_looks(&server).await;

    assert_eq!(member(&room, &alice, &alice).await["displayname"], "Alice");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_name_that_is_refused_for_its_rate_can_be_set_later(pool: PgPool) {
    let server = test_server::open_with(pool, AccountsSettings::default(), |settings| {
        let message = RateLimit { per_second: 2.0, burst_count: 2.0 };
        settings.rate_limits = RateLimitSettings { message, ..RateLimitSettings::unlimited() };
    })
    .await;
    let alice = server.user("alice").await;
    let room = TestRoom::create(&server, &alice, json!({})).await;
    let path = format!("/_matrix/client/v3/profile/{}/displayname", alice.user_id);
    let set = async |name: &str| {
        server.put(&path, Some(&alice), json!({"displayname": name})).await.error().0
    };
    let mut count = 0;
    while set(&format!("name {count}")).await == 200 {
        count += 1;
    }
    let refused = format!("name {count}");
    while set(&refused).await != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }

    assert_eq!(member(&room, &alice, &alice).await["displayname"], refused);
}

async fn add_guest(server: &TestServer) -> TestUser {
    let new = NewUser {
        user_id: "@guest:example.org".try_into().unwrap(),
        password_hash: None,
        created_ts: server.parts.clock.now_ms(),
        user_type: None,
        appservice_id: None,
        is_guest: true,
        is_admin: false,
    };
    server.add_user(new).await
}

/// A public room with a guest in it.
async fn open_room<'a>(server: &'a TestServer, users: [&TestUser; 3]) -> TestRoom<'a> {
    let [alice, bob, guest] = users;
    let room = TestRoom::create(server, alice, json!({"preset": "public_chat"})).await;
    room.set_state(alice, "m.room.guest_access", json!({"guest_access": "can_join"})).await;
    room.join(bob).await;
    room.join(guest).await;
    room
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn guests_leave_a_room_that_closes(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let guest = add_guest(&server).await;
    let close = json!({"guest_access": "forbidden"});
    let room = open_room(&server, [&alice, &bob, &guest]).await;
    let path = room.path("state/m.room.guest_access");
    assert_eq!(server.put(&path, Some(&bob), close.clone()).await.status, 403);
    assert_eq!(member(&room, &alice, &guest).await["membership"], "join");

    room.set_state(&alice, "m.room.guest_access", close).await;

    assert_eq!(member(&room, &alice, &guest).await["membership"], "leave");
    assert_eq!(member(&room, &alice, &bob).await["membership"], "join");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn guests_leave_a_room_whose_opening_is_redacted(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let guest = add_guest(&server).await;
    for by_sending in [false, true] {
        let room = open_room(&server, [&alice, &bob, &guest]).await;
        let access = room.get("state/m.room.guest_access?format=event", &alice).await.ok();
        let opening = access["event_id"].as_str().unwrap();
        if by_sending {
            room.send(&alice, "m.room.redaction", json!({"redacts": opening})).await;
        } else {
            let path = room.path(&format!("redact/{}/1", encode(opening)));
            server.put(&path, Some(&alice), json!({})).await.ok();
        }
        assert_eq!(member(&room, &alice, &guest).await["membership"], "leave");
        assert_eq!(member(&room, &alice, &bob).await["membership"], "join");
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn guests_leave_after_all(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let guest = add_guest(&server).await;
    let room = open_room(&server, [&alice, &bob, &guest]).await;
    let engine = test_server::engine(&server.parts);
    // The node that closes the room dies before it takes the guests out.
    let mut tx = server.parts.db.begin().await.unwrap();
    let now_ms = server.parts.clock.now_ms();
    tx.unfinished_work().add(WorkKind::RemoveGuests, &room.id, now_ms).await.unwrap();
    tx.commit().await.unwrap();
    let mut draft = engine.get_draft(room.id.as_str().try_into().unwrap()).await.unwrap();
    let close = r#"{"guest_access":"forbidden"}"#;
    draft.add(Intent::state(&alice.user_id, "m.room.guest_access", "", close)).await.unwrap();
    draft.append().await.unwrap();
    assert_eq!(member(&room, &alice, &guest).await["membership"], "join");

    another_node_looks(&server).await;

    assert_eq!(member(&room, &alice, &guest).await["membership"], "leave");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_is_new_joins_after_all(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = server.user("alice").await;
    let body = json!({"preset": "public_chat", "room_alias_name": "all"});
    let room = TestRoom::create(&server, &alice, body).await;
    let rooms = || {
        let mut settings = TestSettings::default();
        settings.rooms.auto_join.aliases = vec!["#all:example.org".try_into().unwrap()];
        test_server::state_with(&server.parts, settings).rooms
    };
    // The node that registers them dies before they join.
    for name in ["bob", "carol"] {
        let account = NewAccount {
            user_id: Some(format!("@{name}:example.org").try_into().unwrap()),
            joins_rooms: true,
            ..NewAccount::default()
        };
        register(&server.parts.accounts, account).await.unwrap();
    }
    let carol = OwnedUserId::try_from("@carol:example.org").unwrap();
    let session = session::start(&server.parts.accounts, &carol, &NewSession::default()).await;
    let session = session.unwrap();
    let carol =
        TestUser { user_id: carol, device_id: session.device_id, token: session.access_token };
    // One was there already, and has left since.
    room.join(&carol).await;
    room.leave(&carol).await;

    server.parts.clock.advance_ms(61_000);
    finish_due(&rooms()).await;

    let members = room.get("joined_members", &alice).await.ok();
    let members: Vec<_> = members["joined"].as_object().unwrap().keys().collect();
    assert_eq!(members, ["@alice:example.org", "@bob:example.org"]);
    assert_eq!(server.parts.db.unfinished_work().list_due(u64::MAX, 10).await.unwrap(), []);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_is_kept_of_a_room_comes_along_after_all(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let old = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
    let tags =
        |room: &str| format!("/_matrix/client/v3/user/{}/rooms/{}/tags", bob.user_id, encode(room));
    let tag = format!("{}/u.work", tags(&old.id));
    old.join(&bob).await;
    server.put(&tag, Some(&bob), json!({"order": 0.5})).await.ok();
    old.leave(&bob).await;
    let answer =
        server.post(&old.path("upgrade"), Some(&alice), json!({"new_version": "11"})).await;
    let new = answer.ok()["replacement_room"].as_str().unwrap().to_owned();
    // The node that Bob joins by dies before it carries anything over.
    let engine = test_server::engine(&server.parts);
    let mut tx = server.parts.db.begin().await.unwrap();
    let subject = format!("{new} {}", bob.user_id);
    let now_ms = server.parts.clock.now_ms();
    tx.unfinished_work().add(WorkKind::CarryOverFor, &subject, now_ms).await.unwrap();
    tx.commit().await.unwrap();
    let mut draft = engine.get_draft(new.as_str().try_into().unwrap()).await.unwrap();
    let join = r#"{"membership":"join"}"#;
    let join = Intent::state(&bob.user_id, "m.room.member", bob.user_id.as_str(), join);
    draft.add(join).await.unwrap();
    draft.append().await.unwrap();
    assert_eq!(server.get(&tags(&new), Some(&bob)).await.ok()["tags"], json!({}));

    another_node_looks(&server).await;

    let expect = json!({"u.work": {"order": 0.5}});
    assert_eq!(server.get(&tags(&new), Some(&bob)).await.ok()["tags"], expect);
}
