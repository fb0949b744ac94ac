//! Application services: whom they may be, and whom nobody else may be.

use myelin_accounts::AccountsSettings;
use myelin_model::Appservices;
use myelin_rooms::NamingRules;
use myelin_storage::accounts::NewUser;
use myelin_testing::{TestServer, TestUser};
use serde_json::json;
use sqlx::PgPool;

use crate::{test_bridge, test_rooms::TestRoom, test_server};

async fn open(pool: PgPool) -> (TestServer, TestUser) {
    test_bridge::open(pool, |_| {}, |_| {}).await
}

const REGISTER: &str = "/_matrix/client/v3/register";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn acts_as_its_users(pool: PgPool) {
    let (server, bridge) = open(pool).await;
    let as_irc = format!("{WHOAMI}?user_id=@_irc_Bob:example.org");

    assert_eq!(server.get(WHOAMI, Some(&bridge)).await.ok()["user_id"], "@_bridge:example.org");
    assert_eq!(server.get(&as_irc, Some(&bridge)).await.error(), (403, "M_FORBIDDEN"));
    let body = json!({ "type": "m.login.application_service", "username": "_irc_Bob", "inhibit_login": true });
    let registered = server.post(REGISTER, Some(&bridge), body).await.ok();
    assert_eq!(registered["user_id"], "@_irc_Bob:example.org");
    assert!(registered.get("access_token").is_none());
    assert_eq!(server.get(&as_irc, Some(&bridge)).await.ok()["user_id"], "@_irc_Bob:example.org");
    for nobody in [
        "user_id=@alice:example.org",
        "user_id=@_irc_Bob:elsewhere.org",
        "user_id=",
        "user_id=nonsense",
        "user_id=@_irc_Bob:example.org&user_id=@_bridge:example.org",
        "user%5Fid=@alice:example.org",
    ] {
        let answer = server.get(&format!("{WHOAMI}?{nobody}"), Some(&bridge)).await;
        assert_eq!(answer.error(), (403, "M_FORBIDDEN"), "{nobody}");
    }
    for device in ["device_id=NO", "device_id=", "org.matrix.msc3202.device_id=NO"] {
        let answer = server.get(&format!("{WHOAMI}?{device}"), Some(&bridge)).await;
        assert_eq!(answer.error(), (400, "M_UNKNOWN_DEVICE"), "{device}");
    }
    let twice = format!("{as_irc}&user_id=@_irc_Bob:example.org");
    assert_eq!(server.get(&twice, Some(&bridge)).await.ok()["user_id"], "@_irc_Bob:example.org");

    let login = json!({
        "type": "m.login.application_service", "device_id": "D",
        "identifier": { "type": "m.id.user", "user": "_irc_Bob" }
    });
    server.post("/_matrix/client/v3/login", Some(&bridge), login.clone()).await.ok();
    let device = server.get(&format!("{as_irc}&device_id=D"), Some(&bridge)).await.ok();
    assert_eq!(device["device_id"], "D");
    let none = server.post("/_matrix/client/v3/login", None, login).await;
    assert_eq!(none.error(), (401, "M_MISSING_TOKEN"));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn it_makes_devices_for_its_users(pool: PgPool) {
    let (server, bridge) = open(pool).await;
    let register = json!({ "type": "m.login.application_service", "username": "_irc_Bob", "inhibit_login": true });
    server.post(REGISTER, Some(&bridge), register).await.ok();
    let user = "user_id=@_irc_Bob:example.org";
    let path = format!("/_matrix/client/v3/devices/NEW?{user}");
    let name = |name: &str| json!({ "display_name": name });

    let made = server.put(&path, Some(&bridge), name("Bob")).await;
    assert_eq!((made.status.as_u16(), made.body), (201, json!({})));
    let acts = format!("{WHOAMI}?{user}&device_id=NEW");
    assert_eq!(server.get(&acts, Some(&bridge)).await.ok()["device_id"], "NEW");
    assert_eq!(server.put(&path, Some(&bridge), name("Bobby")).await.status, 200);
    assert_eq!(server.put(&path, Some(&bridge), json!({})).await.status, 200);
    assert_eq!(server.get(&path, Some(&bridge)).await.ok()["display_name"], "Bobby");
    let long = server.put(&path, Some(&bridge), name(&"x".repeat(101))).await;
    assert_eq!(long.error(), (400, "M_TOO_LARGE"));
    let path = format!("/_matrix/client/v3/devices/{}?{user}", "x".repeat(600));
    let refused = server.put(&path, Some(&bridge), json!({})).await;
    assert_eq!(refused.error(), (400, "M_INVALID_PARAM"));
    // The one that logs in may be the same.
    let login = json!({
        "type": "m.login.application_service", "device_id": "NEW",
        "identifier": { "type": "m.id.user", "user": "_irc_Bob" }
    });
    server.post("/_matrix/client/v3/login", Some(&bridge), login).await.ok();
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_makes_devices_logs_nobody_in(pool: PgPool) {
    let (server, bridge) =
        test_bridge::open(pool, |bridge| bridge.manages_devices = true, |_| {}).await;
    let unsupported = (400, "IO.ELEMENT.MSC4190.M_APPSERVICE_LOGIN_UNSUPPORTED");
    let mut register = json!({ "type": "m.login.application_service", "username": "_irc_Bob" });
    let refused = server.post(REGISTER, Some(&bridge), register.clone()).await;
    assert_eq!(refused.error(), unsupported);
    register["inhibit_login"] = true.into();
    server.post(REGISTER, Some(&bridge), register).await.ok();
    let login = json!({
        "type": "m.login.application_service",
        "identifier": { "type": "m.id.user", "user": "_irc_Bob" }
    });
    let refused = server.post("/_matrix/client/v3/login", Some(&bridge), login).await;
    assert_eq!(refused.error(), unsupported);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn its_accounts_are_suspended_and_deactivated_as_others_are(pool: PgPool) {
    let (server, bridge) = open(pool).await;
    let mut tx = server.parts.db.begin().await.unwrap();
    for user_id in ["@_bridge:example.org", "@_irc_Bob:example.org"] {
        let user = NewUser {
            user_id: user_id.try_into().unwrap(),
            password_hash: None,
            created_ts: 0,
            user_type: None,
            appservice_id: Some("bridge".to_owned()),
            is_guest: false,
            is_admin: false,
        };
        assert!(tx.users().add(&user).await.unwrap());
    }
    tx.users().set_suspended(&bridge.user_id, true).await.unwrap();
    tx.users().deactivate("@_irc_Bob:example.org".try_into().unwrap(), false).await.unwrap();
    tx.commit().await.unwrap();

    let create = server.post("/_matrix/client/v3/createRoom", Some(&bridge), json!({})).await;
    assert_eq!(create.error(), (403, "M_USER_SUSPENDED"));
    let as_irc = format!("{WHOAMI}?user_id=@_irc_Bob:example.org");
    assert_eq!(server.get(&as_irc, Some(&bridge)).await.error(), (403, "M_USER_DEACTIVATED"));
    let log_out = server.post("/_matrix/client/v3/logout", Some(&bridge), json!({})).await;
    assert_eq!(log_out.error(), (401, "M_UNKNOWN_TOKEN"));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn its_names_are_its_own(pool: PgPool) {
    let (server, bridge) = open(pool).await;
    let register =
        json!({ "username": "irc_eve", "password": "x", "auth": { "type": "m.login.dummy" } });
    assert_eq!(server.post(REGISTER, None, register).await.error(), (400, "M_EXCLUSIVE"));
    let outside = json!({ "type": "m.login.application_service", "username": "alice" });
    assert_eq!(server.post(REGISTER, Some(&bridge), outside).await.error(), (400, "M_EXCLUSIVE"));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn registration_by_token_and_its_page(pool: PgPool) {
    let settings = AccountsSettings {
        enable_registration: true,
        registration_requires_token: true,
        ..AccountsSettings::default()
    };
    let server = TestServer::open_with(pool, settings, Appservices::default(), |parts| {
        crate::routes().with_state(test_server::state(parts)).finish()
    })
    .await;
    let mut tx = server.parts.db.begin().await.unwrap();
    tx.registration_tokens().add("once", Some(1), None).await.unwrap();
    tx.commit().await.unwrap();
    let body =
        |username: &str, auth| json!({ "username": username, "password": "x", "auth": auth });

    let wrong = json!({ "type": "m.login.registration_token", "token": "guess" });
    assert_eq!(
        server.post(REGISTER, None, body("a", wrong)).await.error(),
        (401, "M_UNAUTHORIZED")
    );
    let session = server.post(REGISTER, None, body("a", json!({}))).await.body["session"].clone();
    let session = session.as_str().unwrap();
    let page = format!(
        "/_matrix/client/v3/auth/m.login.registration_token/fallback/web?session={session}"
    );
    assert!(server.get(&page, None).await.text.contains("<form"));
    let form = http::Request::post(&page)
        .body(axum::body::Body::from(format!("session={session}&token=once")))
        .unwrap();
    assert!(server.send(form).await.text.contains("onAuthDone"));
    server.post(REGISTER, None, body("a", json!({ "session": session }))).await.ok();

    let again = json!({ "type": "m.login.registration_token", "token": "once" });
    assert_eq!(
        server.post(REGISTER, None, body("b", again)).await.error(),
        (401, "M_UNAUTHORIZED")
    );
    let validity = "/_matrix/client/v1/register/m.login.registration_token/validity?token=once";
    assert_eq!(server.get(validity, None).await.ok()["valid"], false);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_is_locked_may_log_out_only(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = server.user("alice").await;
    server.get(WHOAMI, Some(&alice)).await.ok();
    let mut tx = server.parts.db.begin().await.unwrap();
    tx.users().set_locked(&alice.user_id, true).await.unwrap();
    tx.users().publish(&alice.user_id);
    tx.commit().await.unwrap();

    let locked = server.get(WHOAMI, Some(&alice)).await;
    assert_eq!(locked.error(), (401, "M_USER_LOCKED"));
    assert_eq!(locked.body["soft_logout"], true);
    server.post("/_matrix/client/v3/logout", Some(&alice), json!({})).await.ok();
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn its_aliases_are_its_own(pool: PgPool) {
    let (server, bridge) = open(pool).await;
    let alice = server.user("alice").await;
    let create = "/_matrix/client/v3/createRoom";
    let room = server.post(create, Some(&alice), json!({})).await.ok();
    let body = json!({"room_id": room["room_id"]});
    let path = |name: &str| format!("/_matrix/client/v3/directory/room/%23{name}:example.org");
    let exclusive = (400, "M_EXCLUSIVE");

    assert_eq!(server.put(&path("irc_x"), Some(&alice), body.clone()).await.error(), exclusive);
    let new = server.post(create, Some(&alice), json!({"room_alias_name": "irc_x"})).await;
    assert_eq!(new.error(), exclusive);
    assert_eq!(server.put(&path("other"), Some(&bridge), body.clone()).await.error(), exclusive);
    server.put(&path("irc_x"), Some(&bridge), body.clone()).await.ok();
    server.put(&path("other"), Some(&alice), body).await.ok();
    // The room is hers, and the alias is for her to name, but not to delete.
    let room = TestRoom { server: &server, id: room["room_id"].as_str().unwrap().to_owned() };
    let canonical = json!({"alias": "#irc_x:example.org"});
    room.set_state(&alice, "m.room.canonical_alias", canonical).await;
    assert_eq!(server.delete(&path("irc_x"), Some(&alice)).await.error(), exclusive);
    assert_eq!(server.delete(&path("other"), Some(&bridge)).await.error(), exclusive);
    server.delete(&path("irc_x"), Some(&bridge)).await.ok();
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn rules_on_aliases_do_not_bind_it(pool: PgPool) {
    let (server, bridge) = test_bridge::open(
        pool,
        |_| {},
        |settings| {
            settings.rooms.alias_creation_rules = NamingRules::deny_all();
        },
    )
    .await;
    let alice = server.user("alice").await;
    let create = "/_matrix/client/v3/createRoom";
    let new = json!({"room_alias_name": "irc_new"});
    let room = server.post(create, Some(&bridge), new).await.ok();
    let path = |name: &str| format!("/_matrix/client/v3/directory/room/%23{name}:example.org");
    let body = json!({"room_id": room["room_id"]});
    server.put(&path("irc_x"), Some(&bridge), body).await.ok();

    let admin = NewUser {
        user_id: "@admin:example.org".try_into().unwrap(),
        password_hash: None,
        created_ts: 0,
        user_type: None,
        appservice_id: None,
        is_guest: false,
        is_admin: true,
    };
    for user in [alice, server.add_user(admin).await] {
        let room = server.post(create, Some(&user), json!({})).await.ok();
        let body = json!({"room_id": room["room_id"]});
        let refused = server.put(&path("free"), Some(&user), body).await;
        assert_eq!(refused.error(), (403, "M_FORBIDDEN"), "{}", user.user_id);
        let refused = server.post(create, Some(&user), json!({"room_alias_name": "free"})).await;
        assert_eq!(refused.error(), (403, "M_FORBIDDEN"), "{}", user.user_id);
    }
}
