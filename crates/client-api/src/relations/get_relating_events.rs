//! `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}[/{relType}[/{eventType}]]` (client-server API, "Retrieving
//! relationships").

use axum::extract::State;
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    relations::{RelatingQuery, RelationsError, relating},
};
use serde::Deserialize;

use crate::{
    reply::{self, JsonText},
    room_input::room_id_at,
};

/// The number of events that a page has unless the client says otherwise.
const LIMIT_DEFAULT: u64 = 5;

#[derive(Debug, Deserialize)]
struct Query {
    from: Option<String>,
    to: Option<String>,
    #[serde(default)]
    dir: Direction,
    limit: Option<u64>,
    #[serde(default)]
    recurse: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
enum Direction {
    #[serde(rename = "f")]
    Forward,
    #[default]
    #[serde(rename = "b")]
    Backward,
}

#[tracing::instrument(name = "client.relations.get_relating_events", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<JsonText, ApiError> {
    let (room_id, event_id) = (room_id_at(&req, 0)?, reply::event_id(req.path_arg(1)?)?);
    let query: Query = req.query()?;
    let query = RelatingQuery {
        rel_type: req.path.get(2).cloned(),
        event_type: req.path.get(3).cloned(),
        from: reply::place(&rooms, query.from.as_deref()).await?,
        to: reply::place(&rooms, query.to.as_deref()).await?,
        forward: query.dir == Direction::Forward,
        limit: query.limit.unwrap_or(LIMIT_DEFAULT),
        recurse: query.recurse,
    };
    let page = relating(&rooms, &req.requester.user_id, &room_id, &event_id, &query)
        .await
        .map_err(to_api_error)?;
    Ok(reply::relations_page(&page, &reply::reader(&rooms, &req.requester)))
}

fn to_api_error(error: RelationsError) -> ApiError {
    match error {
        RelationsError::NotFound => ApiError::not_found(error.to_string()),
        RelationsError::Storage(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sqlx::PgPool;

    use crate::{test_rooms::TestRoom, test_server};

    fn ids(page: &Value) -> Vec<&str> {
        page["chunk"].as_array().unwrap().iter().map(|e| e["event_id"].as_str().unwrap()).collect()
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn relations_are_listed_and_bundled(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let room = TestRoom::create(&server, &alice, json!({})).await;
        let root = room.text(&alice, "root").await;
        let relate = async |rel_type: &str, to: &str, kind: &str| {
            let relates = json!({"rel_type": rel_type, "event_id": to, "key": "+"});
            let content = json!({"msgtype": "m.text", "body": rel_type, "m.new_content": {},
                "m.relates_to": relates});
            room.send(&alice, kind, content).await
        };
        let reply = relate("m.thread", &root, "m.room.message").await;
        let dummy = relate("m.thread", &root, "m.dummy").await;
        let edit = relate("m.replace", &root, "m.room.message").await;
        let reference = relate("m.reference", &root, "m.room.message").await;
        let reaction = relate("m.annotation", &reply, "m.reaction").await;
        let path =
            |rest: &str| room.path(&format!("relations/{root}{rest}")).replace("/v3/", "/v1/");
        let get = async |rest: &str| server.get(&path(rest), Some(&alice)).await.ok();

        assert_eq!(ids(&get("?limit=9").await), [&*reference, &edit, &dummy, &reply]);
        assert_eq!(ids(&get("/m.thread").await), [&*dummy, &reply]);
        assert_eq!(ids(&get("/m.thread/m.room.message").await), [&*reply]);
        let all = get("?limit=9&recurse=true&dir=f").await;
        assert_eq!(ids(&all), [&*reply, &dummy, &edit, &reference, &reaction]);
        let first = get("?limit=3").await;
        let next = first["next_batch"].as_str().unwrap();
        let second = get(&format!("?limit=3&from={next}")).await;
        assert_eq!((ids(&second), second["next_batch"].is_null()), (vec![&*reply], true));

        let event = room.get(&format!("event/{root}"), &alice).await.ok();
        let bundled = &event["unsigned"]["m.relations"];
        assert_eq!(bundled["m.thread"]["latest_event"]["event_id"], dummy.as_str());
        assert_eq!(bundled["m.thread"]["count"], 2);
        assert_eq!(bundled["m.thread"]["current_user_participated"], true);
        assert_eq!(bundled["m.replace"]["event_id"], edit.as_str());
        assert_eq!(bundled["m.reference"]["chunk"], json!([{"event_id": reference}]));
        let page = room.get("messages?dir=f&limit=99", &alice).await.ok();
        let shown =
            page["chunk"].as_array().unwrap().iter().find(|e| e["event_id"] == root.as_str());
        assert_eq!(shown.unwrap()["unsigned"]["m.relations"]["m.thread"]["count"], 2);
        let threads = room.path("threads").replace("/v3/", "/v1/");
        // Some clients send an empty token for none.
        let threads = server.get(&format!("{threads}?from="), Some(&alice)).await.ok();
        assert_eq!(ids(&threads), [&*root]);
        assert_eq!(ids(&get("?limit=1&from=&to=").await), [&*reference]);

        let redact = room.path(&format!("redact/{dummy}/1"));
        server.put(&redact, Some(&alice), json!({})).await.ok();
        assert_eq!(ids(&get("/m.thread").await), [&*reply]);
        // What a redaction took away is not told by edits either.
        let redact = room.path(&format!("redact/{root}/2"));
        server.put(&redact, Some(&alice), json!({})).await.ok();
        assert_eq!(ids(&get("/m.replace").await), [""; 0]);
        assert_eq!(ids(&get("?limit=9").await), [&*reference, &reply]);
        // Redacted, an event relates to nothing, and so does nothing by it.
        assert_eq!(ids(&get("?limit=9&recurse=true").await), [&*reaction, &reference, &reply]);
        let redact = room.path(&format!("redact/{reply}/3"));
        server.put(&redact, Some(&alice), json!({})).await.ok();
        assert_eq!(ids(&get("?limit=9&recurse=true").await), [&*reference]);
        // Texts that cannot be indexed are sent all the same.
        relate("\u{0}", &root, "m.room.message").await;
        relate(&"x".repeat(3_000), &root, "m.room.message").await;
        let nobody = server.user("bob").await;
        assert_eq!(server.get(&path(""), Some(&nobody)).await.error(), (404, "M_NOT_FOUND"));
    }
}
