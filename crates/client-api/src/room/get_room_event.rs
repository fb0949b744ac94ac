//! `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}` (client-server API, "Getting events for a room").

use axum::extract::State;
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    history::{FindEventError, Format, find_event},
};

use crate::{
    reply::{self, JsonText},
    room_input::room_id_at,
};

#[tracing::instrument(name = "client.room.get_room_event", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<JsonText, ApiError> {
    let (room_id, event_id) = (room_id_at(&req, 0)?, reply::event_id(req.path_arg(1)?)?);
    let event = find_event(&rooms, &req.requester.user_id, &room_id, &event_id)
        .await
        .map_err(to_api_error)?;
    Ok(JsonText(event.to_json(Format::Room, &reply::reader(&rooms, &req.requester))))
}

fn to_api_error(error: FindEventError) -> ApiError {
    match error {
        FindEventError::NotFound => ApiError::not_found(error.to_string()),
        FindEventError::Storage(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use myelin_rooms::history::RoomView;
    use serde_json::json;
    use sqlx::PgPool;

    use crate::{test_rooms::TestRoom, test_server};

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn visibility_decides(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        for (visibility, before, invited, outside) in [
            ("joined", 404, 404, 404),
            ("invited", 404, 200, 404),
            ("shared", 200, 200, 404),
            ("world_readable", 200, 200, 200),
        ] {
            let room = TestRoom::visible(&server, &alice, visibility).await;
            let path = |event_id: &str| format!("event/{event_id}");
            let first = room.text(&alice, "first").await;
            assert_eq!(room.get(&path(&first), &bob).await.status, outside, "{visibility}");
            room.invite(&alice, &bob).await;
            let second = room.text(&alice, "second").await;
            room.join(&bob).await;
            let third = room.text(&alice, "third").await;
            for (event_id, expect) in [(first, before), (second, invited), (third, 200)] {
                let answer = room.get(&path(&event_id), &bob).await;
                assert_eq!(answer.status, expect, "{visibility} {}", answer.text);
            }
        }
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn what_everybody_could_read_stays_so(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let carol = server.user("carol").await;
        let room = TestRoom::visible(&server, &alice, "joined").await;
        let early = room.text(&alice, "early").await;
        let visibility = async |value: &str| {
            let content = json!({"history_visibility": value});
            room.set_state(&alice, "m.room.history_visibility", content).await
        };
        visibility("world_readable").await;
        let open = room.text(&alice, "open").await;
        let synced = server.get("/_matrix/client/v3/sync", Some(&alice)).await.ok();
        let at = format!("members?at={}", synced["next_batch"].as_str().unwrap());
        visibility("joined").await;
        let late = room.text(&alice, "late").await;
        room.invite(&alice, &carol).await;
        for user in [&bob, &carol] {
            for (event_id, event, context) in
                [(&early, 404, 403), (&open, 200, 200), (&late, 404, 403)]
            {
                for (path, expect) in [
                    (room.path(&format!("event/{event_id}")), event),
                    (room.path(&format!("context/{event_id}")), context),
                    (room.path(&format!("relations/{event_id}")).replace("/v3/", "/v1/"), event),
                    (format!("/_matrix/client/v3/events/{event_id}"), event),
                ] {
                    let answer = server.get(&path, Some(user)).await;
                    assert_eq!(answer.status, expect, "{path}: {}", answer.text);
                    assert!(!answer.text.contains("early") && !answer.text.contains("late"));
                }
            }
            assert_eq!(room.get(&at, user).await.status, 200);
            for path in ["members", "state", "messages?dir=b", "joined_members"] {
                assert_eq!(room.get(path, user).await.status, 403, "{path}");
            }
        }
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn who_forgot_a_room_sees_what_strangers_see(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::visible(&server, &alice, "shared").await;
        let shared = room.text(&alice, "shared").await;
        room.join(&bob).await;
        room.leave(&bob).await;
        let open = json!({"history_visibility": "world_readable"});
        room.set_state(&alice, "m.room.history_visibility", open).await;
        let open = room.text(&alice, "open").await;
        assert_eq!(room.get(&format!("event/{shared}"), &bob).await.status, 200);

        server.post(&room.path("forget"), Some(&bob), json!({})).await.ok();

        assert_eq!(room.get(&format!("event/{shared}"), &bob).await.status, 404);
        assert_eq!(room.get(&format!("event/{open}"), &bob).await.status, 200);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn what_came_after_the_look_is_not_seen(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::visible(&server, &alice, "world_readable").await;
        let seen = room.text(&alice, "seen").await;
        let engine = test_server::engine(&server.parts);
        let room_id = room.id.as_str().try_into().unwrap();
        let mut view = RoomView::get(&engine, room_id, &bob.user_id).await.unwrap();
        let closed = json!({"history_visibility": "joined"});
        room.set_state(&alice, "m.room.history_visibility", closed).await;
        let hidden = room.text(&alice, "hidden").await;

        for (event_id, expect) in [(seen, true), (hidden, false)] {
            let event_id = event_id.as_str().try_into().unwrap();
            let found = view.find_event(&engine, event_id).await.unwrap();
            assert_eq!(found.is_some(), expect, "{event_id}");
        }
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn the_whole_event_is_shown(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let room = TestRoom::create(&server, &alice, json!({})).await;
        room.set_state(&alice, "m.room.topic", json!({"topic": "old"})).await;
        let topic = room.set_state(&alice, "m.room.topic", json!({"topic": "new"})).await;

        let event = room.get(&format!("event/{topic}"), &alice).await.ok();

        assert_eq!(event["room_id"], room.id.as_str());
        assert_eq!(event["content"]["topic"], "new");
        assert_eq!(event["unsigned"]["prev_content"]["topic"], "old");
        assert_eq!(event["unsigned"]["membership"], "join");
        assert_eq!(room.get("event/$nope", &alice).await.error(), (404, "M_NOT_FOUND"));
        assert_eq!(room.get("event/nope", &alice).await.error(), (404, "M_NOT_FOUND"));

        let text = room.text(&alice, "text").await;
        let path = room.path(&format!("redact/{text}/1"));
        server.put(&path, Some(&alice), json!({"reason": "no"})).await.ok();
        let event = room.get(&format!("event/{text}"), &alice).await.ok();
        assert_eq!(event["content"], json!({}));
        assert_eq!(event["unsigned"]["redacted_because"]["content"]["reason"], "no");
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn the_event_nearest_to_a_moment(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let room = TestRoom::create(&server, &alice, json!({})).await;
        server.parts.clock.advance_ms(60_000);
        let text = room.text(&alice, "text").await;
        let now = myelin_model::Clock::now_ms(&*server.parts.clock);
        let path = |ts: u64, dir: &str| {
            room.path(&format!("timestamp_to_event?ts={ts}&dir={dir}")).replace("/v3/", "/v1/")
        };

        let found = server.get(&path(now - 10_000, "f"), Some(&alice)).await.ok();
        assert_eq!(found["event_id"], text.as_str());
        let found = server.get(&path(now + 10_000, "b"), Some(&alice)).await.ok();
        assert_eq!(found["event_id"], text.as_str());
        let after = server.get(&path(now + 10_000, "f"), Some(&alice)).await;
        assert_eq!(after.error(), (404, "M_NOT_FOUND"));
    }
}
