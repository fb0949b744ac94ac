//! `GET /_matrix/client/v1/rooms/{roomId}/threads` (client-server API, "Querying threads in a room").

use axum::extract::State;
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    relations::{ThreadsQuery, threads},
};
use serde::Deserialize;

use crate::{
    reply::{self, JsonText},
    room_input::room_id_at,
};

/// The number of threads that a page has unless the client says otherwise.
const LIMIT_DEFAULT: u64 = 5;

#[derive(Debug, Deserialize)]
struct Query {
    #[serde(default)]
    include: Include,
    from: Option<String>,
    limit: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Include {
    #[default]
    All,
    Participated,
}

#[tracing::instrument(name = "client.threads.get_threads", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<JsonText, ApiError> {
    let room_id = room_id_at(&req, 0)?;
    let query: Query = req.query()?;
    let query = ThreadsQuery {
        participated: query.include == Include::Participated,
        from: reply::place(&rooms, query.from.as_deref()).await?,
        limit: query.limit.unwrap_or(LIMIT_DEFAULT),
    };
    let page = threads(&rooms, &req.requester.user_id, &room_id, &query)
        .await
        .map_err(reply::view_error)?;
    Ok(reply::relations_page(&page, &reply::reader(&rooms, &req.requester)))
}
