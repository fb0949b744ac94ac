//! `DELETE /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}` (client-server API, "Room Tagging").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, user_data};
use myelin_http::Raw;
use myelin_rooms::Rooms;
use serde_json::json;

use super::set_account_data::to_api_error;
use crate::Answer;

#[tracing::instrument(name = "client.user_data.delete_tag", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    raw: Raw,
) -> Answer {
    super::check_caller(&raw, "Cannot add tags for other users.")?;
    let room_nid = super::room_nid(&rooms, &raw).await?;
    let user_id = &raw.requester.user_id;
    user_data::set_tag(&accounts, user_id, room_nid, raw.path_arg(2)?, None)
        .await
        .map_err(to_api_error)?;
    Ok(Json(json!({})))
}
