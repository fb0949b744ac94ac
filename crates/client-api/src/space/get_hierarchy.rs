//! `GET /_matrix/client/v1/rooms/{roomId}/hierarchy` (client-server API, "Querying rooms within spaces").

use axum::{Json, extract::State};
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    listing::{HierarchyError, HierarchyQuery, SpaceRoom, hierarchy},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{directory::room_chunk::room_chunk, reply};

#[derive(Debug, Deserialize)]
struct Query {
    #[serde(default)]
    suggested_only: bool,
    max_depth: Option<u64>,
    limit: Option<usize>,
    from: Option<String>,
}

#[tracing::instrument(name = "client.space.get_hierarchy", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<Json<Value>, ApiError> {
    let room_id = reply::room_id(req.path_arg(0)?)?;
    let query: Query = req.query()?;
    if query.limit == Some(0) {
        return Err(ApiError::invalid_param("'limit' must be a positive integer"));
    }
    let query = HierarchyQuery {
        suggested_only: query.suggested_only,
        max_depth: query.max_depth,
        limit: query.limit,
        from: query.from,
    };
    let page =
        hierarchy(&rooms, &req.requester.user_id, &room_id, &query).await.map_err(to_api_error)?;
    let list: Vec<Value> = page.rooms.iter().map(space_room).collect();
    let mut body = json!({ "rooms": list });
    if let Some(next) = page.next {
        body["next_batch"] = next.into();
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
