//! Requests of strangers who look for weaknesses: unknown methods, NUL characters, pages in frames.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    test_rooms::{TestRoom, encode},
    test_server,
};

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn unknown_methods_are_refused_at_the_door(pool: PgPool) {
    let server = test_server::open(pool).await;
    for path in ["/_matrix/client/v3/sync", "/nowhere"] {
        let request = Request::builder().method("BREW").uri(path).body(Body::empty()).unwrap();
        assert_eq!(server.send(request).await.error(), (405, "M_UNRECOGNIZED"), "{path}");
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn pages_are_not_framed_and_answers_not_kept(pool: PgPool) {
    let server = test_server::open(pool).await;
    let challenge = server.post("/_matrix/client/v3/register", None, json!({})).await;
    let session = challenge.body["session"].as_str().unwrap();
    let stage =
        |stage: &str| format!("/_matrix/client/v3/auth/{stage}/fallback/web?session={session}");
    for path in [
        "/_matrix/static/client/login/".to_owned(),
        stage("m.login.dummy"),
        stage("m.login.registration_token"),
    ] {
        let page = server.get(&path, None).await;
        assert_eq!(page.headers["x-frame-options"], "DENY", "{path}");
        assert_eq!(page.headers["content-security-policy"], "frame-ancestors 'none';", "{path}");
    }
    for path in ["/_matrix/static/client/login/", "/_matrix/client/v3/login"] {
        let answer = server.get(path, None).await;
        assert_eq!(
            answer.headers["cache-control"], "no-cache, no-store, must-revalidate",
            "{path}"
        );
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_body_that_is_no_text_is_no_json_even_where_nobody_looks(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = server.user("alice").await;
    let request = Request::builder()
        .method("POST")
        .uri("/_matrix/client/v3/publicRooms")
        .header("Authorization", format!("Bearer {}", alice.token))
        .body(Body::from(&b"{\"ignored\":\"\xff\"}"[..]))
        .unwrap();
    assert_eq!(server.send(request).await.error(), (400, "M_NOT_JSON"));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn strangers_have_little_to_say(pool: PgPool) {
    let server = test_server::open(pool).await;
    let body = json!({"type": "m.login.password", "x": vec![0; 40_000]});
    for path in ["login", "register", "refresh"] {
        let path = format!("/_matrix/client/v3/{path}");
        let refused = server.post(&path, None, body.clone()).await;
        assert_eq!(refused.error(), (413, "M_TOO_LARGE"), "{path}");
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn nul_characters_are_refused_where_they_are_names(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = server.user("alice").await;
    let room = TestRoom::create(&server, &alice, json!({})).await;
    let user = format!("/_matrix/client/v3/user/{}", alice.user_id);
    let profile = format!("/_matrix/client/v3/profile/{}", alice.user_id);
    let presence = format!("/_matrix/client/v3/presence/{}/status", alice.user_id);
    let puts: [(String, Value); 8] = [
        (room.path("send/m.a%00b/t1"), json!({})),
        (room.path("send/m.room.message/t%001"), json!({"body": "x"})),
        (room.path("state/org.example/a%00b"), json!({})),
        (format!("{user}/account_data/a%00b"), json!({})),
        (format!("{profile}/displayname"), json!({"displayname": "a\0b"})),
        (format!("{profile}/org.example"), json!({"org.example": "a\0b"})),
        ("/_matrix/client/v3/devices/DEV".to_owned(), json!({"display_name": "a\0b"})),
        (presence.clone(), json!({"presence": "online", "status_msg": "a\0b"})),
    ];
    for (path, body) in puts {
        let answer = server.put(&path, Some(&alice), body).await;
        // What is kept as JSON may have one, as an escape.
        if path.ends_with("org.example") {
            answer.ok();
        } else {
            assert_eq!(answer.error(), (400, "M_INVALID_PARAM"), "{path}: {}", answer.text);
        }
    }
    let posts = [
        ("login", json!({"type": "m.login.password", "user": "a\0b", "password": "x"})),
        (
            "createRoom",
            json!({"initial_state": [{"type": "a\0b", "state_key": "", "content": {}}]}),
        ),
        (
            "register",
            json!({"auth": {"type": "m.login.dummy", "session": "a\0b"}, "password": "x"}),
        ),
        (
            "register",
            json!({"username": "x", "password": "x", "device_id": "a\0b", "auth": {"type": "m.login.dummy"}}),
        ),
        ("pushers/set", json!({"app_id": "a\0b", "pushkey": "a", "kind": null})),
        ("keys/upload", json!({"one_time_keys": {"a:b\0": "x"}})),
        ("keys/claim", json!({"one_time_keys": {"@a:b": {"a\0b": "x"}}})),
    ];
    for (path, body) in posts {
        let answer = server.post(&format!("/_matrix/client/v3/{path}"), Some(&alice), body).await;
        let status = answer.status.as_u16();
        assert!((400..500).contains(&status), "{path}: {status} {}", answer.text);
    }
    // Strangers do not get as far as the database.
    for path in ["login", "register", "refresh"] {
        let body = json!({"refresh_token": "a\0b", "auth": {"session": "a\0b"}, "user": "a\0b"});
        let answer = server.post(&format!("/_matrix/client/v3/{path}"), None, body).await;
        assert_eq!(answer.body["error"], "Parameters must not contain NUL characters", "{path}");
    }
    let form = Body::from("token=a%00b");
    let path = "/_matrix/client/v3/auth/m.login.registration_token/fallback/web?session=x";
    let request = Request::builder().method("POST").uri(path).body(form).unwrap();
    assert_eq!(server.send(request).await.body["error"], "The form has a NUL character");
    let query = "/_matrix/client/v1/register/m.login.registration_token/validity?token=a%00b";
    assert_eq!(server.get(query, None).await.error(), (400, "M_INVALID_PARAM"));
    room.send(&alice, "m.room.message", json!({"msgtype": "m.text", "body": "a\0b"})).await;
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn nul_characters_name_nothing_that_could_be_read(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = server.user("alice").await;
    let room = TestRoom::create(&server, &alice, json!({})).await;
    let user = format!("/_matrix/client/v3/user/{}", alice.user_id);
    let filter = encode(r#"{"types":["a\u0000b"],"room":{"timeline":{"types":["a\u0000b"]}}}"#);
    for path in [
        room.path("state/m.room.member/a%00b"),
        room.path("state/m.room.member%00/a"),
        room.path("state/org.example%00"),
        room.path("event/$a%00b"),
        room.path("context/$a%00b"),
        room.path("members?at=t1%00"),
        room.path("messages?dir=b&from=t1%00"),
        room.path(&format!("messages?dir=b&filter={filter}")),
        room.path(&format!("context/$a?filter={filter}")),
        "/_matrix/client/v3/rooms/!a%00b/aliases".to_owned(),
        room.path("relations/$a/m.thread%00").replace("/v3/", "/v1/"),
        room.path("relations/$a/m.thread/b%00").replace("/v3/", "/v1/"),
        format!("{user}/account_data/a%00b"),
        format!("{user}/rooms/{}/account_data/a%00b", room.id),
        format!("{user}/filter/1%00"),
        "/_matrix/client/v3/profile/@a%00b:example.org".to_owned(),
        "/_matrix/client/v3/directory/room/%23a%00b:example.org".to_owned(),
        "/_matrix/client/v3/pushrules/global/content/a%00b".to_owned(),
        "/_matrix/client/v3/devices/a%00b".to_owned(),
        format!("/_matrix/client/v3/sync?filter={filter}"),
    ] {
        let answer = server.get(&path, Some(&alice)).await;
        let status = answer.status.as_u16();
        assert!((400..500).contains(&status), "{path}: {status} {}", answer.text);
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn nul_characters_in_events_break_no_other_event(pool: PgPool) {
    let server = test_server::open(pool.clone()).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
    room.join(&bob).await;
    for visibility in ["joined", "shared"] {
        let content = json!({"history_visibility": visibility, "a\0b": "a\0b"});
        room.set_state(&alice, "m.room.history_visibility", content).await;
    }
    let text = json!({"msgtype": "m.text", "body": "a\0\\u0000\\\0b"});
    room.send(&alice, "m.room.message", text.clone()).await;
    let picture = json!({"msgtype": "m.image", "body": "a\0b", "url": "mxc://a/b"});
    room.send(&alice, "m.room.message", picture.clone()).await;
    // A node with nothing in memory reads them back.
    let cold = test_server::open(pool).await;
    let room = TestRoom { server: &cold, id: room.id };
    for (contains_url, expect) in [(true, [&picture]), (false, [&text])] {
        let filter = json!({"types": ["m.room.message"], "contains_url": contains_url});
        let path = format!("messages?dir=b&limit=99&filter={}", encode(&filter.to_string()));
        let page = room.get(&path, &bob).await.ok();
        let chunk = page["chunk"].as_array().unwrap().iter();
        assert_eq!(chunk.map(|event| &event["content"]).collect::<Vec<_>>(), expect);
    }
    cold.get("/_matrix/client/v3/sync", Some(&bob)).await.ok();
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn names_are_asked_for_at_a_bounded_rate(pool: PgPool) {
    let server = test_server::open_with(
        pool,
        myelin_accounts::AccountsSettings { enable_registration: true, ..Default::default() },
        |settings| settings.rate_limits = myelin_http::RateLimitSettings::default(),
    )
    .await;
    let mut refused = 0;
    for number in 0..30 {
        let path = format!("/_matrix/client/v3/register/available?username=u{number}");
        refused += usize::from(server.get(&path, None).await.error() == (429, "M_LIMIT_EXCEEDED"));
    }
    assert!(refused > 0);
}
