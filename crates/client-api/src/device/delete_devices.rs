//! `POST /_matrix/client/v3/delete_devices` (client-server API, "Device management").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, devices};
use myelin_http::{ApiError, BearerToken, RateLimits, Raw};
use ruma::OwnedDeviceId;
use serde_json::{Value, json};

use crate::{
    Answer,
    uia::{Demand, require_auth},
};

#[tracing::instrument(name = "client.device.delete_devices", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(rate_limits): State<RateLimits>,
    BearerToken(token): BearerToken,
    raw: Raw,
) -> Answer {
    let body = raw.json_object(true)?;
    if body.get("devices").is_some_and(|devices| !devices.is_array()) {
        return Err(ApiError::bad_json("devices must be a list"));
    }
    let params = if raw.requester.appservice_id().is_some() {
        body
    } else {
        require_auth(
            &accounts,
            &rate_limits,
            &raw,
            body,
            &Demand { token: &token, may_skip: true, kept: &["devices"], new_password: None },
        )
        .await?
        .params
    };
    let list = params
        .get("devices")
        .and_then(Value::as_array)
        .ok_or_else(|| ApiError::missing_param("No devices supplied"))?;
    let device_ids = list
        .iter()
        .map(|id| id.as_str().map(OwnedDeviceId::from))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| ApiError::bad_json("devices must be a list of strings"))?;
    devices::delete(&accounts, &raw.requester.user_id, &device_ids).await?;
    Ok(Json(json!({})))
}
