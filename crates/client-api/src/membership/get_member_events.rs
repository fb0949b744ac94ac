//! `GET /_matrix/client/v3/rooms/{roomId}/members` (client-server API, "Getting events for a room").

use axum::extract::State;
use myelin_http::{ApiError, Raw};
use myelin_model::Membership;
use myelin_rooms::{
    Rooms,
    history::{Format, MembersError, MembersQuery, Shown, members},
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
    let events = members(&rooms, &req.requester.user_id, &room_id, &query).await.map_err(
        |error| match error {
            MembersError::View(error) => reply::view_error(error),
            MembersError::Hidden => ApiError::forbidden(error.to_string()),
        },
    )?;
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

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn state_that_was_redacted_says_so(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        room.join(&bob).await;
        let name = json!({"membership": "join", "displayname": "a slip"});
        let key = format!("m.room.member/{}", bob.user_id);
        let named = room.set_state(&bob, &key, name).await;
        let redact = room.path(&format!("redact/{named}/1"));
        server.put(&redact, Some(&alice), json!({"reason": "why"})).await.ok();
        for path in
            ["members", "state", &format!("state/{key}?format=event"), &format!("context/{named}")]
        {
            let text = room.get(path, &bob).await.text;
            assert!(!text.contains("a slip"), "{path}: {text}");
            assert!(text.contains("redacted_because") && text.contains("why"), "{path}: {text}");
        }
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn members_of_a_time_that_is_hidden_are_not_shown(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let (carol, dave) = (server.user("carol").await, server.user("dave").await);
        let now = async || {
            let synced = server.get("/_matrix/client/v3/sync", Some(&alice)).await.ok();
            synced["next_batch"].as_str().unwrap().to_owned()
        };
        for visibility in ["joined", "invited"] {
            let room = TestRoom::visible(&server, &alice, visibility).await;
            room.join(&bob).await;
            room.join(&carol).await;
            let seen = now().await;
            room.leave(&carol).await;
            let name = format!("state/m.room.member/{}", bob.user_id);
            for name_then in ["secret", "harmless"] {
                let body = json!({"membership": "join", "displayname": name_then});
                server.put(&room.path(&name), Some(&bob), body).await.ok();
                if name_then == "secret" {
                    room.text(&alice, "meanwhile").await;
                }
            }
            let page = room.get("messages?dir=b&limit=2", &alice).await.ok();
            let hidden = page["end"].as_str().unwrap().to_owned();
            room.join(&carol).await;
            room.join(&dave).await;
            let joined = now().await;
            room.text(&alice, "hello").await;
            let at = |place: &str| format!("members?at={place}");
            assert!(room.get(&at(&hidden), &bob).await.text.contains("secret"));
            for (user, place, expect) in [
                (&carol, &seen, 200),
                (&carol, &hidden, 403),
                (&carol, &joined, 200),
                (&dave, &seen, 403),
                (&dave, &hidden, 403),
                (&dave, &joined, 200),
            ] {
                let answer = room.get(&at(place), user).await;
                assert_eq!(answer.status, expect, "{visibility} {}: {}", user.user_id, answer.text);
                assert!(!answer.text.contains("secret"));
            }
        }
    }
}
