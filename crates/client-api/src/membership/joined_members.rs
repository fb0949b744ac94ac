//! `GET /_matrix/client/v3/rooms/{roomId}/joined_members` (client-server API, "Getting events for a room").

use axum::{Json, extract::State};
use myelin_http::{ApiError, Raw};
use myelin_rooms::{Rooms, history::joined_members};
use serde_json::{Map, Value, json};

use crate::{reply, room_input::room_id_at};

#[tracing::instrument(name = "client.membership.joined_members", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<Json<Value>, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    let members = joined_members(&rooms, &req.requester.user_id, &room_id)
        .await
        .map_err(reply::view_error)?;
    // What a member has not set is null, not missing: clients of Synapse look for the keys.
    let joined: Map<String, Value> = members
        .into_iter()
        .map(|member| {
            let profile =
                json!({ "display_name": member.display_name, "avatar_url": member.avatar_url });
            (member.user_id.to_string(), profile)
        })
        .collect();
    Ok(Json(json!({ "joined": joined })))
}
