//! `GET /_matrix/client/v3/user/{userId}/filter/{filterId}` (client-server API, "Filtering").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, filters};
use myelin_http::{ApiError, Raw};

use crate::Answer;

#[tracing::instrument(name = "client.user_data.get_filter", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    super::check_caller(&raw, "Cannot get filters for other users")?;
    let filter_id: i64 =
        raw.path_arg(1)?.parse().map_err(|_| ApiError::invalid_param("Invalid filter_id"))?;
    let content = filters::find(&accounts, &raw.requester.user_id, filter_id)
        .await?
        .ok_or_else(|| ApiError::not_found("No such filter"))?;
    Ok(Json(serde_json::from_str(&content).map_err(ApiError::internal)?))
}
