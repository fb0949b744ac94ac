//! The room that a path names by its ID or an alias.

use http::StatusCode;
use myelin_http::ApiError;
use myelin_rooms::{
    Rooms,
    alias::find::{self, FindAliasError},
};
use ruma::{OwnedRoomId, RoomAliasId, RoomId, RoomOrAliasId, api::error::ErrorKind};

pub(super) async fn resolve(rooms: &Rooms, text: &str) -> Result<OwnedRoomId, ApiError> {
    let illegal = || {
        let message = format!("{text} was not legal room ID or room alias");
        ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::InvalidParam, message)
    };
    let id = <&RoomOrAliasId>::try_from(text).map_err(|_| illegal())?;
    if let Ok(room_id) = <&RoomId>::try_from(id) {
        return Ok(room_id.to_owned());
    }
    let alias = <&RoomAliasId>::try_from(id).map_err(|_| illegal())?;
    find::find(rooms, alias).await.map_err(|error| match error {
        FindAliasError::NotFound(_) => ApiError::not_found(error.to_string()),
        FindAliasError::Storage(error) => error.into(),
    })
}
