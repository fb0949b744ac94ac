//! `GET /_matrix/client/v3/rooms/{roomId}/messages` (client-server API, "Getting events for a room").

use axum::extract::State;
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    history::{Format, MessagesQuery, Shown, messages},
};
use serde::Deserialize;

use crate::reply::{self, JsonText};

/// How many events a page has unless the client says otherwise.
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
    let room_id = reply::room_id(req.path_arg(0)?)?;
    let query: Query = req.query()?;
    let query = MessagesQuery {
        // Some clients send an empty token for none.
        from: reply::place(query.from.as_deref().filter(|token| !token.is_empty()))?,
        to: reply::place(query.to.as_deref().filter(|token| !token.is_empty()))?,
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
    let mut out = format!("{{\"start\":\"{}\",\"chunk\":", page.start);
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
