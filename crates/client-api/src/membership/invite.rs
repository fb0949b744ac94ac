//! `POST /_matrix/client/v3/rooms/{roomId}/invite` (client-server API, "Joining rooms").

use axum::{Json, extract::State};
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_rooms::{
    Rooms,
    membership::{Action, MembershipUpdate},
};
use serde_json::{Value, json};

use super::change::change;
use crate::room_input::{reason_of, room_id_at, user_id_in};

#[tracing::instrument(name = "client.membership.invite", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    req: Raw,
) -> Result<Json<Value>, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    let body = req.json_object(true)?;
    if body.contains_key("medium") && body.contains_key("address") {
        if !body.contains_key("id_server") || !body.contains_key("id_access_token") {
            return Err(ApiError::missing_param(
                "`id_server` and `id_access_token` are required when doing 3pid invite",
            ));
        }
        // There is no identity server that this server trusts to look the address up.
        return Err(ApiError::forbidden(
            "Looking up third-party identifiers is denied from this server",
        ));
    }
    let target = user_id_in(&body)?;
    let new = MembershipUpdate {
        room_id: &room_id,
        target: &target,
        action: Action::Invite,
        content: reason_of(&body),
        origin_server_ts: None,
    };
    change(&rooms, &limits, &req.requester, new).await?;
    Ok(Json(json!({})))
}
