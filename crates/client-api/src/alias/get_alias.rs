//! `GET /_matrix/client/v3/directory/room/{roomAlias}` (client-server API, "Room aliases").

use axum::extract::State;
use myelin_http::{ApiError, Ruma, RumaResponse};
use myelin_rooms::{
    Rooms,
    alias::find::{self, FindAliasError},
};
use ruma::api::client::alias::get_alias::v3::{Request, Response};

#[tracing::instrument(name = "client.alias.get_alias", skip_all, fields(room.alias = %req.body.room_alias))]
pub(crate) async fn handler(
    State(rooms): State<Rooms>,
    req: Ruma<Request>,
) -> Result<RumaResponse<Response>, ApiError> {
    let room_id = find::find(&rooms, &req.body.room_alias).await.map_err(to_api_error)?;
    Ok(RumaResponse(Response::new(room_id, vec![rooms.server_name().to_owned()])))
}

fn to_api_error(error: FindAliasError) -> ApiError {
    match error {
        FindAliasError::NotFound(_) => ApiError::not_found(error.to_string()),
        FindAliasError::Storage(error) => error.into(),
    }
}
