//! The rights of guests and suspended users: tests that walk over every route, and stories of what depends on the
//! content.

use axum::body::Body;
use http::{Method, Request};
use myelin_http::{AuthKind, Route};
use myelin_storage::accounts::NewUser;
use myelin_testing::{TestServer, TestUser};
use serde_json::json;
use sqlx::PgPool;

use crate::{
    every_route::path_of,
    test_rooms::{TestRoom, encode},
    test_server,
};

/// The requests that write and that a suspended user is let through with, by method and name of the endpoint. The rest
/// answers `M_USER_SUSPENDED`. Sending, state and redactions are refused here by what the test sends: see the stories
/// below.
const SUSPENDED_MAY: &[&str] = &[
    "DELETE backup::delete_backup_keys",
    "DELETE backup::delete_backup_keys_for_room",
    "DELETE backup::delete_backup_keys_for_session",
    "DELETE backup::delete_backup_version",
    "DELETE config::delete_global_account_data",
    "DELETE config::delete_room_account_data",
    "DELETE device::delete_device",
    "DELETE push::delete_pushrule",
    "DELETE tag::delete_tag",
    "POST account::add_3pid",
    "POST account::add_3pid_deprecated",
    "POST account::change_password",
    "POST account::deactivate",
    "POST account::register",
    "POST account::request_openid_token",
    "POST backup::create_backup_version",
    "POST device::delete_devices",
    "POST directory::get_public_rooms_filtered",
    "POST filter::create_filter",
    "POST keys::claim_keys",
    "POST keys::get_keys",
    "POST keys::upload_keys",
    "POST keys::upload_signatures",
    "POST keys::upload_signing_keys",
    "POST membership::forget_room",
    "POST membership::leave_room",
    "POST push::set_pusher",
    "POST read_marker::set_read_marker",
    "POST receipt::create_receipt",
    "POST session::get_login_token",
    "POST session::login",
    "POST session::logout",
    "POST session::logout_all",
    "POST user_directory::search_users",
    "PUT backup::add_backup_keys",
    "PUT backup::add_backup_keys_for_room",
    "PUT backup::add_backup_keys_for_session",
    "PUT backup::update_backup_version",
    "PUT config::set_global_account_data",
    "PUT config::set_room_account_data",
    "PUT device::update_device",
    "PUT presence::set_presence",
    "PUT push::set_pushrule",
    "PUT tag::create_tag",
    "PUT to_device::send_event_to_device",
    "PUT typing::create_typing_event",
];

/// The requests that a guest is let through with, by method and name of the endpoint. The rest answers
/// `M_GUEST_ACCESS_FORBIDDEN`. The display name, alone of the fields of a profile, is a story below.
const GUESTS_MAY: &[&str] = &[
    "DELETE device::delete_device",
    "GET account::whoami",
    "GET context::get_context",
    "GET device::get_device",
    "GET device::get_devices",
    "GET discovery",
    "GET discovery::get_capabilities",
    "GET filter::get_filter",
    "GET get_public_rooms",
    "GET get_state_event_for_key",
    "GET get_summary",
    "GET keys::get_key_changes",
    "GET membership::get_member_events",
    "GET membership::joined_rooms",
    "GET message::get_message_events",
    "GET old_sync::listen_to_events",
    "GET old_sync::room_initial_sync",
    "GET push::get_pushrules_all",
    "GET relations::get_relating_events",
    "GET relations::get_relating_events_with_rel_type",
    "GET relations::get_relating_events_with_rel_type_and_event_type",
    "GET room::get_room_event",
    "GET space::get_hierarchy",
    "GET state::get_state_event_for_key",
    "GET state::get_state_events",
    "GET sync::sync_events",
    "GET thirdparty::get_protocols",
    "GET voip::get_turn_server_info",
    "POST account::register",
    "POST directory::get_public_rooms_filtered",
    "POST filter::create_filter",
    "POST keys::claim_keys",
    "POST keys::get_keys",
    "POST keys::upload_keys",
    "POST keys::upload_signatures",
    "POST membership::forget_room",
    "POST membership::join_room_by_id",
    "POST membership::join_room_by_id_or_alias",
    "POST membership::leave_room",
    "POST read_marker::set_read_marker",
    "POST receipt::create_receipt",
    "POST session::login",
    "POST session::logout",
    "POST session::logout_all",
    "PUT device::update_device",
    "PUT message::send_message_event",
    "PUT state::send_state_event",
    "PUT to_device::send_event_to_device",
    "PUT typing::create_typing_event",
];

/// A user whose account is suspended.
async fn suspended(server: &TestServer, localpart: &str) -> TestUser {
    let user = server.user(localpart).await;
    suspend(server, &user).await;
    user
}

async fn suspend(server: &TestServer, user: &TestUser) {
    let mut tx = server.parts.db.begin().await.unwrap();
    tx.users().set_suspended(&user.user_id, true).await.unwrap();
    tx.users().publish(&user.user_id);
    tx.commit().await.unwrap();
}

async fn guest(server: &TestServer, localpart: &str) -> TestUser {
    let user_id = format!("@{localpart}:{}", server.parts.server_name).try_into().unwrap();
    let (password_hash, user_type, appservice_id) = (None, None, None);
    let created_ts = 0;
    let (is_guest, is_admin) = (true, false);
    let guest = NewUser {
        user_id,
        password_hash,
        created_ts,
        user_type,
        appservice_id,
        is_guest,
        is_admin,
    };
    server.add_user(guest).await
}

/// The error code that a user gets from an endpoint, with a body that says nothing.
async fn errcode(server: &TestServer, route: &Route, user: &TestUser) -> String {
    let path = format!("{}?timeout=0", path_of(route, user.user_id.as_str()));
    let request = Request::builder()
        .method(route.method.clone())
        .uri(path)
        .header("Authorization", format!("Bearer {}", user.token))
        .body(Body::from("{}"))
        .unwrap();
    server.send(request).await.error().1.to_owned()
}

/// The endpoints of which not one path answers with `refusal`, in order.
async fn list_open(
    server: &TestServer,
    routes: &[&Route],
    refusal: &str,
    caller: impl AsyncFn(usize) -> TestUser,
) -> Vec<String> {
    let (mut open, mut refused) = (vec![], vec![]);
    for (number, route) in routes.iter().enumerate() {
        // Some end the session, so each gets a new one.
        let user = caller(number).await;
        let endpoint = format!("{} {}", route.method, route.name);
        let is_refused = errcode(server, route, &user).await == refusal;
        (if is_refused { &mut refused } else { &mut open }).push(endpoint);
    }
    for list in [&mut open, &mut refused] {
        list.sort();
        list.dedup();
    }
    let of_both: Vec<_> = open.iter().filter(|endpoint| refused.contains(endpoint)).collect();
    assert!(of_both.is_empty(), "open on some of their paths only: {of_both:?}");
    open
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_the_suspended_may_write(pool: PgPool) {
    let server = test_server::open(pool).await;
    let router = crate::routes();
    let routes: Vec<&Route> = router
        .routes()
        .iter()
        .filter(|route| route.auth != AuthKind::None && route.method != Method::GET)
        .collect();

    let caller = async |number| suspended(&server, &format!("u{number}")).await;
    let open = list_open(&server, &routes, "M_USER_SUSPENDED", caller).await;

    assert_eq!(open, SUSPENDED_MAY);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_guests_may_call(pool: PgPool) {
    let server = test_server::open(pool).await;
    let router = crate::routes();
    let routes: Vec<&Route> =
        router.routes().iter().filter(|route| route.auth != AuthKind::None).collect();

    let caller = async |number| guest(&server, &format!("u{number}")).await;
    let open = list_open(&server, &routes, "M_GUEST_ACCESS_FORBIDDEN", caller).await;

    assert_eq!(open, GUESTS_MAY);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_suspended_leave_and_take_back_what_they_sent(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
    let other = TestRoom::create(&server, &bob, json!({"preset": "public_chat"})).await;
    room.join(&bob).await;
    other.join(&alice).await;
    let theirs = room.text(&bob, "bob's").await;
    let own = [room.text(&alice, "one").await, room.text(&alice, "two").await];
    suspend(&server, &alice).await;

    let refused = (403, "M_USER_SUSPENDED");
    let put = async |path: &str, body| server.put(&room.path(path), Some(&alice), body).await;
    assert_eq!(put("send/m.room.message/t1", json!({"body": "x"})).await.error(), refused);
    assert_eq!(put("state/m.room.topic", json!({"topic": "x"})).await.error(), refused);
    let redaction = |event_id: &str| json!({"redacts": event_id});
    let path = format!("redact/{}/t2", encode(&theirs));
    assert_eq!(put(&path, json!({})).await.error(), refused);
    assert_eq!(put("send/m.room.redaction/t3", redaction(&theirs)).await.error(), refused);
    let unknown = format!("redact/{}/t6", encode("$nope"));
    assert_eq!(put(&unknown, json!({"reason": "x"})).await.error(), refused);
    assert_eq!(put("send/m.room.redaction/t7", redaction("$nope")).await.error(), refused);
    put("send/m.room.redaction/t4", redaction(&own[0])).await.ok();
    put(&format!("redact/{}/t5", encode(&own[1])), json!({})).await.ok();

    let member = |user: &TestUser| format!("state/m.room.member/{}", user.user_id);
    assert_eq!(put(&member(&alice), json!({"membership": "join"})).await.error(), refused);
    assert_eq!(put(&member(&bob), json!({"membership": "leave"})).await.error(), refused);
    for action in ["kick", "ban", "unban"] {
        let body = json!({"user_id": bob.user_id});
        let answer = server.post(&room.path(action), Some(&alice), body).await;
        assert_eq!(answer.error(), refused, "{action}");
    }
    let aliases = "/_matrix/client/v3/directory/room/%23x:example.org";
    let answer = server.put(aliases, Some(&alice), json!({"room_id": room.id})).await;
    assert_eq!(answer.error(), refused);
    assert_eq!(server.delete(aliases, Some(&alice)).await.error(), refused);
    let list = format!("/_matrix/client/v3/directory/list/room/{}", encode(&room.id));
    let answer = server.put(&list, Some(&alice), json!({"visibility": "public"})).await;
    assert_eq!(answer.error(), refused);
    put(&member(&alice), json!({"membership": "leave"})).await.ok();
    other.leave(&alice).await;
    let join = server.post(&room.path("join"), Some(&alice), json!({})).await;
    assert_eq!(join.error(), refused);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_suspended_are_there_and_say_nothing(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = suspended(&server, "alice").await;
    let path = format!("/_matrix/client/v3/presence/{}/status", alice.user_id);
    server.put(&path, Some(&alice), json!({"presence": "online"})).await.ok();
    let status = json!({"presence": "online", "status_msg": "read this"});
    assert_eq!(server.put(&path, Some(&alice), status).await.error(), (403, "M_USER_SUSPENDED"));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_suspended_admin_changes_nobodys_profile(pool: PgPool) {
    let server = test_server::open(pool).await;
    server.user("bob").await;
    let admin = server
        .add_user(NewUser {
            user_id: "@admin:example.org".try_into().unwrap(),
            password_hash: None,
            created_ts: 0,
            user_type: None,
            appservice_id: None,
            is_guest: false,
            is_admin: true,
        })
        .await;
    let path = "/_matrix/client/v3/profile/@bob:example.org/displayname";
    let body = json!({"displayname": "Bob"});
    server.put(path, Some(&admin), body.clone()).await.ok();
    suspend(&server, &admin).await;

    assert_eq!(server.put(path, Some(&admin), body).await.error(), (403, "M_USER_SUSPENDED"));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_guest_has_a_display_name_and_nothing_else_of_a_profile(pool: PgPool) {
    let server = test_server::open(pool).await;
    let guest = guest(&server, "guest").await;
    let set = async |field: &str| {
        let path = format!("/_matrix/client/v3/profile/{}/{field}", guest.user_id);
        server.put(&path, Some(&guest), json!({field: "x"})).await
    };
    set("displayname").await.ok();
    assert_eq!(set("m.tz").await.error(), (403, "M_GUEST_ACCESS_FORBIDDEN"));
}
