//! `PUT /_matrix/client/v3/directory/list/room/{roomId}` (client-server API, "Published room directory").

use axum::{Json, extract::State};
use http::StatusCode;
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    publish::{PublishError, set_visibility},
};
use ruma::api::error::ErrorKind;
use serde_json::{Value, json};

use crate::{room_error::event_error, room_input::room_id_at};

#[tracing::instrument(name = "client.directory.set_room_visibility", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<Json<Value>, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    let body = req.json_object(true)?;
    let is_public = match body.get("visibility").map(Value::as_str) {
        None | Some(Some("public")) => true,
        Some(Some("private")) => false,
        Some(_) => return Err(ApiError::bad_json("visibility must be public or private")),
    };
    set_visibility(&rooms, req.requester.active()?, &room_id, is_public)
        .await
        .map_err(to_api_error)?;
    Ok(Json(json!({})))
}

fn to_api_error(error: PublishError) -> ApiError {
    let text = error.to_string();
    match error {
        PublishError::UnknownRoom => {
            ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::Unknown, text)
        }
        PublishError::NotModerator | PublishError::NotAllowed | PublishError::NoList => {
            ApiError::forbidden(text)
        }
        PublishError::Event(error) => event_error(error),
    }
}
