//! The costs of requests in statements, against `tests/budgets/statements.tsv`.
//!
//! The numbers are exact: they change only when the code does, and who changes them says so in the same commit. See
//! docs/testing.md, "Budgets".

use myelin_testing::{Ledger, TestResponse, TestServer, TestUser};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    branches,
    test_rooms::{TestRoom, encode},
    test_server,
};

const V3: &str = "/_matrix/client/v3";
const OFFLINE: &str = "set_presence=offline";

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn statements_are_as_written_down(pool: PgPool) {
    let mut ledger = Ledger::new(&pool, "statements.tsv");
    let (room, since) = {
        let server = test_server::open(pool.clone()).await;
        accounts(&mut ledger, &server).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = entering(&mut ledger, &server, &alice, &bob).await;
        sending(&mut ledger, &room, &alice).await;
        reading(&mut ledger, &room, &alice).await;
        let since = syncing(&mut ledger, &room, &alice, &bob).await;
        branched(&mut ledger, &server, alice).await;
        (room.id, since)
    };
    cold(&mut ledger, &pool, &room, &since).await;
    // Last, as many users change their devices there, of whom others hear.
    keys(&mut ledger, &test_server::open(pool).await).await;
    ledger.check();
}

/// Signing in and what belongs to a user.
async fn accounts(ledger: &mut Ledger, server: &TestServer) {
    let dave = test_server::register(server, "dave", "wrong horse").await;
    let log_in = json!({"type": "m.login.password", "user": "dave", "password": "wrong horse"});
    let profile = format!("{V3}/profile/{}", dave.user_id);
    for kind in ["first", "again"] {
        let body = log_in.clone();
        let answer =
            ledger.note("login", kind, server.post(&format!("{V3}/login"), None, body)).await.ok();
        let device =
            TestUser { token: answer["access_token"].as_str().unwrap().to_owned(), ..dave.clone() };
        let get = |path: String| owned::get(server, path, &device);
        ledger.note("whoami", kind, get(format!("{V3}/account/whoami"))).await.ok();
        ledger.note("devices", kind, get(format!("{V3}/devices"))).await.ok();
        ledger.note("pushrules", kind, get(format!("{V3}/pushrules/"))).await.ok();
        let name = json!({"displayname": kind});
        let path = format!("{profile}/displayname");
        ledger
            .note("set_displayname_no_rooms", kind, server.put(&path, Some(&device), name))
            .await
            .ok();
        ledger.note("profile", kind, get(profile.clone())).await.ok();
        let data = json!({"kind": kind});
        let path = format!("{V3}/user/{}/account_data/org.example", dave.user_id);
        ledger.note("set_account_data", kind, server.put(&path, Some(&device), data)).await.ok();
        ledger.note("account_data", kind, get(path.clone())).await.ok();
        let filter = json!({"room": {"timeline": {"limit": kind.len()}}});
        let path = format!("{V3}/user/{}/filter", dave.user_id);
        let made = ledger
            .note("create_filter", kind, server.post(&path, Some(&device), filter))
            .await
            .ok();
        let id = made["filter_id"].as_str().unwrap().to_owned();
        ledger.note("filter", kind, get(format!("{path}/{id}"))).await.ok();
        let out = server.post(&format!("{V3}/logout"), Some(&device), json!({})).await;
        out.ok();
    }
}

/// Making a room and coming into it.
async fn entering<'a>(
    ledger: &mut Ledger,
    server: &'a TestServer,
    alice: &TestUser,
    bob: &TestUser,
) -> TestRoom<'a> {
    let mut rooms = Vec::new();
    for kind in ["first", "again"] {
        let options = json!({"preset": "public_chat", "name": "a room"});
        let made = owned::post(server, format!("{V3}/createRoom"), alice, options);
        let made = ledger.note("create_room", kind, made).await.ok();
        let room = TestRoom { server, id: made["room_id"].as_str().unwrap().to_owned() };
        let carol = server.user(&format!("carol_{kind}")).await;
        ledger.note("join", kind, act(&room, bob, "join", json!({}))).await.ok();
        let whom = json!({"user_id": carol.user_id});
        ledger.note("invite", kind, act(&room, alice, "invite", whom.clone())).await.ok();
        ledger.note("join_invited", kind, act(&room, &carol, "join", json!({}))).await.ok();
        ledger.note("leave", kind, act(&room, &carol, "leave", json!({}))).await.ok();
        ledger.note("ban", kind, act(&room, alice, "ban", whom)).await.ok();
        rooms.push(room);
    }
    rooms.pop().unwrap()
}

async fn act(room: &TestRoom<'_>, user: &TestUser, what: &str, body: Value) -> TestResponse {
    room.server.post(&room.path(what), Some(user), body).await
}

/// Count the requests that write into a room.
async fn sending(ledger: &mut Ledger, room: &TestRoom<'_>, alice: &TestUser) {
    let server = room.server;
    let me = encode(alice.user_id.as_str());
    for kind in ["first", "again"] {
        let put = |path: &str, body: Value| owned::put(server, room.path(path), alice, body);
        let text = json!({"msgtype": "m.text", "body": kind});
        let path = format!("send/m.room.message/budget_{kind}");
        let sent = ledger.note("send", kind, put(&path, text.clone())).await.ok();
        ledger.note("send_repeated", kind, put(&path, text)).await.ok();
        let event = encode(sent["event_id"].as_str().unwrap());
        let topic = json!({"topic": kind});
        ledger.note("set_state", kind, put("state/m.room.topic", topic)).await.ok();
        let receipt =
            owned::post(server, room.path(&format!("receipt/m.read/{event}")), alice, json!({}));
        ledger.note("receipt", kind, receipt).await.ok();
        let markers = json!({"m.fully_read": sent["event_id"], "m.read": sent["event_id"]});
        let markers = owned::post(server, room.path("read_markers"), alice, markers);
        ledger.note("read_markers", kind, markers).await.ok();
        let typing = json!({"typing": kind == "first", "timeout": 10_000});
        ledger.note("typing", kind, put(&format!("typing/{me}"), typing)).await.ok();
        let redact = put(&format!("redact/{event}/redact_{kind}"), json!({}));
        ledger.note("redact", kind, redact).await.ok();
        let name = json!({"displayname": format!("Alice {kind}")});
        let path = format!("{V3}/profile/{me}/displayname");
        ledger
            .note("set_displayname_two_rooms", kind, owned::put(server, path, alice, name))
            .await
            .ok();
    }
}

/// Count the requests that read a room.
async fn reading(ledger: &mut Ledger, room: &TestRoom<'_>, alice: &TestUser) {
    for n in 0..12 {
        room.text(alice, &format!("text {n}")).await;
    }
    let event = encode(&room.text(alice, "last").await);
    for kind in ["first", "again"] {
        for (name, path) in [
            ("messages", "messages?dir=b&limit=10".to_owned()),
            ("members", "members".to_owned()),
            ("joined_members", "joined_members".to_owned()),
            ("state", "state".to_owned()),
            ("state_of_key", "state/m.room.name".to_owned()),
            ("event", format!("event/{event}")),
            ("context", format!("context/{event}?limit=4")),
        ] {
            ledger.note(name, kind, room.get(&path, alice)).await.ok();
        }
        for (name, path) in [
            ("joined_rooms", format!("{V3}/joined_rooms")),
            ("public_rooms", format!("{V3}/publicRooms")),
        ] {
            ledger.note(name, kind, room.server.get(&path, Some(alice))).await.ok();
        }
    }
}

fn token(answer: TestResponse) -> String {
    answer.ok()["next_batch"].as_str().unwrap().to_owned()
}

/// `/sync` of a user who keeps up. Gives Bob's last token.
async fn syncing(
    ledger: &mut Ledger,
    room: &TestRoom<'_>,
    alice: &TestUser,
    bob: &TestUser,
) -> String {
    let server = room.server;
    let sync = |since: &str| {
        let since = if since.is_empty() { String::new() } else { format!("&since={since}") };
        owned::get(server, format!("{V3}/sync?{OFFLINE}{since}"), bob)
    };
    let mut since = String::new();
    for kind in ["first", "again"] {
        since = token(ledger.note("sync_initial", kind, sync("")).await);
    }
    for kind in ["first", "again"] {
        room.text(alice, kind).await;
        since = token(ledger.note("sync_message", kind, sync(&since)).await);
        room.set_state(alice, "m.room.topic", json!({"topic": format!("sync {kind}")})).await;
        since = token(ledger.note("sync_state", kind, sync(&since)).await);
        since = token(ledger.note("sync_nothing", kind, sync(&since)).await);
        old_sync(ledger, room, alice, bob, (kind, &since)).await;
    }
    for n in 0..14 {
        room.text(alice, &format!("missed {n}")).await;
    }
    since
}

/// Hearing by what stood in the place of sync before. Bob has heard everything up to `since`.
async fn old_sync(
    ledger: &mut Ledger,
    room: &TestRoom<'_>,
    alice: &TestUser,
    bob: &TestUser,
    (kind, since): (&'static str, &str),
) {
    let get = |path: String| owned::get(room.server, format!("{V3}/{path}"), bob);
    room.text(alice, "heard by events").await;
    let events = format!("events?timeout=0&from={since}");
    ledger.note("events", kind, get(events)).await.ok();
    ledger.note("initial_sync", kind, get("initialSync".to_owned())).await.ok();
    let path = format!("rooms/{}/initialSync", encode(&room.id));
    ledger.note("room_initial_sync", kind, get(path)).await.ok();
}

/// Keys of a hundred users with one device each.
async fn keys(ledger: &mut Ledger, server: &TestServer) {
    let mut users = Vec::new();
    for number in 0..100 {
        users.push(server.user(&format!("keys_{number}")).await);
    }
    let first = users[0].clone();
    for kind in ["first", "again"] {
        let path = format!("{V3}/keys/upload");
        let upload = owned::post(server, path.clone(), &first, key_upload(&first, kind));
        ledger.note("keys_upload", kind, upload).await.ok();
        let counts = owned::post(server, path, &first, json!({}));
        ledger.note("keys_upload_nothing", kind, counts).await.ok();
        for user in &users {
            let upload = key_upload(user, kind);
            server.post(&format!("{V3}/keys/upload"), Some(user), upload).await.ok();
        }
        let all = |of_user: Value| -> Value {
            users.iter().map(|user| (user.user_id.to_string(), of_user.clone())).collect()
        };
        let wanted = json!({ "device_keys": all(json!([])) });
        let query = owned::post(server, format!("{V3}/keys/query"), &first, wanted);
        ledger.note("keys_query_100_users", kind, query).await.ok();
        let wanted = json!({ "one_time_keys": all(json!({"DEV": "signed_curve25519"})) });
        let claim = owned::post(server, format!("{V3}/keys/claim"), &first, wanted);
        ledger.note("keys_claim_100_devices", kind, claim).await.ok();
        let sync = owned::get(server, format!("{V3}/sync?{OFFLINE}"), &first).await;
        let path = format!("{V3}/keys/changes?from={}", token(sync));
        ledger.note("keys_changes", kind, owned::get(server, path, &first)).await.ok();
    }
}

/// The body of an upload of all kinds of keys.
fn key_upload(user: &TestUser, kind: &str) -> Value {
    let key = json!({"key": kind, "signatures": {}});
    json!({
        "device_keys": {"user_id": user.user_id, "device_id": user.device_id, "algorithms": [kind], "keys": {}, "signatures": {}},
        "one_time_keys": {format!("signed_curve25519:{kind}"): key},
        "fallback_keys": {format!("signed_curve25519:{kind}"): key},
    })
}

/// Reading a room that had branches, and did not always show its history to those who join later.
async fn branched(ledger: &mut Ledger, server: &TestServer, alice: TestUser) {
    let carol = server.user("carol").await;
    let story = branches::tell(server, alice, carol).await;
    let room = encode(&story.room_id);
    for kind in ["first", "again"] {
        for (name, path) in [
            ("messages_branched", format!("rooms/{room}/messages?dir=b&limit=20")),
            ("sync_branched", format!("sync?{OFFLINE}&since={}", story.since)),
        ] {
            let request = owned::get(server, format!("{V3}/{path}"), &story.carol);
            ledger.note(name, kind, request).await.ok();
        }
    }
}

/// The same on nodes that have just started: each request is the first of its node.
async fn cold(ledger: &mut Ledger, pool: &PgPool, room: &str, since: &str) {
    let room = encode(room);
    let text = json!({"msgtype": "m.text", "body": "from a cold node"});
    for (name, user, method, path, body) in [
        ("whoami", "bob", "GET", "account/whoami".to_owned(), Value::Null),
        ("sync_initial", "bob", "GET", format!("sync?{OFFLINE}"), Value::Null),
        ("sync_missed", "bob", "GET", format!("sync?{OFFLINE}&since={since}"), Value::Null),
        ("messages", "bob", "GET", format!("rooms/{room}/messages?dir=b&limit=10"), Value::Null),
        ("members", "bob", "GET", format!("rooms/{room}/members"), Value::Null),
        ("send", "bob", "PUT", format!("rooms/{room}/send/m.room.message/cold"), text),
        (
            "set_state",
            "alice",
            "PUT",
            format!("rooms/{room}/state/m.room.topic"),
            json!({"topic": "cold"}),
        ),
        ("leave", "bob", "POST", format!("rooms/{room}/leave"), json!({})),
        ("join", "bob", "POST", format!("rooms/{room}/join"), json!({})),
        ("create_room", "bob", "POST", "createRoom".to_owned(), json!({"preset": "private_chat"})),
    ] {
        let node = test_server::open(pool.clone()).await;
        let user = TestUser {
            user_id: format!("@{user}:example.org").try_into().unwrap(),
            device_id: "DEV".into(),
            token: format!("token-{user}"),
        };
        let body = (!body.is_null()).then_some(body);
        let path = format!("{V3}/{path}");
        let request = node.request(method.parse().unwrap(), &path, Some(&user), body);
        ledger.note(name, "cold", request).await.ok();
        // A node that stops while its tasks still work would leave statements to the next.
        drop(node);
    }
}

/// Requests that own their path, so that they can be made before they are counted.
mod owned {
    use super::{TestResponse, TestServer, TestUser, Value};

    pub(super) async fn get(server: &TestServer, path: String, user: &TestUser) -> TestResponse {
        server.get(&path, Some(user)).await
    }

    pub(super) async fn post(
        server: &TestServer,
        path: String,
        user: &TestUser,
        body: Value,
    ) -> TestResponse {
        server.post(&path, Some(user), body).await
    }

    pub(super) async fn put(
        server: &TestServer,
        path: String,
        user: &TestUser,
        body: Value,
    ) -> TestResponse {
        server.put(&path, Some(user), body).await
    }
}
