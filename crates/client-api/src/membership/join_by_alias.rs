//! `POST /_matrix/client/v3/join/{roomIdOrAlias}` (client-server API, "Joining rooms").

use axum::{Json, extract::State};
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_rooms::Rooms;
use serde_json::Value;

use super::{
    join::{join, take_signed},
    resolve::resolve,
};

#[tracing::instrument(name = "client.membership.join_by_alias", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    req: Raw,
) -> Result<Json<Value>, ApiError> {
    let room_id = resolve(&rooms, req.path_arg(0)?).await?;
    // The whole body becomes the member event's content, as Synapse has it.
    let mut content = req.json_object(true)?;
    let signed = take_signed(&mut content)?;
    join(&rooms, &limits, &req.requester, &room_id, signed, content).await
}
