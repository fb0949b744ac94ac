//! `GET /_matrix/client/v1/room_summary/{roomIdOrAlias}` (client-server API, "Room summaries"), and its unstable forms of MSC3266.

use axum::{Json, extract::State};
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    listing::{SummaryError, summary},
};
use ruma::{RoomOrAliasId, api::auth_scheme::AccessTokenOptional};
use serde_json::{Value, json};

use crate::directory::room_chunk::room_chunk;

#[tracing::instrument(name = "client.room.get_summary", skip_all)]
pub(crate) async fn handler(
    State(rooms): State<Rooms>,
    req: Raw<AccessTokenOptional>,
) -> Result<Json<Value>, ApiError> {
    let room = req.path_arg(0)?;
    let room = <&RoomOrAliasId>::try_from(room).map_err(|_| {
        ApiError::invalid_param(format!("{room:?} is neither a room ID nor an alias"))
    })?;
    let user_id = req.requester.as_ref().map(|session| &*session.user_id);
    let summary = summary(&rooms, user_id, room).await.map_err(to_api_error)?;
    let info = &summary.info;
    let mut body = room_chunk(info);
    let version = info.version.as_str();
    body.insert("room_version".to_owned(), version.into());
    body.insert("im.nheko.summary.room_version".to_owned(), version.into());
    body.insert("im.nheko.summary.version".to_owned(), version.into());
    if let Some(encryption) = &info.encryption {
        body.insert("encryption".to_owned(), encryption.as_str().into());
        body.insert("im.nheko.summary.encryption".to_owned(), encryption.as_str().into());
    }
    if !info.allowed_room_ids.is_empty() {
        body.insert("allowed_room_ids".to_owned(), json!(info.allowed_room_ids));
    }
    if req.requester.is_some() {
        let membership = summary.membership.map_or("leave", |membership| membership.as_str());
        body.insert("membership".to_owned(), membership.into());
    }
    Ok(Json(Value::Object(body)))
}

fn to_api_error(error: SummaryError) -> ApiError {
    match error {
        SummaryError::NotFound => ApiError::not_found(error.to_string()),
        SummaryError::Storage(error) => error.into(),
    }
}
