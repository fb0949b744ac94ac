//! `GET /_matrix/client/v3/rooms/{roomId}/aliases` (client-server API, "Room aliases").

use axum::{Json, extract::State};
use myelin_http::{ApiError, Raw};
use myelin_rooms::{Rooms, alias::find};
use serde_json::{Value, json};

use crate::{reply, room_input::room_id_at};

#[tracing::instrument(name = "client.alias.list_aliases", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<Json<Value>, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    let aliases =
        find::list(&rooms, &req.requester.user_id, &room_id).await.map_err(reply::view_error)?;
    Ok(Json(json!({ "aliases": aliases })))
}
