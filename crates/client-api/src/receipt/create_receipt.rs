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
use crate::reply;

#[tracing::instrument(name = "client.receipt.create_receipt", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<Json<Value>, ApiError> {
    let user_id = &req.requester.user_id;
    let room_id = reply::room_id(req.path_arg(0)?)?;
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
