//! Tests that walk over every route: none forgets to ask who calls, and none falls over what strangers send.

use axum::body::Body;
use http::{Method, Request};
use myelin_http::{AuthKind, Route};
use myelin_testing::{TestResponse, TestServer, TestUser};
use sqlx::PgPool;

use crate::test_server;

/// Endpoints whose answer waits for news: they are asked not to.
const NO_WAIT: &str = "timeout=0";

/// A path with its parameters filled in: with names of things that do not exist, but for the caller.
pub(crate) fn path_of(route: &Route, user: &str) -> String {
    let segments = route.path.split('/').map(|segment| match segment {
        "{user_id}" => user,
        "{room_id}" | "{room_id_or_alias}" => "!unknown:example.org",
        "{room_alias}" => "%23unknown:example.org",
        "{event_id}" => "$unknown",
        "{filter_id}" | "{txn_id}" => "77",
        "{kind}" => "override",
        "{receipt_type}" => "m.read",
        "{event_type}" => "m.room.topic",
        segment if segment.starts_with('{') => "unknown",
        segment => segment,
    });
    segments.collect::<Vec<_>>().join("/")
}

async fn send(
    server: &TestServer,
    route: &Route,
    user: &TestUser,
    token: Option<&str>,
    body: Vec<u8>,
) -> TestResponse {
    let path = format!("{}?{NO_WAIT}", path_of(route, user.user_id.as_str()));
    let mut request = Request::builder().method(route.method.clone()).uri(path);
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    server.send(request.body(Body::from(body)).unwrap()).await
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn without_credentials(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = server.user("alice").await;
    let mut faults = vec![];
    let routes = crate::routes();
    for route in routes.routes().iter().filter(|route| route.auth == AuthKind::Required) {
        for (token, errcode) in [(None, "M_MISSING_TOKEN"), (Some("nope"), "M_UNKNOWN_TOKEN")] {
            let response = send(&server, route, &alice, token, b"{}".to_vec()).await;
            if response.error() != (401, errcode) {
                faults.push(format!("{} {}: {:?}", route.method, route.path, response.error()));
            }
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}

/// Bodies that are no JSON, and bodies that are but that no endpoint asks for.
fn malformed_bodies() -> Vec<(&'static str, Vec<u8>)> {
    let wrong_types = br#"{"username":{},"password":[],"user_id":7,"user":[],"identifier":7,"type":7,"device_id":{},
        "devices":7,"display_name":{},"displayname":7,"avatar_url":[],"auth":7,"new_password":{},"refresh_token":{},
        "room":7,"presence":7,"event_fields":7,"actions":7,"conditions":7,"pattern":7,"enabled":{},"order":{},
        "typing":"x","timeout":"x","m.fully_read":7,"m.read":7,"status_msg":7,"invite":7,"name":7,"topic":7,
        "initial_state":7,"creation_content":7,"power_level_content_override":7,"room_version":7,"preset":7,
        "visibility":7,"room_alias_name":7,"reason":{},"membership":7,"aliases":7,"alias":7,"room_id":7,"filter":7,
        "limit":"x","since":7,"server":7,"third_party_signed":7,"new_version":7,"event_id":7,"thread_id":{},"erase":7,
        "logout_devices":7,"medium":7,"address":7,"search_categories":7,"lists":7,
        "device_keys":7,"one_time_keys":7,"fallback_keys":7,"master_key":7,"self_signing_key":7,"user_signing_key":7}"#;
    let deep = [vec![b'['; 20_000], vec![b']'; 20_000]].concat();
    vec![
        ("cut off", br#"{"a":"#.to_vec()),
        ("no JSON", b"hello".to_vec()),
        ("bad UTF-8", b"{\"a\":\"\x81\xff\"}".to_vec()),
        ("too deep", deep),
        ("a list", b"[]".to_vec()),
        ("a number", b"7".to_vec()),
        ("nothing", b"null".to_vec()),
        ("wrong types", wrong_types.to_vec()),
        ("an empty object", b"{}".to_vec()),
    ]
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn malformed_bodies_are_refused_and_change_nothing(pool: PgPool) {
    let server = test_server::open(pool).await;
    let mut faults = vec![];
    let routes = crate::routes();
    for (number, route) in routes.routes().iter().enumerate() {
        if !matches!(route.method, Method::POST | Method::PUT | Method::DELETE) {
            continue;
        }
        for (kind, body) in malformed_bodies() {
            // Some end the session, so each gets a new one.
            let user =
                server.user(&format!("u{number}-{}", kind.replace(' ', "-").to_lowercase())).await;
            let before = server.parts.db.log().applied();
            let response = send(&server, route, &user, Some(&user.token), body).await;
            let status = response.status.as_u16();
            let mut fault = |what: &str| {
                faults.push(format!(
                    "{} {} ({kind}): {what}: {status} {}",
                    route.method, route.path, response.text
                ));
            };
            if status >= 500 {
                fault("failed");
            }
            if status >= 400 && response.body["errcode"].as_str().is_none() && status != 401 {
                fault("no error code");
            }
            if status >= 400 && server.parts.db.log().applied() != before {
                fault("refused, but something was written");
            }
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_body_that_is_too_large_is_not_read(pool: PgPool) {
    let server = test_server::open(pool).await;
    let alice = server.user("alice").await;
    let body = format!(r#"{{"a":"{}"}}"#, "a".repeat(200 * 65_536));
    let path = "/_matrix/client/v3/user/@alice:example.org/account_data/x";
    let request = Request::put(path)
        .header("Authorization", format!("Bearer {}", alice.token))
        .body(Body::from(body))
        .unwrap();
    assert_eq!(server.send(request).await.error(), (413, "M_TOO_LARGE"));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn unknown_rooms_are_no_failure(pool: PgPool) {
    let server = test_server::open(pool).await;
    let mut faults = vec![];
    let routes = crate::routes();
    for (number, route) in routes.routes().iter().enumerate() {
        if !route.path.contains("{room_id") {
            continue;
        }
        let user = server.user(&format!("u{number}")).await;
        let response = send(&server, route, &user, Some(&user.token), b"{}".to_vec()).await;
        // Forgetting what one is not in, or saying that one does not type there, may be granted.
        if response.status.as_u16() >= 500 {
            faults.push(format!("{} {}: {}", route.method, route.path, response.text));
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}
