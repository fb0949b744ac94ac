//! `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}` (client-server API, "Sending events to a room").

use axum::{Json, extract::State};
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_model::Membership;
use myelin_rooms::{
    Rooms,
    membership::{Action, MembershipUpdate},
    set_state::{NewState, set_state},
};
use ruma::{OwnedEventId, RoomId, UserId};
use serde_json::{Value, json};

use crate::{
    membership::change,
    room_error::event_error,
    room_input::{json_text, room_id_at, timestamp},
};

#[tracing::instrument(name = "client.state.send", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn put(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    req: Raw,
) -> Result<Json<Value>, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    let event_type = req.path_arg(1)?;
    // The empty state key can be left out of the path.
    let state_key = req.path.get(2).map_or("", String::as_str);
    let content = json_text(&req, false)?;
    let event_id = if event_type == "m.room.member" {
        set_member(&rooms, &limits, &req, &room_id, state_key).await?
    } else {
        let origin_server_ts = timestamp(&req)?;
        let room_id = &room_id;
        let new = NewState { room_id, event_type, state_key, content, origin_server_ts };
        let actor = req.requester.active()?;
        let setting = async { set_state(&rooms, actor, new).await.map_err(event_error) };
        limits.message.count_done(&req.requester, setting).await?
    };
    Ok(Json(json!({"event_id": event_id})))
}

/// Members change by the same rules as through the endpoints made for them.
async fn set_member(
    rooms: &Rooms,
    limits: &RateLimits,
    req: &Raw,
    room_id: &RoomId,
    state_key: &str,
) -> Result<OwnedEventId, ApiError> {
    let target = <&UserId>::try_from(state_key)
        .map_err(|_| ApiError::bad_json("The state key of a member event must be a user ID"))?;
    let mut content = req.json_object(false)?;
    let membership = content.remove("membership");
    let membership = membership
        .as_ref()
        .and_then(Value::as_str)
        .and_then(Membership::parse)
        .ok_or_else(|| ApiError::bad_json("Member events must have a known membership"))?;
    let action = Action::of_membership(membership);
    let origin_server_ts = timestamp(req)?;
    let new = MembershipUpdate { room_id, target, action, content, origin_server_ts };
    change(rooms, limits, &req.requester, new).await
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sqlx::PgPool;

    use crate::{test_rooms::TestRoom, test_server};

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn state_is_set_once_and_checked(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let body = json!({"room_alias_name": "here"});
        let room = server.post("/_matrix/client/v3/createRoom", Some(&alice), body).await.ok();
        let room = room["room_id"].as_str().unwrap();
        let put = async |kind: &str, content: Value| {
            let path = format!("/_matrix/client/v3/rooms/{room}/state/{kind}");
            let answer = server.put(&path, Some(&alice), content).await;
            let code = answer.body["errcode"].as_str().unwrap_or_default().to_owned();
            (answer.status.as_u16(), code, answer.body["event_id"].clone())
        };
        let first = put("a.b", json!({"x": 1})).await;
        assert_eq!(first.0, 200);
        assert_eq!(put("a.b/", json!({"x": 1})).await.2, first.2);
        assert_ne!(put("a.b/key", json!({"x": 1})).await.2, first.2);
        assert_ne!(put("a.b", json!({"x": 2})).await.2, first.2);

        let alias = |alias: &str| json!({"alias": alias});
        for (kind, content, expect) in [
            ("m.room.create", json!({}), (400, "M_BAD_JSON")),
            (
                "m.room.power_levels",
                json!({"users": {"@alice:example.org": 1}}),
                (400, "M_BAD_JSON"),
            ),
            ("m.room.power_levels", json!({"ban": "5"}), (400, "M_BAD_JSON")),
            ("m.room.server_acl", json!({"allow": []}), (400, "M_BAD_JSON")),
            ("m.room.canonical_alias", alias("#here:example.org"), (200, "")),
            ("m.room.canonical_alias", alias("#no:example.org"), (400, "M_BAD_ALIAS")),
            ("m.room.canonical_alias", alias("no"), (400, "M_INVALID_PARAM")),
            ("m.room.canonical_alias/key", alias("#no:example.org"), (400, "M_BAD_ALIAS")),
            ("m.room.redaction", json!({"redacts": "$no"}), (400, "M_BAD_JSON")),
            ("m.room.redaction/key", json!({"redacts": "$no"}), (400, "M_BAD_JSON")),
            ("m.room.redaction", json!({}), (400, "M_BAD_JSON")),
            ("m.room.member/@alice:example.org", json!({"membership": "x"}), (400, "M_BAD_JSON")),
            ("m.room.member/@alice:example.org", json!({"membership": "join", "a": 1}), (200, "")),
            (
                "m.room.member/@alice:example.org",
                json!({"membership": "join", "displayname": 5}),
                (400, "M_BAD_JSON"),
            ),
            (
                "m.room.member/@alice:example.org",
                json!({"membership": "join", "avatar_url": [1]}),
                (400, "M_BAD_JSON"),
            ),
            (
                "m.room.member/@alice:example.org",
                json!({"membership": "join", "avatar_url": null}),
                (200, ""),
            ),
            ("a.b/@bob:example.org", json!({}), (403, "M_FORBIDDEN")),
        ] {
            let answer = put(kind, content.clone()).await;
            assert_eq!((answer.0, &*answer.1), expect, "{kind} {content}");
        }
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn who_left_is_not_told_that_state_stands(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        room.join(&bob).await;
        let topic = json!({"topic": "alice's"});
        let set = room.set_state(&alice, "m.room.topic", topic.clone()).await;
        let path = room.path("state/m.room.topic");
        let again = server.put(&path, Some(&alice), topic.clone()).await.ok();
        assert_eq!(again["event_id"], *set);
        room.leave(&alice).await;
        assert_eq!(server.put(&path, Some(&alice), topic).await.error(), (403, "M_FORBIDDEN"));
    }
}
