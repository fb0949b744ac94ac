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

/// How many rooms a page has unless the client says otherwise.
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
