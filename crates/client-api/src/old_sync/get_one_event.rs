//! `GET /_matrix/client/v3/events/{eventId}` (client-server API, deprecated): one event, wherever it is.

use axum::extract::State;
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    history::{FindEventError, Format, find_event_anywhere},
};

use crate::reply::{self, JsonText};

#[tracing::instrument(name = "client.old_sync.get_one_event", skip_all, fields(user.id = %req.requester.user_id))]
pub(super) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<JsonText, ApiError> {
    let event_id = reply::event_id(req.path_arg(0)?)?;
    let event = find_event_anywhere(&rooms, &req.requester.user_id, &event_id)
        .await
        .map_err(to_api_error)?;
    Ok(JsonText(event.to_json(Format::Room, &reply::reader(&rooms, &req.requester))))
}

fn to_api_error(error: FindEventError) -> ApiError {
    match error {
        FindEventError::NotFound => ApiError::not_found(error.to_string()),
        FindEventError::Storage(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::{test_rooms::TestRoom, test_server};

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn visibility_decides(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({"preset": "private_chat"})).await;
        let text = room.text(&alice, "text").await;
        let path = format!("/_matrix/client/v3/events/{text}");

        let event = server.get(&path, Some(&alice)).await.ok();
        assert_eq!((&event["event_id"], &event["room_id"]), (&json!(text), &json!(room.id)));
        assert_eq!(server.get(&path, Some(&bob)).await.error(), (404, "M_NOT_FOUND"));
        let unknown = server.get("/_matrix/client/v3/events/$nope", Some(&alice)).await;
        assert_eq!(unknown.error(), (404, "M_NOT_FOUND"));
    }
}
