//! Settings that take something from clients or add to it, as clients see it. Keys of one endpoint are tested in its
//! file.

use myelin_accounts::{AccountsSettings, Disabled};
use myelin_events::SigningKey;
use myelin_sync::PrejoinState;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{test_rooms::TestRoom, test_server};

const BLOCKED: (u16, &str) = (403, "M_RESOURCE_LIMIT_EXCEEDED");

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_blocked_server_can_be_read(pool: PgPool) {
    let open = test_server::open(pool.clone()).await;
    let alice = test_server::register(&open, "alice", "secret").await;
    let room = TestRoom::create(&open, &alice, json!({})).await;
    let settings = AccountsSettings {
        enable_registration: true,
        disabled: Some(Disabled {
            message: "Back at noon".to_owned(),
            admin_contact: Some("mailto:admin@example.org".to_owned()),
        }),
        ..AccountsSettings::default()
    };
    let server = test_server::open_with(pool, settings, |_| {}).await;
    let room = TestRoom { server: &server, id: room.id };

    let refused = server.get("/_matrix/client/v3/sync", Some(&alice)).await;
    assert_eq!(refused.error(), BLOCKED);
    let expected = json!({"errcode": "M_RESOURCE_LIMIT_EXCEEDED", "error": "Back at noon",
        "admin_contact": "mailto:admin@example.org", "limit_type": "hs_disabled"});
    assert_eq!(refused.body, expected);
    let message = json!({"msgtype": "m.text", "body": "hi"});
    let path = room.path("send/m.room.message/t");
    assert_eq!(server.put(&path, Some(&alice), message).await.error(), BLOCKED);
    let path = room.path("state/m.room.topic");
    assert_eq!(server.put(&path, Some(&alice), json!({"topic": "t"})).await.error(), BLOCKED);
    assert_eq!(server.post(&room.path("leave"), Some(&alice), json!({})).await.error(), BLOCKED);
    let login = json!({"type": "m.login.password", "user": "alice", "password": "secret"});
    let path = "/_matrix/client/v3/login";
    assert_eq!(server.post(path, None, login).await.error(), BLOCKED);
    let path = "/_matrix/client/v3/register";
    assert_eq!(server.post(path, None, json!({"username": "bob"})).await.error(), BLOCKED);
    room.get("state", &alice).await.ok();
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn passwords_can_be_for_reauthentication_only(pool: PgPool) {
    let open = test_server::open(pool.clone()).await;
    let alice = test_server::register(&open, "alice", "secret").await;
    let change = json!({"new_password": "another", "auth": {"type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": "alice"}, "password": "secret"}});
    let (login, path) = ("/_matrix/client/v3/login", "/_matrix/client/v3/account/password");
    let password = json!({"type": "m.login.password", "user": "alice", "password": "secret"});

    let never = AccountsSettings {
        password_enabled: false,
        password_reauth_enabled: false,
        ..AccountsSettings::default()
    };
    let server = test_server::open_with(pool.clone(), never.clone(), |_| {}).await;
    let refused = server.post(path, Some(&alice), change.clone()).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.body["flows"], json!([]));
    let reauth = AccountsSettings { password_reauth_enabled: true, ..never };
    let server = test_server::open_with(pool, reauth, |_| {}).await;
    assert_eq!(server.post(login, None, password).await.error(), (400, "M_UNKNOWN"));
    server.post(path, Some(&alice), change).await.ok();
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_server_can_be_without_a_list_of_rooms(pool: PgPool) {
    let open = test_server::open(pool.clone()).await;
    let alice = open.user("alice").await;
    let room = TestRoom::create(&open, &alice, json!({"preset": "public_chat"})).await;
    let nid = open.parts.db.heads().find_nid(room.id.as_str().try_into().unwrap()).await.unwrap();
    let mut tx = open.parts.db.begin().await.unwrap();
    tx.directory().add(nid.unwrap(), myelin_storage::DirectoryList::default()).await.unwrap();
    tx.commit().await.unwrap();
    let path = "/_matrix/client/v3/publicRooms";
    let listed = open.get(path, Some(&alice)).await.ok();
    assert_eq!(listed["chunk"].as_array().unwrap().len(), 1);

    let server = test_server::open_with(pool, AccountsSettings::default(), |settings| {
        settings.rooms.room_list_enabled = false;
    })
    .await;
    let list = server.get(path, Some(&alice)).await.ok();
    assert_eq!((&list["chunk"], &list["total_room_count_estimate"]), (&json!([]), &json!(0)));
    let visibility = format!("/_matrix/client/v3/directory/list/room/{}", room.id);
    let refused = server.put(&visibility, Some(&alice), json!({"visibility": "public"})).await;
    assert_eq!(refused.error(), (403, "M_FORBIDDEN"));
    server.put(&visibility, Some(&alice), json!({"visibility": "private"})).await.ok();
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn users_can_have_one_name_in_all_rooms(pool: PgPool) {
    let server = test_server::open_with(pool, AccountsSettings::default(), |settings| {
        settings.rooms.per_room_profiles = false;
    })
    .await;
    let alice = server.user("alice").await;
    let path = "/_matrix/client/v3/profile/@alice:example.org/displayname";
    server.put(path, Some(&alice), json!({"displayname": "Alice"})).await.ok();
    let room = TestRoom::create(&server, &alice, json!({})).await;
    let other = json!({"membership": "join", "displayname": "A.", "avatar_url": "mxc://h/a"});
    room.set_state(&alice, "m.room.member/@alice:example.org", other).await;

    let member = room.get("state/m.room.member/@alice:example.org", &alice).await.ok();
    assert_eq!(member, json!({"membership": "join", "displayname": "Alice"}));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn rooms_can_be_kept_from_sync(pool: PgPool) {
    let open = test_server::open(pool.clone()).await;
    let (alice, bob) = (open.user("alice").await, open.user("bob").await);
    let hidden = TestRoom::create(&open, &alice, json!({})).await;
    let shown = TestRoom::create(&open, &alice, json!({})).await;
    let server = test_server::open_with(pool, AccountsSettings::default(), |settings| {
        settings.sync.excluded_rooms.insert(hidden.id.as_str().try_into().unwrap());
    })
    .await;
    let sync = async |user, since: &str| {
        server.get(&format!("/_matrix/client/v3/sync?timeout=0{since}"), Some(user)).await.ok()
    };
    let rooms = |answer: &Value, kind: &str| {
        let rooms = answer["rooms"][kind].as_object();
        rooms.map(|rooms| rooms.keys().cloned().collect::<Vec<_>>()).unwrap_or_default()
    };

    let first = sync(&alice, "").await;
    assert_eq!(rooms(&first, "join"), [&*shown.id]);
    let here = |room: &TestRoom<'_>| TestRoom { server: &server, id: room.id.clone() };
    let (hidden, shown) = (here(&hidden), here(&shown));
    hidden.text(&alice, "psst").await;
    shown.text(&alice, "hello").await;
    hidden.invite(&alice, &bob).await;
    let since = format!("&since={}", first["next_batch"].as_str().unwrap());
    assert_eq!(rooms(&sync(&alice, &since).await, "join"), [&*shown.id]);
    assert_eq!(rooms(&sync(&bob, "").await, "invite"), [""; 0]);
    hidden.leave(&alice).await;
    assert_eq!(rooms(&sync(&alice, &since).await, "leave"), [""; 0]);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_invited_see_the_state_that_is_configured(pool: PgPool) {
    let server = test_server::open_with(pool, AccountsSettings::default(), |settings| {
        settings.sync.prejoin_state = PrejoinState {
            without_usual: true,
            additional: vec![
                ("org.example.all".to_owned(), None),
                ("org.example.one".to_owned(), Some("a".to_owned())),
            ],
        };
    })
    .await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = TestRoom::create(&server, &alice, json!({"name": "Den"})).await;
    for key in ["all/a", "all/b", "one/a", "one/b"] {
        room.set_state(&alice, &format!("org.example.{key}"), json!({})).await;
    }
    room.invite(&alice, &bob).await;

    let answer = server.get("/_matrix/client/v3/sync?timeout=0", Some(&bob)).await.ok();
    let events = answer["rooms"]["invite"][&room.id]["invite_state"]["events"].as_array().unwrap();
    let text = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
    let mut seen: Vec<_> = events
        .iter()
        .map(|event| format!("{} {}", text(event, "type"), text(event, "state_key")))
        .collect();
    seen.sort_unstable();
    let expected = [
        "m.room.create ",
        "m.room.member @alice:example.org",
        "m.room.member @bob:example.org",
        "org.example.all a",
        "org.example.all b",
        "org.example.one a",
    ];
    assert_eq!(seen, expected);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_takes_no_invites_gets_none(pool: PgPool) {
    const INVITE_BLOCKED: (u16, &str) = (403, "M_INVITE_BLOCKED");
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let early = TestRoom::create(&server, &alice, json!({})).await;
    early.invite(&alice, &bob).await;
    let sync = async || {
        let answer = server.get("/_matrix/client/v3/sync?timeout=0", Some(&bob)).await.ok();
        answer["rooms"]["invite"].as_object().map_or(0, serde_json::Map::len)
    };
    assert_eq!(sync().await, 1);
    let path = "/_matrix/client/v3/user/@bob:example.org/account_data/m.invite_permission_config";
    server.put(path, Some(&bob), json!({"default_action": "block"})).await.ok();

    assert_eq!(sync().await, 0, "what came before is hidden");
    let room = TestRoom::create(&server, &alice, json!({})).await;
    let invited = json!({"user_id": bob.user_id});
    let refused = server.post(&room.path("invite"), Some(&alice), invited).await;
    assert_eq!(refused.error(), INVITE_BLOCKED);
    let path_to_state = room.path("state/m.room.member/@bob:example.org");
    let refused = server.put(&path_to_state, Some(&alice), json!({"membership": "invite"})).await;
    assert_eq!(refused.error(), INVITE_BLOCKED);
    let body = json!({"invite": [bob.user_id]});
    let refused = server.post("/_matrix/client/v3/createRoom", Some(&alice), body).await;
    assert_eq!(refused.error(), INVITE_BLOCKED);
    let member = json!({"type": "m.room.member", "state_key": bob.user_id,
        "content": {"membership": "invite"}});
    let body = json!({"initial_state": [member]});
    let refused = server.post("/_matrix/client/v3/createRoom", Some(&alice), body).await;
    assert_eq!(refused.error(), INVITE_BLOCKED);
    server.put(path, Some(&bob), json!({})).await.ok();
    room.invite(&alice, &bob).await;
    assert_eq!(sync().await, 2);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_signature_lets_in_who_was_invited_by_an_address(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let carol = server.user("carol").await;
    let room = TestRoom::create(&server, &alice, json!({"preset": "private_chat"})).await;
    let key = SigningKey::from_seed(&[9; 32], "0");
    let public = key.public_key().to_base64();
    let invitation = json!({"display_name": "b...", "public_key": public,
        "key_validity_url": "https://id.example/valid", "public_keys": [{"public_key": public}]});
    room.set_state(&alice, "m.room.third_party_invite/tok", invitation).await;
    let signed = |user: &myelin_testing::TestUser| -> Value {
        let signed = json!({"mxid": user.user_id, "sender": alice.user_id, "token": "tok"});
        serde_json::from_str(&key.sign_json("id.example", &signed.to_string()).unwrap()).unwrap()
    };

    let stolen = json!({"third_party_signed": signed(&bob)});
    let refused = server.post(&room.path("join"), Some(&carol), stolen).await;
    assert_eq!(refused.error(), (403, "M_FORBIDDEN"));
    let mut forged = signed(&carol);
    forged["signatures"] = signed(&bob)["signatures"].clone();
    let body = json!({"third_party_signed": forged});
    let refused = server.post(&room.path("join"), Some(&carol), body).await;
    assert_eq!(refused.error(), (403, "M_FORBIDDEN"));
    let body = json!({"third_party_signed": {"sender": 1}});
    let refused = server.post(&room.path("join"), Some(&carol), body).await;
    assert_eq!(refused.error(), (400, "M_BAD_JSON"));
    let body = json!({"third_party_signed": signed(&bob)});
    server.post(&room.path("join"), Some(&bob), body).await.ok();

    let members = room.get("joined_members", &bob).await.ok();
    assert!(members["joined"].get("@bob:example.org").is_some(), "{members}");
}
