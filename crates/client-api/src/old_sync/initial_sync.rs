//! `GET /_matrix/client/v3/initialSync` (client-server API, deprecated): how everything stands.

use axum::extract::State;
use myelin_http::{ApiError, Raw};
use myelin_sync::{
    Sync,
    old_sync::{InitialSyncError, InitialSyncRequest, initial_sync},
};
use serde::Deserialize;

use super::Paging;
use crate::reply::JsonText;

#[derive(Debug, Deserialize)]
struct Query {
    #[serde(flatten)]
    paging: Paging,
    archived: Option<String>,
    raw: Option<String>,
}

#[tracing::instrument(name = "client.old_sync.initial_sync", skip_all, fields(user.id = %req.requester.user_id))]
pub(super) async fn handler(State(sync): State<Sync>, req: Raw) -> Result<JsonText, ApiError> {
    let query: Query = req.query()?;
    let limit = query.paging.read()?.limit;
    let archived = match query.archived.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => {
            return Err(ApiError::invalid_param(
                "Boolean query parameter archived must be one of ['true', 'false']",
            ));
        }
    };
    let request = InitialSyncRequest { limit, archived, raw: query.raw.is_some() };
    let json = initial_sync(&sync, &req.requester, &request).await;
    json.map(JsonText).map_err(to_api_error)
}

fn to_api_error(error: InitialSyncError) -> ApiError {
    match error {
        InitialSyncError::Storage(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use myelin_testing::{Statements, TestServer, TestUser};
    use serde_json::{Value, json};
    use sqlx::PgPool;

    use crate::{
        test_rooms::{TestRoom, bodies},
        test_server,
    };

    async fn initial(server: &TestServer, user: &TestUser, query: &str) -> Value {
        server.get(&format!("/_matrix/client/v3/initialSync?{query}"), Some(user)).await.ok()
    }

    fn find<'v>(answer: &'v Value, room: &TestRoom<'_>) -> &'v Value {
        let mut rooms = answer["rooms"].as_array().unwrap().iter();
        rooms.find(|found| found["room_id"] == room.id.as_str()).unwrap_or(&Value::Null)
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn rooms_stand_there_as_they_are(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let options = json!({"preset": "public_chat"});
        let joined = TestRoom::create(&server, &alice, options).await;
        joined.join(&bob).await;
        for text in ["one", "two", "three"] {
            joined.text(&alice, text).await;
        }
        let left = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        left.join(&bob).await;
        left.set_state(&alice, "m.room.name", json!({"name": "before"})).await;
        left.leave(&bob).await;
        left.set_state(&alice, "m.room.name", json!({"name": "after"})).await;
        let invited = TestRoom::create(&server, &alice, json!({"preset": "private_chat"})).await;
        invited.invite(&alice, &bob).await;

        let answer = initial(&server, &bob, "limit=2").await;
        let room = find(&answer, &joined);
        assert_eq!((&room["membership"], &room["visibility"]), (&json!("join"), &json!("private")));
        assert_eq!(bodies(&room["messages"]["chunk"]), ["two", "three"]);
        assert_eq!(room["messages"]["end"], answer["end"]);
        let state = room["state"].as_array().unwrap();
        assert!(state.iter().any(|event| event["type"] == "m.room.create"), "{room}");
        // What stands before is a page away.
        let start = room["messages"]["start"].as_str().unwrap();
        let page = joined.get(&format!("messages?dir=b&limit=1&from={start}"), &bob).await.ok();
        assert_eq!(bodies(&page["chunk"]), ["one"]);
        let room = find(&answer, &invited);
        assert_eq!(
            (&room["membership"], &room["inviter"]),
            (&json!("invite"), &json!(alice.user_id))
        );
        assert_eq!(room["invite"]["content"]["membership"], "invite");
        assert_eq!(room["visibility"], "private");
        assert_eq!(room["state"], json!(null));
        assert_eq!(find(&answer, &left), &Value::Null);
        assert_eq!(answer["account_data"][0]["type"], "m.push_rules");

        let archived = initial(&server, &bob, "archived=true").await;
        let room = find(&archived, &left);
        assert_eq!(room["membership"], "leave");
        let state = room["state"].as_array().unwrap();
        let name = state.iter().find(|event| event["type"] == "m.room.name").unwrap();
        assert_eq!(name["content"]["name"], "before", "what came after is not seen");

        // Its token goes on in both ways of listening.
        let from = answer["end"].as_str().unwrap();
        joined.text(&alice, "four").await;
        let path = format!("/_matrix/client/v3/events?timeout=0&from={from}");
        let events = server.get(&path, Some(&bob)).await.ok();
        assert_eq!(bodies(&events["chunk"]), ["four"]);
        let path = format!("/_matrix/client/v3/sync?since={from}");
        let sync = server.get(&path, Some(&bob)).await.ok();
        let timeline = &sync["rooms"]["join"][&joined.id]["timeline"];
        assert_eq!(bodies(&timeline["events"]), ["four"]);
        let wrong = server.get("/_matrix/client/v3/initialSync?archived=x", Some(&bob)).await;
        assert_eq!(wrong.error(), (400, "M_INVALID_PARAM"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn it_costs_as_many_queries_for_one_room_as_for_many(pool: PgPool) {
        let server = test_server::open(pool.clone()).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let mut counts = Vec::new();
        for _ in 0..2 {
            for _ in 0..3 {
                let room =
                    TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
                room.join(&bob).await;
            }
            // A node that has just started.
            let node = test_server::open(pool.clone()).await;
            let statements = Statements::start();
            initial(&node, &bob, "").await;
            counts.push(statements.count());
        }
        assert!(counts[1] <= counts[0] && counts[0] <= 12, "{counts:?}");
    }
}
