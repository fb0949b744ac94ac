//! `POST /_matrix/client/v3/rooms/{roomId}/read_markers` (client-server API, "Fully read markers").

use axum::{Json, extract::State};
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    receipts::{ReceiptKind, set_fully_read, set_receipt},
};
use ruma::OwnedEventId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{receipt::to_api_error, room_input::room_id_at};

#[derive(Debug, Deserialize)]
struct Body {
    #[serde(rename = "m.fully_read")]
    fully_read: Option<OwnedEventId>,
    #[serde(rename = "m.read")]
    read: Option<OwnedEventId>,
    #[serde(rename = "m.read.private")]
    read_private: Option<OwnedEventId>,
}

#[tracing::instrument(name = "client.read_marker.set_read_marker", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<Json<Value>, ApiError> {
    let user_id = &req.requester.user_id;
    let room_id = room_id_at(&req, 0)?;
    let body: Body = req.json()?;
    for (event_id, kind) in
        [(&body.read, ReceiptKind::Public), (&body.read_private, ReceiptKind::Private)]
    {
        if let Some(event_id) = event_id {
            set_receipt(&rooms, user_id, &room_id, event_id, kind, None)
                .await
                .map_err(to_api_error)?;
        }
    }
    if let Some(event_id) = &body.fully_read {
        set_fully_read(&rooms, user_id, &room_id, event_id).await.map_err(to_api_error)?;
    }
    Ok(Json(json!({})))
}
