//! `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}` (client-server API, "Sending events to a room").

use axum::{Json, extract::State};
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_model::Membership;
use myelin_rooms::{
    Rooms,
    membership::{Action, MembershipUpdate, update},
    set_state::{NewState, set_state},
};
use ruma::{OwnedEventId, RoomId, UserId};
use serde_json::{Value, json};

use crate::{
    room_error::{membership_error, set_state_error},
    room_input::{json_text, not_suspended, room_id_at, timestamp},
};

#[tracing::instrument(name = "client.state.send", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn put(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    req: Raw,
) -> Result<Json<Value>, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    let event_type = req.path_arg(1)?;
    // The empty state key can be left out of the path.
    let state_key = req.path.get(2).map_or("", String::as_str);
    let content = json_text(&req, false)?;
    let event_id = if event_type == "m.room.member" {
        set_member(&rooms, &req, &room_id, state_key).await?
    } else {
        not_suspended(&req.requester, "Sending state")?;
        limits.message.check_caller(&req.requester)?;
        let origin_server_ts = timestamp(&req)?;
        let room_id = &room_id;
        let new = NewState { room_id, event_type, state_key, content, origin_server_ts };
        set_state(&rooms, &req.requester, new).await.map_err(set_state_error)?
    };
    Ok(Json(json!({"event_id": event_id})))
}

/// Members change by the same rules as through the endpoints made for them.
async fn set_member(
    rooms: &Rooms,
    req: &Raw,
    room_id: &RoomId,
    state_key: &str,
) -> Result<OwnedEventId, ApiError> {
    let target = <&UserId>::try_from(state_key)
        .map_err(|_| ApiError::bad_json("The state key of a member event must be a user ID"))?;
    let mut content = req.json_object(false)?;
    let membership = content.remove("membership");
    let membership = membership
        .as_ref()
        .and_then(Value::as_str)
        .and_then(Membership::parse)
        .ok_or_else(|| ApiError::bad_json("Member events must have a known membership"))?;
    if membership != Membership::Leave {
        not_suspended(&req.requester, "Changing memberships")?;
    }
    let action = Action::of_membership(membership);
    let origin_server_ts = timestamp(req)?;
    let change = MembershipUpdate { room_id, target, action, content, origin_server_ts };
    update(rooms, &req.requester, change).await.map_err(membership_error)
}
