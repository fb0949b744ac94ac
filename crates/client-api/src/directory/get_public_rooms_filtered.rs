//! `POST /_matrix/client/v3/publicRooms` (client-server API, "Published room directory").

use axum::{Json, extract::State};
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    listing::{ListKind, PublicRoomsQuery, public_rooms},
};
use serde::Deserialize;
use serde_json::Value;

use super::room_chunk;

/// The number of rooms that a page has unless the client says otherwise.
const LIMIT_DEFAULT: usize = 100;

#[derive(Debug, Deserialize)]
struct Query {
    server: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Body {
    limit: Option<usize>,
    since: Option<String>,
    filter: Option<Filter>,
    #[serde(default)]
    include_all_networks: bool,
    third_party_instance_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Filter {
    generic_search_term: Option<String>,
    #[serde(alias = "org.matrix.msc3827.room_types")]
    room_types: Option<Vec<Option<String>>>,
}

#[tracing::instrument(name = "client.directory.get_public_rooms_filtered", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<Json<Value>, ApiError> {
    let query: Query = req.query()?;
    let body: Body = req.json()?;
    room_chunk::check_server(&rooms, query.server.as_deref())?;
    let list = match (body.include_all_networks, body.third_party_instance_id) {
        (true, None) => ListKind::All,
        (true, Some(_)) => {
            return Err(ApiError::unknown(
                "Can't use include_all_networks with an explicit network",
            ));
        }
        (false, None) => ListKind::Own,
        (false, Some(instance)) => match instance.split_once('|') {
            Some((service, network)) => ListKind::Network(service.to_owned(), network.to_owned()),
            None => return Err(ApiError::invalid_param("Invalid third_party_instance_id")),
        },
    };
    let filter = body.filter.unwrap_or_default();
    let query = PublicRoomsQuery {
        list,
        // 0 stands for no limit.
        limit: Some(body.limit.unwrap_or(LIMIT_DEFAULT)).filter(|limit| *limit > 0),
        since: body.since,
        search_term: filter.generic_search_term.filter(|term| !term.is_empty()),
        room_types: filter.room_types,
    };
    let page = public_rooms(&rooms, &query).await.map_err(room_chunk::to_api_error)?;
    Ok(Json(room_chunk::page(&page)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sqlx::PgPool;

    use crate::{test_rooms::TestRoom, test_server};

    const PATH: &str = "/_matrix/client/v3/publicRooms";

    fn names(page: &Value) -> Vec<&str> {
        let rooms = page["chunk"].as_array().unwrap();
        rooms.iter().map(|room| room["name"].as_str().unwrap_or_default()).collect()
    }

    async fn list(
        server: &myelin_testing::TestServer,
        alice: &myelin_testing::TestUser,
        name: &str,
        kind: &str,
    ) {
        let body = json!({"preset": "public_chat", "name": name, "topic": "Wombles",
            "creation_content": if kind.is_empty() { json!({}) } else { json!({"type": kind}) }});
        let room = TestRoom::create(server, alice, body).await;
        publish(server, &room).await;
    }

    async fn publish(server: &myelin_testing::TestServer, room: &TestRoom<'_>) {
        let nid = server.parts.db.heads().find_nid(room.id.as_str().try_into().unwrap()).await;
        let mut tx = server.parts.db.begin().await.unwrap();
        let list = myelin_storage::DirectoryList::default();
        tx.directory().add(nid.unwrap().unwrap(), list).await.unwrap();
        tx.commit().await.unwrap();
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn rooms_are_found_and_paged(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        for (name, kind) in [("one", ""), ("two", ""), ("a space", "m.space")] {
            list(&server, &alice, name, kind).await;
        }
        let find = async |body: Value| server.post(PATH, Some(&alice), body).await.ok();

        let all = find(json!({})).await;
        assert_eq!(names(&all), ["one", "two", "a space"]);
        let room = &all["chunk"][0];
        assert_eq!(room["num_joined_members"], 1);
        assert_eq!(
            (&room["join_rule"], &room["world_readable"]),
            (&json!("public"), &json!(false))
        );
        let found = find(json!({"filter": {"generic_search_term": "TWO"}})).await;
        assert_eq!(names(&found), ["two"]);
        assert_eq!(
            names(&find(json!({"filter": {"generic_search_term": "wombles"}})).await).len(),
            3
        );
        let found = find(json!({"filter": {"room_types": ["m.space"]}})).await;
        assert_eq!(names(&found), ["a space"]);
        let found = find(json!({"filter": {"room_types": [null]}})).await;
        assert_eq!(names(&found), ["one", "two"]);

        assert_eq!(names(&find(json!({"filter": {"room_types": []}})).await).len(), 3);

        let first = find(json!({"limit": 2})).await;
        assert_eq!(names(&first), ["one", "two"]);
        let second = find(json!({"limit": 2, "since": first["next_batch"]})).await;
        assert_eq!((names(&second), second["next_batch"].is_null()), (vec!["a space"], true));
        assert_eq!(names(&find(json!({"limit": 1, "since": ""})).await), ["one"]);
        let page = server.get(&format!("{PATH}?limit=1&since="), Some(&alice)).await.ok();
        assert_eq!(names(&page), ["one"]);
        assert_eq!(server.get(PATH, None).await.error(), (401, "M_MISSING_TOKEN"));
        let bad = server.post(PATH, Some(&alice), json!({"since": "x"})).await;
        assert_eq!(bad.error(), (400, "M_INVALID_PARAM"));
        let remote = server.get(&format!("{PATH}?server=other.org"), Some(&alice)).await;
        assert_eq!(remote.status, 502);
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn what_was_closed_is_not_shown(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let listed = async |name: &str, more: Value| {
            let mut body = json!({"name": name});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let room = TestRoom::create(&server, &alice, body).await;
            publish(&server, &room).await;
            room
        };
        listed("closed", json!({"preset": "private_chat"})).await;
        let later = listed("closed later", json!({"preset": "public_chat"})).await;
        later.set_state(&alice, "m.room.join_rules", json!({"join_rule": "invite"})).await;
        let readable = json!([{"type": "m.room.history_visibility",
            "content": {"history_visibility": "world_readable"}}]);
        let readable = json!({"preset": "private_chat", "initial_state": readable});
        listed("readable", readable).await;
        let knock = json!([{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}]);
        listed("knock", json!({"preset": "private_chat", "initial_state": knock})).await;

        let page = server.post(PATH, Some(&alice), json!({})).await.ok();
        assert_eq!(names(&page), ["readable", "knock"]);
    }
}
