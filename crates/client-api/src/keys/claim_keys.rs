//! `POST /_matrix/client/v3/keys/claim` (client-server API, "Key management API").

use axum::{Json, extract::State};
use myelin_e2ee::{
    E2ee,
    keys::{ClaimKeysError, claim_keys},
};
use myelin_http::{ApiError, Raw};
use myelin_storage::e2ee::KeyWanted;
use ruma::UserId;
use serde_json::{Map, Value};

use crate::Answer;

#[tracing::instrument(name = "client.keys.claim_keys", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(e2ee): State<E2ee>, raw: Raw) -> Answer {
    let wanted = read(&raw.json_object(false)?)?;
    Ok(Json(claim_keys(&e2ee, &wanted).await.map_err(to_api_error)?))
}

/// Read `{"one_time_keys": {user: {device: algorithm}}}`. What is no user ID has no keys.
fn read(body: &Map<String, Value>) -> Result<Vec<KeyWanted>, ApiError> {
    let malformed = || ApiError::bad_json("one_time_keys must be {user: {device: algorithm}}");
    let users = body
        .get("one_time_keys")
        .ok_or_else(|| ApiError::missing_param("Missing param one_time_keys"))?;
    let mut wanted = vec![];
    for (user_id, devices) in users.as_object().ok_or_else(malformed)? {
        for (device_id, algorithm) in devices.as_object().ok_or_else(malformed)? {
            let algorithm = algorithm.as_str().ok_or_else(malformed)?.to_owned();
            if device_id.contains('\0') || algorithm.contains('\0') {
                return Err(malformed());
            }
            if let Ok(user_id) = UserId::parse(user_id) {
                wanted.push(KeyWanted { user_id, device_id: device_id.as_str().into(), algorithm });
            }
        }
    }
    Ok(wanted)
}

fn to_api_error(error: ClaimKeysError) -> ApiError {
    match error {
        ClaimKeysError::TooMany => ApiError::too_large(error.to_string()),
        ClaimKeysError::Storage(error) => error.into(),
    }
}
