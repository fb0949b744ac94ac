//! `GET /_matrix/client/v3/rooms/{roomId}/members` (client-server API, "Getting events for a room").

use axum::extract::State;
use myelin_http::{ApiError, Raw};
use myelin_model::Membership;
use myelin_rooms::{
    Rooms,
    history::{Format, MembersQuery, Shown, members},
};
use serde::Deserialize;

use crate::{
    reply::{self, JsonText},
    room_input::room_id_at,
};

#[derive(Debug, Deserialize)]
struct Query {
    at: Option<String>,
    membership: Option<String>,
    not_membership: Option<String>,
}

#[tracing::instrument(name = "client.membership.get_member_events", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<JsonText, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    let query: Query = req.query()?;
    let query = MembersQuery {
        at: reply::place(&rooms, query.at.as_deref()).await?,
        membership: membership(query.membership.as_deref())?,
        not_membership: membership(query.not_membership.as_deref())?,
    };
    let events = members(&rooms, &req.requester.user_id, &room_id, &query)
        .await
        .map_err(reply::view_error)?;
    let mut out = "{\"chunk\":".to_owned();
    Shown::write_all(&mut out, &events, Format::Room, &reply::reader(&rooms, &req.requester));
    out.push('}');
    Ok(JsonText(out))
}

fn membership(text: Option<&str>) -> Result<Option<Membership>, ApiError> {
    text.map(|text| {
        Membership::parse(text)
            .ok_or_else(|| ApiError::invalid_param(format!("{text:?} is not a membership")))
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::{test_rooms::TestRoom, test_server};

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn memberships_and_times_are_chosen(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        let page = room.get("messages?dir=b&limit=1", &alice).await.ok();
        let before = page["start"].as_str().unwrap();
        room.join(&bob).await;
        let carol = server.user("carol").await;
        room.join(&carol).await;
        room.leave(&carol).await;

        for (query, expect) in [
            (String::new(), vec!["@alice", "@bob", "@carol"]),
            ("?membership=join".to_owned(), vec!["@alice", "@bob"]),
            ("?not_membership=join".to_owned(), vec!["@carol"]),
            (format!("?at={before}"), vec!["@alice"]),
        ] {
            let members = room.get(&format!("members{query}"), &alice).await.ok();
            let mut users: Vec<String> = members["chunk"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| event["state_key"].as_str().unwrap().replace(":example.org", ""))
                .collect();
            users.sort();
            assert_eq!(users, expect, "{query}");
        }
        assert_eq!(
            room.get("members?membership=x", &alice).await.error(),
            (400, "M_INVALID_PARAM")
        );

        let joined = room.get("joined_members", &alice).await.ok();
        assert_eq!(joined["joined"].as_object().unwrap().len(), 2);
        assert_eq!(room.get("joined_members", &carol).await.error(), (403, "M_FORBIDDEN"));
        let rooms = server.get("/_matrix/client/v3/joined_rooms", Some(&bob)).await.ok();
        assert_eq!(rooms["joined_rooms"], json!([room.id]));
        let rooms = server.get("/_matrix/client/v3/joined_rooms", Some(&carol)).await.ok();
        assert_eq!(rooms["joined_rooms"], json!([]));
    }
}
