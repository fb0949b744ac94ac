//! `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags` (client-server API, "Room Tagging").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, user_data};
use myelin_http::Raw;
use myelin_rooms::Rooms;
use serde_json::json;

use crate::Answer;

#[tracing::instrument(name = "client.user_data.get_tags", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    raw: Raw,
) -> Answer {
    super::check_caller(&raw, "Cannot get tags for other users.")?;
    let room_nid = super::room_nid(&rooms, &raw).await?;
    let tags = user_data::list_tags(&accounts, &raw.requester.user_id, room_nid).await?;
    Ok(Json(json!({ "tags": tags })))
}
