//! `POST /_matrix/client/v3/rooms/{roomId}/join` (client-server API, "Joining rooms").

use axum::{Json, extract::State};
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_model::Actor;
use myelin_rooms::{
    Rooms,
    membership::{Action, MembershipUpdate, ThirdPartySigned, exchange_third_party_invite},
};
use ruma::RoomId;
use serde_json::{Map, Value, json};

use super::change::change;
use crate::{
    room_error::membership_error,
    room_input::{reason_of, room_id_at},
};

#[tracing::instrument(name = "client.membership.join", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    req: Raw,
) -> Result<Json<Value>, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    let mut body = req.json_object(true)?;
    let signed = take_signed(&mut body)?;
    join(&rooms, &limits, &req.requester, &room_id, signed, reason_of(&body)).await
}

/// Take the signature of an identity server out of a body.
pub(super) fn take_signed(
    body: &mut Map<String, Value>,
) -> Result<Option<ThirdPartySigned>, ApiError> {
    match body.remove("third_party_signed") {
        None | Some(Value::Null) => Ok(None),
        Some(signed) => serde_json::from_value(signed)
            .map(Some)
            .map_err(|error| ApiError::bad_json(format!("third_party_signed: {error}"))),
    }
}

/// Join a room with this content in the member event.
pub(super) async fn join(
    rooms: &Rooms,
    limits: &RateLimits,
    actor: &Actor,
    room_id: &RoomId,
    signed: Option<ThirdPartySigned>,
    content: Map<String, Value>,
) -> Result<Json<Value>, ApiError> {
    if let Some(signed) = signed {
        exchange_third_party_invite(rooms, actor.active()?, room_id, &signed)
            .await
            .map_err(membership_error)?;
    }
    let (target, action) = (&*actor.user_id, Action::Join);
    let new = MembershipUpdate { room_id, target, action, content, origin_server_ts: None };
    change(rooms, limits, actor, new).await?;
    Ok(Json(json!({"room_id": room_id})))
}

#[cfg(test)]
mod tests {
    use myelin_testing::{TestServer, TestUser};
    use serde_json::{Value, json};
    use sqlx::PgPool;

    use crate::test_server;

    /// Change a membership in a room, and give the status and error code of the answer.
    async fn act(
        server: &TestServer,
        user: &TestUser,
        room: &str,
        action: &str,
        body: Value,
    ) -> (u16, String) {
        let path = format!("/_matrix/client/v3/rooms/{room}/{action}");
        let answer = server.post(&path, Some(user), body).await;
        let (status, code) = answer.error();
        (status, code.to_owned())
    }

    async fn create(server: &TestServer, user: &TestUser, body: Value) -> String {
        let room = server.post("/_matrix/client/v3/createRoom", Some(user), body).await.ok();
        room["room_id"].as_str().unwrap().to_owned()
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn members_come_and_go_by_the_rules(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let path = "/_matrix/client/v3/profile/@bob:example.org/displayname";
        server.put(path, Some(&bob), json!({"displayname": "Bob"})).await.ok();
        let room = create(&server, &alice, json!({})).await;
        let his = json!({"user_id": "@bob:example.org"});
        for (user, action, body, expect) in [
            (&bob, "join", json!({}), (403, "M_FORBIDDEN")),
            (&alice, "kick", his.clone(), (403, "M_FORBIDDEN")),
            (&alice, "unban", his.clone(), (403, "M_BAD_STATE")),
            (&alice, "invite", json!({}), (400, "M_MISSING_PARAM")),
            (&alice, "invite", json!({"user_id": 1}), (400, "M_BAD_JSON")),
            (&alice, "invite", json!({"user_id": "@alice:example.org"}), (403, "M_FORBIDDEN")),
            (&bob, "invite", his.clone(), (403, "M_FORBIDDEN")),
            (&alice, "invite", his.clone(), (200, "")),
            (&bob, "forget", json!({}), (400, "M_UNKNOWN")),
            (&bob, "join", json!({}), (200, "")),
            (&bob, "join", json!({}), (200, "")),
            (&alice, "invite", his.clone(), (403, "M_FORBIDDEN")),
            (&bob, "kick", json!({"user_id": "@alice:example.org"}), (403, "M_FORBIDDEN")),
            (&alice, "ban", his.clone(), (200, "")),
            (&bob, "join", json!({}), (403, "M_BAD_STATE")),
            (&bob, "leave", json!({}), (403, "M_FORBIDDEN")),
            (&alice, "unban", his.clone(), (200, "")),
            (&bob, "forget", json!({}), (200, "")),
            (&alice, "leave", json!({}), (200, "")),
            (&alice, "leave", json!({}), (200, "")),
        ] {
            let answer = act(&server, user, &room, action, body.clone()).await;
            assert_eq!((answer.0, &*answer.1), expect, "{action} {body} by {}", user.user_id);
            if (action, answer.0) == ("join", 200) {
                let path =
                    format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/@bob:example.org");
                let member = server.get(&path, Some(&alice)).await.ok();
                assert_eq!(member, json!({"membership": "join", "displayname": "Bob"}));
            }
        }
        let nowhere = act(&server, &bob, "!no:example.org", "join", json!({})).await;
        assert_eq!(nowhere, (404, "M_UNKNOWN".to_owned()));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_new_name_reaches_the_rooms(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let room = create(&server, &alice, json!({})).await;
        let path = "/_matrix/client/v3/profile/@alice:example.org/displayname";
        server.put(path, Some(&alice), json!({"displayname": "A"})).await.ok();
        let path =
            format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/@alice:example.org");
        let member = server.get(&path, Some(&alice)).await.ok();
        assert_eq!(member, json!({"membership": "join", "displayname": "A"}));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn restricted_rooms_and_knocks(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let club = create(&server, &alice, json!({"preset": "public_chat"})).await;
        for version in ["8", "10", "12"] {
            let allow = json!([{"type": "m.room_membership", "room_id": club}]);
            let rule = json!({"join_rule": "restricted", "allow": allow});
            let rule = json!([{"type": "m.room.join_rules", "content": rule}]);
            let body = json!({"room_version": version, "initial_state": rule});
            let room = create(&server, &alice, body).await;

            assert_eq!(act(&server, &bob, &room, "join", json!({})).await.0, 403);
            assert_eq!(act(&server, &bob, &club, "join", json!({})).await.0, 200);
            assert_eq!(act(&server, &bob, &room, "join", json!({})).await.0, 200);
            let path =
                format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/@bob:example.org");
            let member = server.get(&path, Some(&alice)).await.ok();
            assert_eq!(member["join_authorised_via_users_server"], "@alice:example.org");
            assert_eq!(act(&server, &bob, &club, "leave", json!({})).await.0, 200);
        }
        let knock = json!([{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}]);
        let room = create(&server, &alice, json!({"initial_state": knock})).await;
        let path = format!("/_matrix/client/v3/knock/{room}");
        let body = json!({"reason": "please"});
        server.post(&path, Some(&bob), body.clone()).await.ok();
        let his = json!({"user_id": "@bob:example.org"});
        assert_eq!(act(&server, &alice, &room, "invite", his).await.0, 200);
        assert_eq!(server.post(&path, Some(&bob), body).await.error(), (403, "M_FORBIDDEN"));
        assert_eq!(act(&server, &bob, &room, "join", json!({})).await.0, 200);
        let path = format!("/_matrix/client/v3/knock/{club}");
        assert_eq!(server.post(&path, Some(&bob), json!({})).await.error(), (403, "M_FORBIDDEN"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn what_is_asked_of_rooms_that_are_not_there_or_not_ones_own(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let unknown = "!unknown:example.org";
        let his = json!({"user_id": "@bob:example.org"});
        for (action, body, expect) in [
            ("leave", json!({}), (404, "M_UNKNOWN")),
            ("kick", his.clone(), (404, "M_UNKNOWN")),
            ("unban", his.clone(), (404, "M_UNKNOWN")),
            ("ban", his.clone(), (403, "M_FORBIDDEN")),
            ("invite", his, (403, "M_FORBIDDEN")),
        ] {
            let (status, code) = act(&server, &alice, unknown, action, body).await;
            assert_eq!((status, &*code), expect, "{action}");
        }
        let room = create(&server, &alice, json!({"preset": "public_chat"})).await;
        let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.canonical_alias");
        for alias in ["#nowhere:example.org", "no alias"] {
            let answer = server.put(&path, Some(&bob), json!({"alias": alias})).await;
            assert_eq!(answer.error(), (403, "M_FORBIDDEN"), "the power counts first: {alias}");
        }
        // Null is as good as nothing.
        assert_eq!(act(&server, &bob, &room, "join", json!(null)).await.0, 200);
        assert_eq!(act(&server, &bob, &room, "leave", json!(null)).await.0, 200);
        assert_eq!(act(&server, &bob, &room, "forget", json!(null)).await.0, 200);
    }
}
