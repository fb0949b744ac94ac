//! `GET /_matrix/client/v3/publicRooms` (client-server API, "Published room directory").

use axum::{Json, extract::State};
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    listing::{PublicRoomsQuery, public_rooms},
};
use ruma::api::auth_scheme::AccessTokenOptional;
use serde::Deserialize;
use serde_json::Value;

use super::room_chunk;

#[derive(Debug, Deserialize)]
struct Query {
    limit: Option<usize>,
    since: Option<String>,
    server: Option<String>,
}

#[tracing::instrument(name = "client.directory.get_public_rooms", skip_all)]
pub(crate) async fn handler(
    State(rooms): State<Rooms>,
    req: Raw<AccessTokenOptional>,
) -> Result<Json<Value>, ApiError> {
    if req.requester.is_none() && !rooms.settings().public_rooms_without_auth {
        return Err(ApiError::missing_token());
    }
    let query: Query = req.query()?;
    room_chunk::check_server(&rooms, query.server.as_deref())?;
    let query = PublicRoomsQuery {
        // 0 stands for no limit.
        limit: query.limit.filter(|limit| *limit > 0),
        since: query.since,
        ..PublicRoomsQuery::default()
    };
    let page = public_rooms(&rooms, &query).await.map_err(room_chunk::to_api_error)?;
    Ok(Json(room_chunk::page(&page)))
}
