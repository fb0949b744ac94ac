//! `PUT /_matrix/client/v3/directory/room/{roomAlias}` (client-server API, "Room aliases").

use axum::{Json, extract::State};
use myelin_http::{ApiError, Raw};
use myelin_rooms::{Rooms, alias::add::add};
use ruma::RoomAliasId;
use serde_json::{Value, json};

use crate::{room_error::add_alias_error, room_input::parse_room_id};

#[tracing::instrument(name = "client.alias.add", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<Json<Value>, ApiError> {
    let text = req.path_arg(0)?;
    let alias = <&RoomAliasId>::try_from(text)
        .map_err(|_| ApiError::invalid_param("Room alias invalid"))?;
    let body = req.json_object(false)?;
    let room_id = match body.get("room_id") {
        Some(Value::String(room_id)) => room_id,
        Some(_) => return Err(ApiError::bad_json("room_id must be a string")),
        None => return Err(ApiError::missing_param("Missing params: ['room_id']")),
    };
    let room_id = parse_room_id(room_id)?;
    add(&rooms, req.requester.active()?, alias, &room_id).await.map_err(add_alias_error)?;
    Ok(Json(json!({})))
}
