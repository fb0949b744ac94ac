//! `GET /_matrix/client/v3/rooms/{roomId}/messages` (client-server API, "Getting events for a room").

use axum::extract::State;
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    history::{Format, MessagesQuery, Shown, messages},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    reply::{self, JsonText},
    room_input::room_id_at,
};

/// The number of events that a page has unless the client says otherwise.
const LIMIT_DEFAULT: u64 = 10;

#[derive(Debug, Deserialize)]
struct Query {
    from: Option<String>,
    to: Option<String>,
    #[serde(default)]
    dir: Direction,
    limit: Option<u64>,
    filter: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
enum Direction {
    #[default]
    #[serde(rename = "f")]
    Forward,
    #[serde(rename = "b")]
    Backward,
}

#[tracing::instrument(name = "client.message.get_message_events", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<JsonText, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    let query: Query = req.query()?;
    let from = query.from;
    let query = MessagesQuery {
        from: reply::place(&rooms, from.as_deref()).await?,
        to: reply::place(&rooms, query.to.as_deref()).await?,
        backward: query.dir == Direction::Backward,
        limit: query.limit.unwrap_or(LIMIT_DEFAULT),
        filter: reply::filter(query.filter.as_deref())?,
    };
    let page = messages(&rooms, &req.requester.user_id, &room_id, &query)
        .await
        .map_err(reply::view_error)?;

    let reader = reply::reader(&rooms, &req.requester);
    let format =
        if query.filter.is_federation_format() { Format::Federation } else { Format::Room };
    // Some clients look for the token that they sent.
    let start = from.filter(|token| page.start.is_named_by(token));
    let start = Value::String(start.unwrap_or_else(|| page.start.to_string()));
    let mut out = format!("{{\"start\":{start},\"chunk\":");
    Shown::write_all(&mut out, &page.chunk, format, &reader);
    if let Some(end) = page.end {
        out.push_str(&format!(",\"end\":\"{end}\""));
    }
    if !page.state.is_empty() {
        out.push_str(",\"state\":");
        Shown::write_all(&mut out, &page.state, format, &reader);
    }
    out.push('}');
    Ok(JsonText(out))
}

#[cfg(test)]
mod tests {
    use myelin_testing::Statements;
    use serde_json::json;
    use sqlx::PgPool;

    use crate::{
        test_rooms::{TestRoom, bodies, encode},
        test_server,
    };

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn pages_lead_to_the_beginning_and_back(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        let sent: Vec<String> = (0..25).map(|n| format!("text {n}")).collect();
        for text in &sent {
            room.text(&alice, text).await;
        }
        room.join(&bob).await;

        let (mut seen, mut from, mut last) = (Vec::new(), String::new(), String::new());
        loop {
            let page = room.get(&format!("messages?dir=b&limit=7{from}"), &bob).await.ok();
            seen.extend(bodies(&page["chunk"]).into_iter().map(ToOwned::to_owned));
            let Some(end) = page["end"].as_str() else { break };
            from = format!("&from={end}");
            last = end.to_owned();
        }
        seen.reverse();
        assert_eq!(seen, sent);

        let page = room.get(&format!("messages?dir=f&limit=100&from={last}"), &bob).await.ok();
        let forward = bodies(&page["chunk"]);
        assert!(sent.iter().rev().zip(forward.iter().rev()).all(|(a, b)| a == b));
        assert_eq!(page["start"], last.as_str());
        let all = room.get("messages?limit=1000", &bob).await.ok();
        assert_eq!(bodies(&all["chunk"]), sent);
        assert_eq!(all["chunk"][0]["type"], "m.room.create");
        let to = room.get(&format!("messages?dir=b&limit=100&to={last}"), &bob).await.ok();
        assert_eq!(bodies(&to["chunk"]).len(), forward.len());
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_page_starts_with_the_token_asked_for_and_is_as_long_as_asked_for(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let room = TestRoom::create(&server, &alice, json!({})).await;
        for n in 0..5 {
            room.text(&alice, &format!("text {n}")).await;
        }
        let sync = server.get("/_matrix/client/v3/sync", Some(&alice)).await.ok();
        let since = sync["next_batch"].as_str().unwrap();
        for from in [since, "t3", "t3-3_1_\"", "s3_7"] {
            let path = format!("messages?dir=f&from={}", encode(from));
            assert_eq!(room.get(&path, &alice).await.ok()["start"], from);
        }
        // The limit of the filter counts for nothing beside that of the request.
        let filter = encode(r#"{"limit":1,"types":["m.room.message"]}"#);
        for (limit, expect) in [("", 5), ("&limit=3", 3)] {
            let path = format!("messages?dir=b&filter={filter}{limit}");
            let page = room.get(&path, &alice).await.ok();
            assert_eq!(bodies(&page["chunk"]).len(), expect, "{limit}");
        }
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn history_visibility_and_ignored_users_are_minded(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::visible(&server, &alice, "joined").await;
        room.text(&alice, "before").await;
        assert_eq!(room.get("messages?dir=b", &bob).await.error(), (403, "M_FORBIDDEN"));
        room.join(&bob).await;
        room.text(&alice, "while").await;
        room.text(&bob, "own").await;
        room.leave(&bob).await;
        room.text(&alice, "after").await;

        let page = room.get("messages?dir=b&limit=100", &bob).await.ok();
        assert_eq!(bodies(&page["chunk"]), ["own", "while"]);

        room.join(&bob).await;
        let page = room.get("messages?dir=b&limit=100", &bob).await.ok();
        assert_eq!(bodies(&page["chunk"]), ["own", "while"]);
        room.set_state(
            &alice,
            "m.room.history_visibility",
            json!({"history_visibility": "shared"}),
        )
        .await;
        room.text(&alice, "shared").await;
        let carol = server.user("carol").await;
        room.join(&carol).await;
        let page = room.get("messages?dir=b&limit=100", &carol).await.ok();
        assert_eq!(bodies(&page["chunk"]), ["shared"]);
        let page = room.get("messages?dir=b&limit=100", &alice).await.ok();
        assert_eq!(bodies(&page["chunk"]), ["shared", "after", "own", "while", "before"]);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn filters_choose(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        room.join(&bob).await;
        room.text(&alice, "from alice").await;
        room.text(&bob, "from bob").await;
        let picture = json!({"msgtype": "m.image", "body": "picture", "url": "mxc://h/p"});
        let gone = room.send(&bob, "m.room.message", picture.clone()).await;
        let path = room.path(&format!("redact/{}/gone", encode(&gone)));
        server.put(&path, Some(&bob), json!({})).await.ok();
        room.send(&bob, "m.room.message", picture).await;
        let filter = encode(r#"{"contains_url":true}"#);
        let page = room.get(&format!("messages?filter={filter}"), &alice).await.ok();
        assert_eq!(page["chunk"].as_array().unwrap().len(), 1, "redaction leaves no URL");
        for (filter, expect) in [
            (json!({"senders": [bob.user_id]}), vec!["from bob", "picture"]),
            (json!({"not_senders": [bob.user_id]}), vec!["from alice"]),
            (json!({"types": ["m.room.mess*"], "contains_url": true}), vec!["picture"]),
            (json!({"contains_url": false}), vec!["from alice", "from bob"]),
            (json!({"not_types": ["m.room.message"]}), vec![]),
            (json!({"rooms": ["!other:h"]}), vec![]),
            (json!({"not_rooms": [room.id]}), vec![]),
        ] {
            let path = format!("messages?dir=f&limit=100&filter={}", encode(&filter.to_string()));
            let page = room.get(&path, &alice).await.ok();
            assert_eq!(bodies(&page["chunk"]), expect, "{filter}");
        }
        let root = room.text(&alice, "root").await;
        let thread = json!({"rel_type": "m.thread", "event_id": root});
        let reply = json!({"msgtype": "m.text", "body": "reply", "m.relates_to": thread});
        let reply = room.send(&bob, "m.room.message", reply).await;
        let only = |key: &str, value: &str| json!({"types": ["m.room.message"], key: [value]});
        let related = async |key: &str, value: &str| {
            let filter = encode(&only(key, value).to_string());
            let path = format!("messages?dir=f&limit=100&filter={filter}");
            let page = room.get(&path, &alice).await.ok();
            bodies(&page["chunk"]).into_iter().map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        let (bobs, rel_types) = (bob.user_id.as_str(), "org.matrix.msc3874.rel_types");
        assert_eq!(related("related_by_rel_types", "m.thread").await, ["root"]);
        assert_eq!(related("related_by_senders", bobs).await, ["root"]);
        assert_eq!(related("related_by_senders", alice.user_id.as_str()).await, [""; 0]);
        assert_eq!(related(rel_types, "m.thread").await, ["reply"]);
        let rest = related("org.matrix.msc3874.not_rel_types", "m.thread").await;
        assert_eq!(rest, ["from alice", "from bob", "picture", "root"]);
        server.put(&room.path(&format!("redact/{reply}/t")), Some(&bob), json!({})).await.ok();
        assert_eq!(related("related_by_rel_types", "m.thread").await, [""; 0]);

        let lazy = encode(r#"{"lazy_load_members":true}"#);
        let page = room.get(&format!("messages?dir=b&limit=1&filter={lazy}"), &alice).await.ok();
        assert_eq!(page["state"].as_array().unwrap().len(), 1);
        assert_eq!(page["state"][0]["state_key"], bob.user_id.as_str());
        assert_eq!(room.get("messages?filter=%7B", &alice).await.error(), (400, "M_NOT_JSON"));
        assert_eq!(room.get("messages?from=nope", &alice).await.error(), (400, "M_INVALID_PARAM"));
        assert_eq!(room.get("messages?limit=-1", &alice).await.error(), (400, "M_INVALID_PARAM"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn filters_choose_by_relation(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        room.join(&bob).await;
        let root = room.text(&alice, "root").await;
        let other = room.text(&alice, "other").await;
        let relate = async |user, body: &str, rel_type: &str, to: &str| {
            let relation = json!({"rel_type": rel_type, "event_id": to});
            let content = json!({"msgtype": "m.text", "body": body, "m.relates_to": relation});
            room.send(user, "m.room.message", content).await
        };
        relate(&alice, "thread", "m.thread", &root).await;
        relate(&bob, "reference", "m.reference", &root).await;
        let redacted = relate(&bob, "gone", "m.thread", &other).await;
        let path = format!("redact/{}/1", encode(&redacted));
        server.put(&room.path(&path), Some(&bob), json!({})).await.ok();

        let all = ["root", "other", "thread", "reference"];
        for (filter, expect) in [
            (json!({"related_by_rel_types": ["m.thread"]}), vec!["root"]),
            (json!({"related_by_rel_types": ["m.reference", "x"]}), vec!["root"]),
            (json!({"related_by_rel_types": ["m.annotation"]}), vec![]),
            (json!({"related_by_rel_types": []}), vec![]),
            (json!({"related_by_senders": [alice.user_id]}), vec!["root"]),
            (
                json!({"related_by_senders": [alice.user_id], "related_by_rel_types": ["m.reference"]}),
                vec![],
            ),
            (json!({"org.matrix.msc3874.rel_types": ["m.thread"]}), vec!["thread"]),
            (
                json!({"org.matrix.msc3874.rel_types": ["m.thread", "m.reference"]}),
                vec!["thread", "reference"],
            ),
            (
                json!({"org.matrix.msc3874.not_rel_types": ["m.thread"]}),
                vec!["root", "other", "reference"],
            ),
            (json!({"org.matrix.msc3874.not_rel_types": []}), all.to_vec()),
        ] {
            let filter = encode(&filter.to_string());
            let page = room.get(&format!("messages?limit=100&filter={filter}"), &alice).await.ok();
            assert_eq!(bodies(&page["chunk"]), expect, "{filter}");
            let path = format!("context/{}?limit=100&filter={filter}", encode(&root));
            let context = room.get(&path, &alice).await.ok();
            let after: Vec<&str> = expect.into_iter().filter(|body| *body != "root").collect();
            assert_eq!(bodies(&context["events_after"]), after, "{filter}");
        }
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_token_of_the_future_is_taken_for_now(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let room = TestRoom::create(&server, &alice, json!({})).await;
        let root = encode(&room.text(&alice, "root").await);
        let newest = room.get("messages?dir=b&limit=1", &alice).await.ok()["start"].clone();
        // As after a restore from a backup.
        for future in ["t99999999", "s99999999_99999999999999", &format!("t{}", i64::MAX)] {
            for (path, key) in [
                (room.path(&format!("messages?dir=f&from={future}")), "start"),
                (room.path(&format!("messages?dir=b&limit=1&from={future}")), "start"),
                (room.path(&format!("relations/{root}?from={future}")), "prev_batch"),
                (room.path(&format!("relations/{root}?dir=f&from={future}")), "prev_batch"),
                (room.path(&format!("threads?from={future}")), "prev_batch"),
            ] {
                let path = if key == "start" { path } else { path.replace("/v3/", "/v1/") };
                let answer = server.get(&path, Some(&alice)).await.ok();
                assert_eq!(answer[key], newest, "{path}");
            }
            let all = room.get(&format!("messages?dir=f&limit=99&to={future}"), &alice).await.ok();
            assert_eq!(bodies(&all["chunk"]), ["root"]);
            let members = room.get(&format!("members?at={future}"), &alice).await.ok();
            assert_eq!(members["chunk"].as_array().unwrap().len(), 1);
        }
        let newest = newest.as_str().unwrap();
        room.text(&alice, "new").await;
        let page = room.get(&format!("messages?dir=f&from={newest}"), &alice).await.ok();
        assert_eq!(bodies(&page["chunk"]), ["new"]);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn at_most_four_statements(pool: PgPool) {
        let server = test_server::open(pool.clone()).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::visible(&server, &alice, "joined").await;
        for n in 0..30 {
            room.text(&alice, &format!("{n}")).await;
            room.set_state(&alice, "m.room.topic", json!({"topic": format!("{n}")})).await;
        }
        room.set_state(
            &alice,
            "m.room.history_visibility",
            json!({"history_visibility": "shared"}),
        )
        .await;
        room.join(&bob).await;
        // Another node, which has nothing in memory but who calls and which room is meant.
        let other = test_server::open(pool).await;
        let there = TestRoom { server: &other, id: room.id.clone() };
        there.get("state/m.room.name", &bob).await;
        there.get("state/m.room.name", &alice).await;

        let lazy = encode(r#"{"lazy_load_members":true}"#);
        let statements = Statements::start();
        let page = there.get(&format!("messages?dir=b&limit=50&filter={lazy}"), &bob).await.ok();
        let count = statements.count();

        assert_eq!(page["chunk"].as_array().unwrap().len(), 2);
        assert!(count > 0 && count <= 4, "{count} statements");
        let statements = Statements::start();
        there.get("messages?dir=b&limit=50", &alice).await.ok();
        assert!(statements.count() <= 4, "{} statements", statements.count());
    }
}
