//! The common part of the endpoints that show events: parameters, answers written as text, and errors.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header::CONTENT_TYPE};
use myelin_http::ApiError;
use myelin_model::Actor;
use myelin_rooms::{
    Rooms,
    history::{
        Format, HistoryFilter, InvalidFilter, Place, PlaceError, Reader, Shown, ViewError,
        find_place,
    },
    relations::RelationsPage,
};
use ruma::OwnedEventId;

/// JSON that is written already.
#[derive(Debug)]
pub(crate) struct JsonText(pub(crate) String);

impl IntoResponse for JsonText {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// The caller as a reader of events.
pub(crate) fn reader<'a>(rooms: &Rooms, requester: &'a Actor) -> Reader<'a> {
    Reader { user_id: &requester.user_id, device_id: requester.device_id(), now_ms: rooms.now_ms() }
}

/// An event ID in the path. What is none names no event.
pub(crate) fn event_id(text: &str) -> Result<OwnedEventId, ApiError> {
    text.try_into().map_err(|_| ApiError::not_found("Event not found."))
}

/// A place in a room's history, as a token in the query names it.
pub(crate) async fn place(rooms: &Rooms, token: Option<&str>) -> Result<Option<Place>, ApiError> {
    find_place(rooms, token).await.map_err(|error| match error {
        PlaceError::Invalid => ApiError::invalid_param(error.to_string()),
        PlaceError::Storage(error) => error.into(),
    })
}

/// A filter in the query, as JSON.
pub(crate) fn filter(json: Option<&str>) -> Result<HistoryFilter, ApiError> {
    match json {
        None => Ok(HistoryFilter::default()),
        Some(json) => HistoryFilter::parse(json).map_err(|error| match error {
            InvalidFilter::NotJson => ApiError::not_json(),
            InvalidFilter::Invalid(_) => ApiError::invalid_param(error.to_string()),
        }),
    }
}

/// A room that is not shown.
pub(crate) fn view_error(error: ViewError) -> ApiError {
    match error {
        ViewError::NotInRoom => ApiError::forbidden(error.to_string()),
        ViewError::Storage(error) => error.into(),
    }
}

/// A page of related events or of threads.
pub(crate) fn relations_page(page: &RelationsPage, reader: &Reader<'_>) -> JsonText {
    let mut out = "{\"chunk\":".to_owned();
    Shown::write_all(&mut out, &page.chunk, Format::Room, reader);
    for (key, place) in [("next_batch", page.next), ("prev_batch", page.prev)] {
        if let Some(place) = place {
            out.push_str(&format!(",\"{key}\":\"{place}\""));
        }
    }
    if let Some(depth) = page.depth {
        out.push_str(&format!(",\"recursion_depth\":{depth}"));
    }
    out.push('}');
    JsonText(out)
}
