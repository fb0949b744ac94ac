//! `POST /_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}` (client-server API, "Receipts").

use axum::{Json, extract::State};
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    receipts::{ReceiptKind, set_fully_read, set_receipt},
};
use ruma::EventId;
use serde_json::{Value, json};

use super::to_api_error;
use crate::room_input::room_id_at;

#[tracing::instrument(name = "client.receipt.create_receipt", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<Json<Value>, ApiError> {
    let user_id = &req.requester.user_id;
    let room_id = room_id_at(&req, 0)?;
    let event_id = <&EventId>::try_from(req.path_arg(2)?)
        .map_err(|_| ApiError::invalid_param("A valid room ID and event ID must be specified"))?;
    let body = req.json_object(true)?;
    let thread_id = match body.get("thread_id") {
        None => None,
        Some(Value::String(thread_id)) if !thread_id.is_empty() => Some(thread_id.as_str()),
        Some(_) => {
            return Err(ApiError::invalid_param("thread_id field must be a non-empty string"));
        }
    };
    let kind = match req.path_arg(1)? {
        "m.read" => ReceiptKind::Public,
        "m.read.private" => ReceiptKind::Private,
        "m.fully_read" if thread_id.is_some() => {
            return Err(ApiError::invalid_param(
                "thread_id is not compatible with m.fully_read receipts.",
            ));
        }
        "m.fully_read" => {
            set_fully_read(&rooms, user_id, &room_id, event_id).await.map_err(to_api_error)?;
            return Ok(Json(json!({})));
        }
        _ => {
            return Err(ApiError::invalid_param(
                "Receipt type must be m.read, m.read.private, m.fully_read",
            ));
        }
    };
    set_receipt(&rooms, user_id, &room_id, event_id, kind, thread_id)
        .await
        .map_err(to_api_error)?;
    Ok(Json(json!({})))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::{test_rooms::TestRoom, test_server};

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn what_is_hidden_cannot_be_read(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        for visibility in ["joined", "invited", "shared"] {
            let room = TestRoom::visible(&server, &alice, visibility).await;
            let hidden = room.text(&alice, "hidden").await;
            room.join(&bob).await;
            let seen = room.text(&alice, "seen").await;
            let before = if visibility == "shared" { 200 } else { 404 };
            for (event_id, expect) in [(&hidden, before), (&seen, 200)] {
                for kind in ["m.read", "m.read.private", "m.fully_read"] {
                    let path = room.path(&format!("receipt/{kind}/{event_id}"));
                    let answer = server.post(&path, Some(&bob), json!({})).await;
                    assert_eq!(answer.status, expect, "{visibility} {kind}: {}", answer.text);
                }
            }
        }
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn receipts_are_taken_and_refused(pool: PgPool) {
        let server = test_server::open(pool.clone()).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({})).await;
        let first = room.text(&alice, "first").await;
        let second = room.text(&alice, "second").await;
        let relates = json!({"rel_type": "m.thread", "event_id": first});
        let reply = room
            .send(
                &alice,
                "m.room.message",
                json!({"msgtype": "m.text", "body": "t", "m.relates_to": relates}),
            )
            .await;
        let path = |kind: &str, event: &str| room.path(&format!("receipt/{kind}/{event}"));
        for (kind, event, body, expect) in [
            ("m.read", &second, json!({}), (200, "")),
            ("m.read", &first, json!({}), (200, "")),
            ("m.read.private", &second, json!({"thread_id": "main"}), (200, "")),
            ("m.read", &reply, json!({"thread_id": first}), (200, "")),
            ("m.read", &reply, json!({"thread_id": "main"}), (400, "M_INVALID_PARAM")),
            ("m.read", &second, json!({"thread_id": first}), (400, "M_INVALID_PARAM")),
            ("m.read", &second, json!({"thread_id": ""}), (400, "M_INVALID_PARAM")),
            ("m.read", &second, json!({"thread_id": 1}), (400, "M_INVALID_PARAM")),
            ("m.fully_read", &second, json!({}), (200, "")),
            ("m.fully_read", &first, json!({}), (200, "")),
            ("m.fully_read", &second, json!({"thread_id": "main"}), (400, "M_INVALID_PARAM")),
            ("m.other", &second, json!({}), (400, "M_INVALID_PARAM")),
        ] {
            let answer = server.post(&path(kind, event), Some(&alice), body.clone()).await;
            assert_eq!(answer.error(), expect, "{kind} {body}");
        }
        let answer = server.post(&path("m.read", &second), Some(&bob), json!({})).await;
        assert_eq!(answer.error(), (403, "M_FORBIDDEN"));
        let answer = server.post(&path("m.read", "$nope"), Some(&alice), json!({})).await;
        assert_eq!(answer.error(), (404, "M_NOT_FOUND"));

        // Neither goes back.
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT receipt_type, thread_id, event_id FROM receipts JOIN events USING (event_nid)
             ORDER BY receipt_type, thread_id",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        let row = |kind: &str, thread: &str, event: &str| {
            (kind.to_owned(), thread.to_owned(), event.to_owned())
        };
        let expect = [
            row("m.read", "", &second),
            row("m.read", &first, &reply),
            row("m.read.private", "main", &second),
        ];
        assert_eq!(rows, expect);
        let markers = room.path("read_markers");
        let body = json!({"m.fully_read": first, "m.read": reply, "m.unknown": 1});
        server.post(&markers, Some(&alice), body).await.ok();
        let content: String =
            sqlx::query_scalar("SELECT content FROM account_data").fetch_one(&pool).await.unwrap();
        assert_eq!(content, json!({"event_id": second}).to_string());
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_redacted_reply_is_in_no_thread(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let room = TestRoom::create(&server, &alice, json!({})).await;
        let root = room.text(&alice, "root").await;
        let relates = json!({"rel_type": "m.thread", "event_id": root});
        let content = json!({"msgtype": "m.text", "body": "t", "m.relates_to": relates});
        let reply = room.send(&alice, "m.room.message", content).await;
        let redact = room.path(&format!("redact/{reply}/r1"));
        server.put(&redact, Some(&alice), json!({})).await.ok();

        let path = room.path(&format!("receipt/m.read/{reply}"));
        server.post(&path, Some(&alice), json!({"thread_id": "main"})).await.ok();
        let other = server.post(&path, Some(&alice), json!({"thread_id": root})).await;
        assert_eq!(other.error(), (400, "M_INVALID_PARAM"));
    }
}
