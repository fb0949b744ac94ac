//! `GET /_matrix/client/v3/presence/{userId}/status` (client-server API, "Presence").

use axum::{Json, extract::State};
use myelin_http::{ApiError, Ruma};
use myelin_rooms::{Rooms, presence::find_presence};
use ruma::api::client::presence::get_presence::v3::Request;
use serde_json::{Value, json};

#[tracing::instrument(name = "client.presence.get_presence", skip_all, fields(user.id = %req.requester.user_id))]
#[expect(clippy::indexing_slicing, reason = "`json!` made an object")]
pub(crate) async fn handler(
    State(rooms): State<Rooms>,
    req: Ruma<Request>,
) -> Result<Json<Value>, ApiError> {
    let presence = find_presence(&rooms, &req.requester.user_id, &req.body.user_id)
        .await
        .map_err(super::to_api_error)?;
    let Some(presence) = presence else { return Ok(Json(json!({ "presence": "offline" }))) };
    let mut body = json!({ "presence": presence.state.as_str() });
    if let Some(ago) = presence.last_active_ago_ms {
        body["last_active_ago"] = ago.into();
    }
    if let Some(status) = presence.status_msg {
        body["status_msg"] = status.into();
    }
    body["currently_active"] = presence.currently_active.into();
    Ok(Json(body))
}
