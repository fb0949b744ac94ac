//! `GET /_matrix/client/v3/joined_rooms` (client-server API, "Room membership").

use axum::extract::State;
use myelin_http::{ApiError, Ruma, RumaResponse};
use myelin_rooms::{Rooms, membership};
use ruma::api::client::membership::joined_rooms::v3::{Request, Response};

#[tracing::instrument(name = "client.membership.joined_rooms", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(
    State(rooms): State<Rooms>,
    req: Ruma<Request>,
) -> Result<RumaResponse<Response>, ApiError> {
    let rooms = membership::list_joined(&rooms, &req.requester.user_id).await?;
    Ok(RumaResponse(Response::new(rooms)))
}
