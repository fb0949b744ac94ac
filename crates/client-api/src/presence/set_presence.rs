//! `PUT /_matrix/client/v3/presence/{userId}/status` (client-server API, "Presence").

use axum::{Json, extract::State};
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_rooms::{
    Rooms,
    presence::{PresenceState, set_presence},
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
struct Body {
    presence: String,
    status_msg: Option<String>,
}

#[tracing::instrument(name = "client.presence.set_presence", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    req: Raw,
) -> Result<Json<Value>, ApiError> {
    if req.path_arg(0)? != req.requester.user_id.as_str() {
        return Err(ApiError::forbidden("Can only set your own presence state"));
    }
    limits.presence_per_user.check_caller(&req.requester)?;
    let body: Body = req.json()?;
    let state = PresenceState::parse(&body.presence)
        .ok_or_else(|| ApiError::unknown("Invalid presence state"))?;
    // Others would read it as they read messages.
    if body.status_msg.as_ref().is_some_and(|status| !status.is_empty()) {
        req.requester.active()?;
    }
    set_presence(&rooms, &req.requester.user_id, state, body.status_msg)
        .map_err(super::to_api_error)?;
    Ok(Json(json!({})))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::{test_rooms::TestRoom, test_server};

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn presence_is_shown_to_who_shares_a_room(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let path = format!("/_matrix/client/v3/presence/{}/status", alice.user_id);
        let offline = server.get(&path, Some(&alice)).await.ok();
        assert_eq!(offline["presence"], "offline");

        let body = json!({"presence": "online", "status_msg": "here"});
        server.put(&path, Some(&alice), body).await.ok();
        assert_eq!(server.get(&path, Some(&bob)).await.error(), (403, "M_FORBIDDEN"));
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        room.join(&bob).await;
        let presence = server.get(&path, Some(&bob)).await.ok();
        assert_eq!(
            (&presence["presence"], &presence["status_msg"]),
            (&json!("online"), &json!("here"))
        );
        assert_eq!(presence["currently_active"], true);

        let other = server.put(&path, Some(&bob), json!({"presence": "online"})).await;
        assert_eq!(other.error(), (403, "M_FORBIDDEN"));
        let bad = server.put(&path, Some(&alice), json!({"presence": "nope"})).await;
        assert_eq!(bad.status, 400);
    }
}
