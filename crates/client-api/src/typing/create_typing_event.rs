//! `PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}` (client-server API, "Typing notifications").

use axum::{Json, extract::State};
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    typing::{TypingError, set_typing},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::room_input::room_id_at;

/// The time for which a user types if the client does not say, in milliseconds.
const TIMEOUT_MILLIS_DEFAULT: u64 = 30_000;

#[derive(Debug, Deserialize)]
struct Body {
    typing: bool,
    timeout: Option<u64>,
}

#[tracing::instrument(name = "client.typing.create_typing_event", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<Json<Value>, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    if req.path_arg(1)? != req.requester.user_id.as_str() {
        return Err(ApiError::forbidden("Cannot set another user's typing state"));
    }
    let body: Body = req.json()?;
    let timeout = body.typing.then(|| body.timeout.unwrap_or(TIMEOUT_MILLIS_DEFAULT));
    set_typing(&rooms, &req.requester.user_id, &room_id, timeout).await.map_err(to_api_error)?;
    Ok(Json(json!({})))
}

fn to_api_error(error: TypingError) -> ApiError {
    match error {
        TypingError::NotInRoom(_) => ApiError::forbidden(error.to_string()),
        TypingError::Storage(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::{test_rooms::TestRoom, test_server};

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn typing_begins_and_ends(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({})).await;
        let db = &server.parts.db;
        let nid = db.heads().find_nid(room.id.as_str().try_into().unwrap()).await.unwrap().unwrap();
        let path = room.path(&format!("typing/{}", alice.user_id));
        let typing = || db.ephemeral().typing(nid).1;

        server.put(&path, Some(&alice), json!({"typing": true, "timeout": 30_000})).await.ok();
        assert_eq!(typing(), std::slice::from_ref(&alice.user_id));
        room.text(&alice, "done").await;
        assert!(typing().is_empty());
        server.put(&path, Some(&alice), json!({"typing": true})).await.ok();
        server.put(&path, Some(&alice), json!({"typing": false})).await.ok();
        assert!(typing().is_empty());

        let other = server.put(&path, Some(&bob), json!({"typing": true})).await;
        assert_eq!(other.error(), (403, "M_FORBIDDEN"));
        let path = room.path(&format!("typing/{}", bob.user_id));
        let outside = server.put(&path, Some(&bob), json!({"typing": true})).await;
        assert_eq!(outside.error(), (403, "M_FORBIDDEN"));
        let bad = server.put(&path, Some(&bob), json!({"typing": 1})).await;
        assert_eq!(bad.error(), (400, "M_BAD_JSON"));
    }
}
