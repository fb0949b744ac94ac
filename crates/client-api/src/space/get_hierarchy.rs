//! `GET /_matrix/client/v1/rooms/{roomId}/hierarchy` (client-server API, "Querying rooms within spaces").

use axum::{Json, extract::State};
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_rooms::{
    Rooms,
    listing::{HierarchyError, HierarchyQuery, SpaceRoom, hierarchy},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{directory::room_chunk::room_chunk, room_input::room_id_at};

#[derive(Debug, Deserialize)]
struct Query {
    #[serde(default)]
    suggested_only: bool,
    max_depth: Option<u64>,
    limit: Option<usize>,
    from: Option<String>,
}

#[tracing::instrument(name = "client.space.get_hierarchy", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(
    State(rooms): State<Rooms>,
    State(limits): State<RateLimits>,
    req: Raw,
) -> Result<Json<Value>, ApiError> {
    limits.hierarchy.check_caller(&req.requester)?;
    let room_id = room_id_at(&req, 0)?;
    let query: Query = req.query()?;
    if query.limit == Some(0) {
        return Err(ApiError::invalid_param("'limit' must be a positive integer"));
    }
    let query = HierarchyQuery {
        suggested_only: query.suggested_only,
        max_depth: query.max_depth,
        limit: query.limit,
        // Some clients send an empty token for none.
        from: query.from.filter(|token| !token.is_empty()),
    };
    let page =
        hierarchy(&rooms, &req.requester.user_id, &room_id, &query).await.map_err(to_api_error)?;
    let list: Vec<Value> = page.rooms.iter().map(space_room).collect();
    let mut body = json!({ "rooms": list });
    if let Some(next) = page.next {
        #[expect(clippy::indexing_slicing, reason = "`json!` made an object")]
        let place = &mut body["next_batch"];
        *place = next.into();
    }
    Ok(Json(body))
}

fn space_room(room: &SpaceRoom) -> Value {
    let mut chunk = room_chunk(&room.info);
    if !room.info.allowed_room_ids.is_empty() {
        chunk.insert("allowed_room_ids".to_owned(), json!(room.info.allowed_room_ids));
    }
    if let Some(encryption) = &room.info.encryption {
        chunk.insert("encryption".to_owned(), encryption.as_str().into());
    }
    chunk.insert("room_version".to_owned(), room.info.version.as_str().into());
    let children: Vec<Value> = room
        .children
        .iter()
        .map(|child| {
            json!({
                "type": "m.space.child",
                "state_key": child.room_id,
                "content": child.content,
                "sender": child.sender,
                "origin_server_ts": child.origin_server_ts,
            })
        })
        .collect();
    chunk.insert("children_state".to_owned(), children.into());
    Value::Object(chunk)
}

fn to_api_error(error: HierarchyError) -> ApiError {
    match error {
        HierarchyError::NotAllowed => ApiError::forbidden(error.to_string()),
        HierarchyError::BadToken => ApiError::invalid_param(error.to_string()),
        HierarchyError::Storage(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use myelin_testing::Statements;
    use serde_json::{Value, json};
    use sqlx::PgPool;

    use crate::{
        test_rooms::{TestRoom, encode},
        test_server,
    };

    fn ids(page: &Value) -> Vec<&str> {
        page["rooms"].as_array().unwrap().iter().map(|r| r["room_id"].as_str().unwrap()).collect()
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn a_rule_that_names_many_rooms_asks_no_more_than_one(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let allow: Vec<Value> = (0..500)
            .map(|n| json!({"type": "m.room_membership", "room_id": format!("!{n}:example.org")}))
            .collect();
        let rules = json!({"type": "m.room.join_rules",
            "content": {"join_rule": "restricted", "allow": allow}});
        let body = json!({"room_version": "10", "initial_state": [rules]});
        let room = TestRoom::create(&server, &alice, body).await;
        let summary = format!("/_matrix/client/v1/room_summary/{}", encode(&room.id));
        let statements = Statements::start();
        assert_eq!(server.get(&summary, Some(&bob)).await.status, 404);
        assert!(statements.count() < 10, "{}", statements.count());
    }

    /// A rule that a version does not know lets nobody in, so nobody needs to know what the room is.
    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn rules_of_later_versions_open_no_room(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let space = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        space.join(&bob).await;
        let allow = json!([{"type": "m.room_membership", "room_id": space.id}]);
        for (rule, last_without, first_with) in
            [("knock", "6", "7"), ("restricted", "7", "8"), ("knock_restricted", "9", "10")]
        {
            for (version, expect) in [(last_without, 404), (first_with, 200)] {
                let rules = json!({"type": "m.room.join_rules",
                    "content": {"join_rule": rule, "allow": allow}});
                let body = json!({"room_version": version, "initial_state": [rules]});
                let room = TestRoom::create(&server, &alice, body).await;
                let summary = format!("/_matrix/client/v1/room_summary/{}", encode(&room.id));
                let answer = server.get(&summary, Some(&bob)).await;
                assert_eq!(answer.status, expect, "{rule} in version {version}");
            }
        }
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn the_tree_is_walked_in_order(pool: PgPool) {
        let server = test_server::open(pool).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let space = || json!({"preset": "public_chat", "creation_content": {"type": "m.space"}});
        let root = TestRoom::create(&server, &alice, space()).await;
        let inner = TestRoom::create(&server, &alice, space()).await;
        let open = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        let secret = TestRoom::create(&server, &alice, json!({"preset": "private_chat"})).await;
        let leaf = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        let key = |room: &TestRoom<'_>| format!("m.space.child/{}", encode(&room.id));
        let via = |order: &str| json!({"via": ["example.org"], "order": order});
        root.set_state(&alice, &key(&open), via("b")).await;
        root.set_state(&alice, &key(&inner), via("a")).await;
        root.set_state(&alice, &key(&secret), json!({"via": ["example.org"], "suggested": true}))
            .await;
        inner.set_state(&alice, &key(&leaf), via("a")).await;
        inner.set_state(&alice, &key(&root), via("b")).await;
        let path = |rest: &str| root.path(&format!("hierarchy{rest}")).replace("/v3/", "/v1/");

        let all = server.get(&path(""), Some(&alice)).await.ok();
        assert_eq!(ids(&all), [&*root.id, &inner.id, &leaf.id, &open.id, &secret.id]);
        assert_eq!(all["rooms"][0]["children_state"].as_array().unwrap().len(), 3);
        assert_eq!(all["rooms"][0]["children_state"][0]["state_key"], inner.id.as_str());
        assert!(all["next_batch"].is_null());
        let seen = server.get(&path(""), Some(&bob)).await.ok();
        assert_eq!(ids(&seen), [&*root.id, &inner.id, &leaf.id, &open.id]);
        let top = server.get(&path("?max_depth=1"), Some(&alice)).await.ok();
        assert_eq!(ids(&top), [&*root.id, &inner.id, &open.id, &secret.id]);
        let suggested = server.get(&path("?suggested_only=true"), Some(&alice)).await.ok();
        assert_eq!(ids(&suggested), [&*root.id, &secret.id]);
        let first = server.get(&path("?limit=2"), Some(&alice)).await.ok();
        let next = first["next_batch"].as_str().unwrap();
        let next = encode(next);
        let second = server.get(&path(&format!("?limit=9&from={next}")), Some(&alice)).await.ok();
        for other in [
            path(&format!("?suggested_only=true&from={next}")),
            path(&format!("?max_depth=1&from={next}")),
            inner.path(&format!("hierarchy?from={next}")).replace("/v3/", "/v1/"),
            path("?from=h2"),
        ] {
            let refused = server.get(&other, Some(&alice)).await;
            assert_eq!(refused.error(), (400, "M_INVALID_PARAM"), "{other}");
        }
        assert_eq!(
            (ids(&first), ids(&second)),
            (vec![&*root.id, &*inner.id], vec![&*leaf.id, &*open.id, &*secret.id])
        );
        let outside = secret.path("hierarchy").replace("/v3/", "/v1/");
        assert_eq!(server.get(&outside, Some(&bob)).await.error(), (403, "M_FORBIDDEN"));

        let summary = |id: &str| format!("/_matrix/client/v1/room_summary/{}", encode(id));
        let shown = server.get(&summary(&open.id), Some(&bob)).await.ok();
        assert_eq!((&shown["membership"], &shown["room_version"]), (&json!("leave"), &json!("12")));
        assert_eq!(server.get(&summary(&open.id), None).await.ok()["num_joined_members"], 1);
        assert_eq!(
            server.get(&summary(&secret.id), Some(&bob)).await.error(),
            (404, "M_NOT_FOUND")
        );
        let aliases = server.get(&open.path("aliases"), Some(&alice)).await.ok();
        assert_eq!(aliases["aliases"], json!([]));
    }
}
