//! `GET /_matrix/client/v3/profile/{userId}/{keyName}` (client-server API, "Profiles").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, profile};
use myelin_http::{ApiError, Raw};
use ruma::api::auth_scheme::NoAccessToken;
use serde_json::{Map, Value};

use super::reader::Reader;
use crate::Answer;

#[tracing::instrument(name = "client.profile.get_profile_field", skip_all)]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    Reader(reader): Reader,
    raw: Raw<NoAccessToken>,
) -> Answer {
    let (user_id, field) = (super::user_id(&raw)?, raw.path_arg(1)?);
    profile::check_key(field).map_err(super::to_api_error)?;
    let mut profile =
        profile::get(&accounts, reader.as_deref(), &user_id).await.map_err(super::to_api_error)?;
    let mut body = Map::new();
    match profile.remove(field) {
        Some(value) => drop(body.insert(field.to_owned(), value)),
        // Older than the rule that a field which is not set is not found, and clients rely on it.
        None if field == "displayname" || field == "avatar_url" => {}
        None => return Err(ApiError::not_found("Profile field not found")),
    }
    Ok(Json(Value::Object(body)))
}
