//! `GET /_matrix/client/v3/rooms/{roomId}/joined_members` (client-server API, "Getting events for a room").

use axum::{Json, extract::State};
use myelin_http::{ApiError, Raw};
use myelin_rooms::{Rooms, history::joined_members};
use serde_json::{Map, Value, json};

use crate::reply;

#[tracing::instrument(name = "client.membership.joined_members", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<Json<Value>, ApiError> {
    let room_id = reply::room_id(req.path_arg(0)?)?;
    let members = joined_members(&rooms, &req.requester.user_id, &room_id)
        .await
        .map_err(reply::view_error)?;
    let joined: Map<String, Value> = members
        .into_iter()
        .map(|member| {
            let mut profile = Map::new();
            if let Some(name) = member.display_name {
                profile.insert("display_name".to_owned(), name.into());
            }
            if let Some(url) = member.avatar_url {
                profile.insert("avatar_url".to_owned(), url.into());
            }
            (member.user_id.to_string(), Value::Object(profile))
        })
        .collect();
    Ok(Json(json!({ "joined": joined })))
}
