//! `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}` (client-server API, "Room Tagging").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, user_data};
use myelin_http::Raw;
use myelin_rooms::Rooms;
use serde_json::json;

use super::set_account_data::to_api_error;
use crate::Answer;

#[tracing::instrument(name = "client.user_data.create_tag", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    raw: Raw,
) -> Answer {
    super::check_caller(&raw, "Cannot add tags for other users.")?;
    let content = raw.json_object(false)?;
    let room_nid = super::room_nid(&rooms, &raw).await?;
    let user_id = &raw.requester.user_id;
    user_data::set_tag(&accounts, user_id, room_nid, raw.path_arg(2)?, Some(content))
        .await
        .map_err(to_api_error)?;
    Ok(Json(json!({})))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::{
        test_rooms::{TestRoom, encode},
        test_server,
    };

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn tags_come_and_go(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({})).await;
        let tags =
            format!("/_matrix/client/v3/user/{}/rooms/{}/tags", alice.user_id, encode(&room.id));
        let tag = format!("{tags}/u.work");

        server.put(&tag, Some(&alice), json!({"order": 0.25})).await.ok();
        let tagged = json!({"tags": {"u.work": {"order": 0.25}}});
        assert_eq!(server.get(&tags, Some(&alice)).await.ok(), tagged);
        let refused = server.put(&tag, Some(&alice), json!({"order": "x"})).await;
        assert_eq!(refused.error(), (400, "M_INVALID_PARAM"));
        let nothing = http::Request::put(&tag)
            .header("Authorization", format!("Bearer {}", alice.token))
            .body(axum::body::Body::empty());
        assert_eq!(server.send(nothing.unwrap()).await.error(), (400, "M_NOT_JSON"));
        assert_eq!(server.get(&tags, Some(&alice)).await.ok(), tagged);
        for refused in [
            server.get(&tags, Some(&bob)).await,
            server.put(&tag, Some(&bob), json!({})).await,
            server.delete(&tag, Some(&bob)).await,
        ] {
            assert_eq!(refused.error(), (403, "M_FORBIDDEN"));
        }
        server.delete(&tag, Some(&alice)).await.ok();

        assert_eq!(server.get(&tags, Some(&alice)).await.ok(), json!({"tags": {}}));
    }
}
