//! `DELETE /_matrix/client/v3/profile/{userId}/{keyName}` (client-server API, "Profiles").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, profile};
use myelin_http::{RateLimits, Raw};
use myelin_rooms::{Rooms, unfinished};
use serde_json::json;

use crate::Answer;

#[tracing::instrument(name = "client.profile.delete_profile_field", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(rate_limits): State<RateLimits>,
    State(rooms): State<Rooms>,
    raw: Raw,
) -> Answer {
    let (user_id, field) = (super::user_id(&raw)?, raw.path_arg(1)?);
    let actor = super::actor_for(&raw, &user_id, field)?;
    let actor = actor.active()?;
    super::check_limits(&rate_limits, &raw, field)?;
    let work =
        profile::set_field(&accounts, actor, field, None).await.map_err(super::to_api_error)?;
    if let Some(work) = work {
        unfinished::finish(&rooms, &work).await;
    }
    Ok(Json(json!({})))
}
