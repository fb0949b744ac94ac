//! `POST /_matrix/client/v3/rooms/{roomId}/leave` (client-server API, "Leaving rooms").

use axum::{Json, extract::State};
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_rooms::{
    Rooms,
    membership::{Action, MembershipUpdate},
};
use serde_json::{Value, json};

use super::change::change;
use crate::room_input::{reason_of, room_id_at};

#[tracing::instrument(name = "client.membership.leave", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    req: Raw,
) -> Result<Json<Value>, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    let body = req.json_object(true)?;
    let new = MembershipUpdate {
        room_id: &room_id,
        target: &req.requester.user_id,
        action: Action::Leave,
        content: reason_of(&body),
        origin_server_ts: None,
    };
    change(&rooms, &limits, &req.requester, new).await?;
    Ok(Json(json!({})))
}
