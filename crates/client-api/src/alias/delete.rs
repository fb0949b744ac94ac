//! `DELETE /_matrix/client/v3/directory/room/{roomAlias}` (client-server API, "Room aliases").

use axum::{Json, extract::State};
use http::StatusCode;
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    alias::delete::{DeleteAliasError, delete},
};
use ruma::{RoomAliasId, api::error::ErrorKind};
use serde_json::{Value, json};

use crate::room_error::event_error;

#[tracing::instrument(name = "client.alias.delete", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<Json<Value>, ApiError> {
    let alias = <&RoomAliasId>::try_from(req.path_arg(0)?)
        .map_err(|_| ApiError::invalid_param("Room alias invalid"))?;
    delete(&rooms, req.requester.active()?, alias).await.map_err(to_api_error)?;
    Ok(Json(json!({})))
}

fn to_api_error(error: DeleteAliasError) -> ApiError {
    match error {
        DeleteAliasError::NotFound => ApiError::not_found(error.to_string()),
        DeleteAliasError::Forbidden => ApiError::forbidden(error.to_string()),
        DeleteAliasError::Namespace(error) => {
            ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::Exclusive, error.to_string())
        }
        DeleteAliasError::Event(error) => event_error(error),
    }
}
