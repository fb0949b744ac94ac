//! `POST /_matrix/client/v3/keys/query` (client-server API, "Key management API").

use std::collections::{BTreeMap, BTreeSet};

use axum::{Json, extract::State};
use myelin_e2ee::{
    E2ee,
    keys::{QueryKeysError, query_keys},
};
use myelin_http::{ApiError, Raw};
use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use serde_json::Value;

use crate::Answer;

#[tracing::instrument(name = "client.keys.get_keys", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(e2ee): State<E2ee>, raw: Raw) -> Answer {
    let body = raw.json_object(false)?;
    let users = body.get("device_keys").and_then(Value::as_object);
    let users = users.ok_or_else(|| ApiError::bad_json("'device_keys' must be a JSON object"))?;
    let mut wanted: BTreeMap<OwnedUserId, BTreeSet<OwnedDeviceId>> = BTreeMap::new();
    for (user_id, devices) in users {
        let devices = device_ids(devices)?;
        // What is no user ID is taken for that of a user without keys, and not named in the answer.
        if let Ok(user_id) = UserId::parse(user_id) {
            wanted.insert(user_id, devices);
        }
    }
    let keys = query_keys(&e2ee, &raw.requester.user_id, &wanted).await.map_err(to_api_error)?;
    Ok(Json(keys))
}

fn device_ids(devices: &Value) -> Result<BTreeSet<OwnedDeviceId>, ApiError> {
    let list = devices.as_array().map(|list| {
        list.iter().map(|id| id.as_str().map(OwnedDeviceId::from)).collect::<Option<_>>()
    });
    list.flatten()
        .ok_or_else(|| ApiError::bad_json("'device_keys' values must be a list of strings"))
}

fn to_api_error(error: QueryKeysError) -> ApiError {
    match error {
        QueryKeysError::TooMany => ApiError::too_large(error.to_string()),
        QueryKeysError::Storage(error) => error.into(),
    }
}
