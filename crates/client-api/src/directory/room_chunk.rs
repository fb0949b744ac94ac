//! A room as the public list, summaries and spaces show it.

use http::StatusCode;
use myelin_http::ApiError;
use myelin_rooms::{
    Rooms,
    listing::{InvalidSince, PublicRooms, RoomInfo},
};
use ruma::api::error::ErrorKind;
use serde_json::{Map, Value, json};

/// `PublicRoomsChunk` of the specification.
pub(crate) fn room_chunk(info: &RoomInfo) -> Map<String, Value> {
    let mut chunk = Map::new();
    let mut set = |key: &str, value: Value| {
        if !value.is_null() {
            chunk.insert(key.to_owned(), value);
        }
    };
    set("room_id", info.room_id.as_str().into());
    set("name", info.name.as_deref().into());
    set("topic", info.topic.as_deref().into());
    set("avatar_url", info.avatar_url.as_deref().into());
    set("canonical_alias", info.canonical_alias.as_deref().into());
    set("join_rule", info.join_rule.as_str().into());
    set("room_type", info.room_type.as_deref().into());
    set("world_readable", info.world_readable.into());
    set("guest_can_join", info.guest_can_join.into());
    set("num_joined_members", info.joined_members.into());
    chunk
}

/// A page of the public list.
#[expect(clippy::indexing_slicing, reason = "`json!` made an object")]
pub(crate) fn page(page: &PublicRooms) -> Value {
    let chunk: Vec<Value> = page.rooms.iter().map(|room| Value::Object(room_chunk(room))).collect();
    let mut body = json!({ "chunk": chunk, "total_room_count_estimate": page.total });
    if let Some(next) = &page.next {
        body["next_batch"] = next.as_str().into();
    }
    if let Some(prev) = &page.prev {
        body["prev_batch"] = prev.as_str().into();
    }
    body
}

/// Refuse lists of other servers: none can be reached.
pub(crate) fn check_server(rooms: &Rooms, server: Option<&str>) -> Result<(), ApiError> {
    match server.filter(|server| !server.is_empty()) {
        None => Ok(()),
        Some(server) if server == rooms.server_name().as_str() => Ok(()),
        Some(server) if <&ruma::ServerName>::try_from(server).is_err() => {
            Err(ApiError::invalid_param(format!("Invalid server name: {server}")))
        }
        Some(_) => Err(ApiError::client(
            StatusCode::BAD_GATEWAY,
            ErrorKind::Unknown,
            "Failed to fetch room list",
        )),
    }
}

pub(crate) fn to_api_error(error: InvalidSince) -> ApiError {
    match error {
        InvalidSince::Token => ApiError::invalid_param(error.to_string()),
        InvalidSince::Storage(error) => error.into(),
    }
}
