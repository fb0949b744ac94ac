//! `GET /_matrix/client/v3/sync` (client-server API, "Syncing"): what happened since, or how everything stands.

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use http::StatusCode;
use myelin_accounts::Accounts;
use myelin_events::filter::InvalidFilter;
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_model::Actor;
use myelin_storage::PresenceState;
use myelin_sync::{
    Sync, SyncError, SyncRequest, SyncToken,
    filter::{FilterError, find_filter},
};
use ruma::api::error::ErrorKind;
use serde::Deserialize;

use crate::reply::JsonText;

#[derive(Debug, Default, Deserialize)]
struct Query {
    from: Option<String>,
    since: Option<String>,
    timeout: Option<String>,
    filter: Option<String>,
    full_state: Option<String>,
    set_presence: Option<String>,
    use_state_after: Option<String>,
    #[serde(rename = "org.matrix.msc4222.use_state_after")]
    unstable_use_state_after: Option<String>,
}

/// Answer when there is something to say or the time is over.
pub(super) async fn handler(
    State(accounts): State<Accounts>,
    State(sync): State<Sync>,
    State(rate_limits): State<RateLimits>,
    raw: Raw,
) -> Result<JsonText, ApiError> {
    let query: Query = raw.query()?;
    let mut request = read(&sync, &raw.requester, &query).await?;
    // Who changes presence too often is heard all the same, only not by others.
    if rate_limits.presence_per_user.check_caller(&raw.requester).is_err() {
        request.set_presence = PresenceState::Offline;
    }
    // What is kept while an answer is made is large, and would be copied with the request's future whenever that is moved.
    let answer = Box::pin(myelin_sync::sync(&sync, &raw.requester, &request));
    Ok(JsonText(raw.hold(&accounts, answer).await?.map_err(to_api_error)?))
}

fn to_api_error(error: SyncError) -> ApiError {
    match error {
        SyncError::Storage(error) => error.into(),
    }
}

async fn read(sync: &Sync, requester: &Actor, query: &Query) -> Result<SyncRequest, ApiError> {
    if query.from.is_some() {
        return Err(ApiError::unknown(
            "'from' is not a valid query parameter. Did you mean 'since'?",
        ));
    }
    let timeout = match &query.timeout {
        None => 0,
        Some(timeout) => timeout.parse().map_err(|_| {
            ApiError::invalid_param("Query parameter timeout must be a positive integer")
        })?,
    };
    let since = query.since.as_deref().map(|since| {
        SyncToken::parse(since).map_err(|_| ApiError::invalid_param("Invalid stream token"))
    });
    let set_presence = match query.set_presence.as_deref() {
        None => PresenceState::Online,
        Some(presence) => PresenceState::parse(presence).ok_or_else(|| {
            ApiError::invalid_param("Query parameter set_presence is not a presence")
        })?,
    };
    let filter = match query.filter.as_deref() {
        None => Arc::default(),
        Some(filter) => {
            let found = find_filter(sync, &requester.user_id, filter).await;
            found.map_err(filter_error)?
        }
    };
    let flag = |name, value: &Option<String>| flag(name, value.as_deref());
    let stable = flag("use_state_after", &query.use_state_after)?;
    let unstable = flag("org.matrix.msc4222.use_state_after", &query.unstable_use_state_after)?;
    Ok(SyncRequest {
        filter,
        since: since.transpose()?,
        full_state: flag("full_state", &query.full_state)?,
        timeout: Duration::from_millis(timeout),
        set_presence,
        state_after: match (stable, unstable) {
            (true, _) => Some("state_after"),
            (false, true) => Some("org.matrix.msc4222.state_after"),
            (false, false) => None,
        },
    })
}

fn flag(name: &str, value: Option<&str>) -> Result<bool, ApiError> {
    match value {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(ApiError::invalid_param(format!(
            "Boolean query parameter {name} must be one of ['true', 'false']"
        ))),
    }
}

fn filter_error(error: FilterError) -> ApiError {
    match error {
        FilterError::Invalid(InvalidFilter::NotJson) => {
            ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::NotJson, "Invalid filter JSON")
        }
        FilterError::Invalid(InvalidFilter::Invalid(message)) => ApiError::unknown(message),
        FilterError::NotFound => ApiError::invalid_param("No such filter"),
        FilterError::Storage(error) => error.into(),
    }
}
