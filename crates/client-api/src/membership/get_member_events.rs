//! `GET /_matrix/client/v3/rooms/{roomId}/members` (client-server API, "Getting events for a room").

use axum::extract::State;
use myelin_http::{ApiError, Raw};
use myelin_model::Membership;
use myelin_rooms::{
    Rooms,
    history::{Format, MembersQuery, Shown, members},
};
use serde::Deserialize;

use crate::reply::{self, JsonText};

#[derive(Debug, Deserialize)]
struct Query {
    at: Option<String>,
    membership: Option<String>,
    not_membership: Option<String>,
}

#[tracing::instrument(name = "client.membership.get_member_events", skip_all, fields(user.id = %req.requester.user_id))]
pub(crate) async fn handler(State(rooms): State<Rooms>, req: Raw) -> Result<JsonText, ApiError> {
    let room_id = reply::room_id(req.path_arg(0)?)?;
    let query: Query = req.query()?;
    let query = MembersQuery {
        at: reply::place(query.at.as_deref())?,
        membership: membership(query.membership.as_deref())?,
        not_membership: membership(query.not_membership.as_deref())?,
    };
    let events = members(&rooms, &req.requester.user_id, &room_id, &query)
        .await
        .map_err(reply::view_error)?;
    let mut out = "{\"chunk\":".to_owned();
    Shown::write_all(&mut out, &events, Format::Room, &reply::reader(&rooms, &req.requester));
    out.push('}');
    Ok(JsonText(out))
}

fn membership(text: Option<&str>) -> Result<Option<Membership>, ApiError> {
    text.map(|text| {
        Membership::parse(text)
            .ok_or_else(|| ApiError::invalid_param(format!("{text:?} is not a membership")))
    })
    .transpose()
}
