//! `GET /_matrix/client/v3/profile/{userId}` (client-server API, "Profiles").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, profile};
use myelin_http::Raw;
use ruma::api::auth_scheme::NoAccessToken;
use serde_json::Value;

use super::reader::Reader;
use crate::Answer;

#[tracing::instrument(name = "client.profile.get_profile", skip_all)]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    Reader(reader): Reader,
    raw: Raw<NoAccessToken>,
) -> Answer {
    let user_id = super::user_id(&raw)?;
    let profile =
        profile::get(&accounts, reader.as_deref(), &user_id).await.map_err(super::to_api_error)?;
    Ok(Json(Value::Object(profile)))
}
