//! `POST /_matrix/client/v3/rooms/{roomId}/join` (client-server API, "Joining rooms").

use axum::{Json, extract::State};
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_model::DeviceSession;
use myelin_rooms::{
    Rooms,
    membership::{Action, MembershipUpdate, update},
};
use ruma::RoomId;
use serde_json::{Map, Value, json};

use crate::{
    room_error::membership_error,
    room_input::{not_suspended, reason_of, room_id_at},
};

#[tracing::instrument(name = "client.membership.join", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    req: Raw,
) -> Result<Json<Value>, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    let body = req.json_object(true)?;
    join(&rooms, &limits, &req.requester, &room_id, reason_of(&body)).await
}

/// Join a room with this content in the member event.
pub(super) async fn join(
    rooms: &Rooms,
    limits: &RateLimits,
    session: &DeviceSession,
    room_id: &RoomId,
    content: Map<String, Value>,
) -> Result<Json<Value>, ApiError> {
    not_suspended(session, "Joining rooms")?;
    limits.joins_local.check_caller(session)?;
    limits.joins_per_room.check_caller_by(session, room_id.as_str())?;
    let (target, action) = (&*session.user_id, Action::Join);
    let change = MembershipUpdate { room_id, target, action, content, origin_server_ts: None };
    update(rooms, session, change).await.map_err(membership_error)?;
    Ok(Json(json!({"room_id": room_id})))
}
