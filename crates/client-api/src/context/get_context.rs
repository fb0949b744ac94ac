//! `GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}` (client-server API, "Event context").

use axum::extract::State;
use myelin_http::{ApiError, Raw};
use myelin_rooms::{
    Rooms,
    history::{ContextError, Format, Shown, context},
};
use serde::Deserialize;

use crate::reply::{self, JsonText};

/// How many events stand around the event unless the client says otherwise.
const LIMIT_DEFAULT: u64 = 10;

#[derive(Debug, Deserialize)]
struct Query {
    limit: Option<u64>,
    filter: Option<String>,
}

#[tracing::instrument(name = "client.context.get_context", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<JsonText, ApiError> {
    let (room_id, event_id) =
        (reply::room_id(req.path_arg(0)?)?, reply::event_id(req.path_arg(1)?)?);
    let query: Query = req.query()?;
    let filter = reply::filter(query.filter.as_deref())?;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    let context = context(&rooms, &req.requester.user_id, &room_id, &event_id, limit, &filter)
        .await
        .map_err(to_api_error)?;

    let reader = reply::reader(&rooms, &req.requester);
    let format = if filter.is_federation_format() { Format::Federation } else { Format::Room };
    let mut out =
        format!("{{\"start\":\"{}\",\"end\":\"{}\",\"event\":", context.start, context.end);
    context.event.write(&mut out, format, &reader);
    for (key, events) in [
        ("events_before", &context.events_before),
        ("events_after", &context.events_after),
        ("state", &context.state),
    ] {
        out.push_str(",\"");
        out.push_str(key);
        out.push_str("\":");
        Shown::write_all(&mut out, events, format, &reader);
    }
    out.push('}');
    Ok(JsonText(out))
}

fn to_api_error(error: ContextError) -> ApiError {
    match error {
        ContextError::NotFound => ApiError::not_found(error.to_string()),
        ContextError::Forbidden => ApiError::forbidden(error.to_string()),
        ContextError::Storage(error) => error.into(),
    }
}
