//! `PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}` (client-server API, "Redactions"), and the same by `POST`
//! without a transaction ID, as older clients have it.

use axum::{Json, extract::State};
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_rooms::{
    Rooms,
    redact::{is_of_another, redact},
};
use ruma::EventId;
use serde_json::{Value, json};

use crate::{
    room_error::send_error,
    room_input::{json_text, room_id_at},
};

#[tracing::instrument(name = "client.redact", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn put(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    req: Raw,
) -> Result<Json<Value>, ApiError> {
    let txn_id = req.path_arg(2)?;
    redact_event(&rooms, &limits, &req, Some(txn_id)).await
}

#[tracing::instrument(name = "client.redact", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn post(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    req: Raw,
) -> Result<Json<Value>, ApiError> {
    redact_event(&rooms, &limits, &req, None).await
}

async fn redact_event(
    rooms: &Rooms,
    limits: &RateLimits,
    req: &Raw,
    txn_id: Option<&str>,
) -> Result<Json<Value>, ApiError> {
    let room_id = room_id_at(req, 0)?;
    let event_id = <&EventId>::try_from(req.path_arg(1)?)
        .map_err(|_| ApiError::invalid_param("The event ID is not valid"))?;
    let content = json_text(req, true)?;
    let limit = if is_of_another(rooms, &req.requester, event_id).await? {
        &limits.admin_redaction
    } else {
        &limits.message
    };
    let redaction = redact(rooms, &req.requester, &room_id, event_id, content, txn_id);
    let redaction = async { redaction.await.map_err(send_error) };
    let event_id = limit.count_done(&req.requester, redaction).await?;
    Ok(Json(json!({"event_id": event_id})))
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
    async fn a_transaction_holds_for_one_event(pool: PgPool) {
        let server = test_server::open(pool.clone()).await;
        let alice = server.user("alice").await;
        let room = TestRoom::create(&server, &alice, json!({})).await;
        let events = [room.text(&alice, "one").await, room.text(&alice, "two").await];
        let mut redactions = vec![];
        for event_id in [&events[0], &events[1], &events[0]] {
            let path = room.path(&format!("redact/{}/same", encode(event_id)));
            let answer = server.put(&path, Some(&alice), json!({})).await.ok();
            redactions.push(answer["event_id"].clone());
        }
        assert_ne!(redactions[0], redactions[1]);
        assert_eq!(redactions[0], redactions[2]);
        for event_id in &events {
            let path = room.path(&format!("event/{}", encode(event_id)));
            assert_eq!(server.get(&path, Some(&alice)).await.ok()["content"], json!({}));
        }
        // Another node finds it in the database.
        let other = test_server::open(pool).await;
        let path = room.path(&format!("redact/{}/same", encode(&events[1])));
        assert_eq!(other.put(&path, Some(&alice), json!({})).await.ok()["event_id"], redactions[1]);
    }
}
