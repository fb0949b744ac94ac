//! `POST /_matrix/client/v3/keys/upload` (client-server API, "Key management API").

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use myelin_e2ee::{
    E2ee,
    keys::{InvalidKeys, UploadKeysError, UploadedKeys, upload_keys},
};
use myelin_http::{ApiError, Raw};
use serde_json::json;

use crate::Answer;

/// The algorithm of the keys that clients look for, which is told even of a device that has none.
const SIGNED_CURVE25519: &str = "signed_curve25519";

#[tracing::instrument(name = "client.keys.upload_keys", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(e2ee): State<E2ee>, raw: Raw) -> Answer {
    let keys = UploadedKeys::read(raw.json_object(false)?).map_err(invalid_keys)?;
    let device_id = raw.requester.device_id().ok_or_else(|| {
        ApiError::unknown("To upload keys, you must pass device_id when authenticating")
    })?;
    let counts =
        upload_keys(&e2ee, &raw.requester.user_id, device_id, keys).await.map_err(to_api_error)?;
    let mut one_time_keys: BTreeMap<String, i64> = counts.one_time_keys;
    one_time_keys.entry(SIGNED_CURVE25519.to_owned()).or_insert(0);
    Ok(Json(json!({ "one_time_key_counts": one_time_keys })))
}

fn invalid_keys(error: InvalidKeys) -> ApiError {
    let message = error.to_string();
    match error {
        InvalidKeys::Malformed(_) => ApiError::bad_json(message),
        InvalidKeys::TooLarge(_) => ApiError::too_large(message),
    }
}

fn to_api_error(error: UploadKeysError) -> ApiError {
    let message = error.to_string();
    match error {
        UploadKeysError::OtherUser | UploadKeysError::OtherDevice => ApiError::bad_json(message),
        UploadKeysError::UnknownDevice | UploadKeysError::OtherKey { .. } => {
            ApiError::unknown(message)
        }
        UploadKeysError::TooMany => ApiError::too_large(message),
        UploadKeysError::Storage(error) => error.into(),
    }
}
