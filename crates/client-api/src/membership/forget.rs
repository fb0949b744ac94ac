//! `POST /_matrix/client/v3/rooms/{roomId}/forget` (client-server API, "Leaving rooms").

use axum::{Json, extract::State};
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    membership::forget::{ForgetError, forget},
};
use serde_json::{Value, json};

use crate::room_input::room_id_at;

#[tracing::instrument(name = "client.membership.forget", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<Json<Value>, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    forget(&rooms, &req.requester, &room_id).await.map_err(to_api_error)?;
    Ok(Json(json!({})))
}

fn to_api_error(error: ForgetError) -> ApiError {
    match error {
        ForgetError::StillIn { .. } => ApiError::unknown(error.to_string()),
        ForgetError::Storage(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::{
        test_rooms::{TestRoom, encode},
        test_server,
    };

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn what_was_forgotten_is_read_by_no_way(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        room.join(&bob).await;
        let text = room.text(&alice, "text").await;
        let relation = json!({"rel_type": "m.thread", "event_id": text});
        room.send(
            &bob,
            "m.room.message",
            json!({"msgtype": "m.text", "body": "reply", "m.relates_to": relation}),
        )
        .await;
        let text = encode(&text);
        let v1 = |rest: &str| room.path(rest).replace("/v3/", "/v1/");
        let reads = [
            (room.path("messages?dir=b"), 403),
            (room.path(&format!("event/{text}")), 404),
            (format!("/_matrix/client/v3/events/{text}"), 404),
            (room.path(&format!("context/{text}")), 403),
            (v1(&format!("relations/{text}")), 404),
            (v1(&format!("relations/{text}/m.thread/m.room.message")), 404),
            (v1("threads"), 403),
            (v1("timestamp_to_event?ts=0&dir=f"), 403),
            (room.path("state"), 403),
            (room.path("state/m.room.create"), 403),
            (room.path("members"), 403),
            (room.path("aliases"), 403),
            (room.path("initialSync"), 403),
        ];
        let statuses = async || {
            let mut found = Vec::new();
            for (path, _) in &reads {
                let answer = server.get(path, Some(&bob)).await;
                found.push((path.clone(), answer.status.as_u16()));
            }
            found
        };
        let open = reads.clone().map(|(path, _)| (path, 200));

        assert_eq!(statuses().await, open, "who is in it");
        room.leave(&bob).await;
        // Aliases have no history.
        let was_in = open.clone().map(|(path, status)| {
            let status = if path.ends_with("/aliases") { 403 } else { status };
            (path, status)
        });
        assert_eq!(statuses().await, was_in, "who was in it");
        server.post(&room.path("forget"), Some(&bob), json!({})).await.ok();
        assert_eq!(statuses().await, reads, "who has forgotten it");
        for change in ["ban", "unban"] {
            let target = json!({"user_id": bob.user_id});
            server.post(&room.path(change), Some(&alice), target).await.ok();
            assert_eq!(statuses().await, reads, "{change} after that");
            let filter = encode(r#"{"room":{"include_leave":true}}"#);
            let path = format!("/_matrix/client/v3/sync?filter={filter}");
            let synced = server.get(&path, Some(&bob)).await;
            assert!(!synced.text.contains("\"text\""), "{change}: {}", synced.text);
        }
        let typing = json!({"typing": true, "timeout": 1_000});
        let typing =
            server.put(&room.path(&format!("typing/{}", bob.user_id)), Some(&bob), typing).await;
        assert_eq!(typing.error(), (403, "M_FORBIDDEN"));
        let receipt = room.path(&format!("receipt/m.read/{text}"));
        let receipt = server.post(&receipt, Some(&bob), json!({})).await;
        assert_eq!(receipt.error(), (403, "M_FORBIDDEN"));
    }
}
