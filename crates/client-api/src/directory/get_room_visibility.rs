//! `GET /_matrix/client/v3/directory/list/room/{roomId}` (client-server API, "Published room directory").

use axum::extract::State;
use myelin_http::{ApiError, Ruma, RumaResponse};
use myelin_rooms::{Rooms, listing::is_listed};
use ruma::api::client::{
    directory::get_room_visibility::v3::{Request, Response},
    room::Visibility,
};

#[tracing::instrument(name = "client.directory.get_room_visibility", skip_all, fields(room.id = %req.body.room_id))]
pub(crate) async fn handler(
    State(rooms): State<Rooms>,
    req: Ruma<Request>,
) -> Result<RumaResponse<Response>, ApiError> {
    let listed = is_listed(&rooms, &req.body.room_id).await?;
    let listed = listed.ok_or_else(|| ApiError::not_found("Unknown room"))?;
    let visibility = if listed { Visibility::Public } else { Visibility::Private };
    Ok(RumaResponse(Response::new(visibility)))
}
