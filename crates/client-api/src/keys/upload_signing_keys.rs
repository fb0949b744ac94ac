//! `POST /_matrix/client/v3/keys/device_signing/upload` (client-server API, "Cross-signing").

use axum::{Json, extract::State};
use http::StatusCode;
use myelin_accounts::Accounts;
use myelin_e2ee::{
    E2ee,
    cross_signing::{
        InvalidSigningKey, UploadSigningKeysError, UploadedSigningKeys, upload_signing_keys,
    },
};
use myelin_http::{ApiError, BearerToken, RateLimits, Raw};
use serde_json::{Map, Value, json};

use crate::{
    Answer,
    uia::{Demand, require_auth},
};

/// The names in a body that may be kept until the caller has proved who it is.
const KEPT: &[&str] = &["master_key", "self_signing_key", "user_signing_key"];

/// No proof is asked of users who have no keys yet or send the same again (MSC3967), nor of application services.
#[tracing::instrument(name = "client.keys.upload_signing_keys", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(e2ee): State<E2ee>,
    State(rate_limits): State<RateLimits>,
    BearerToken(token): BearerToken,
    raw: Raw,
) -> Answer {
    let body = raw.json_object(false)?;
    let is_appservice = raw.requester.appservice_id().is_some();
    let keys = read(&raw, &body)?;
    // A client may prove who it is without sending the keys once more.
    let goes_on = keys.is_empty() && body.contains_key("auth");
    if !goes_on {
        match upload_signing_keys(&e2ee, &raw.requester.user_id, &keys, is_appservice).await {
            Err(UploadSigningKeysError::Unproved) => {}
            uploaded => return uploaded.map(|()| Json(json!({}))).map_err(to_api_error),
        }
    }
    let demand = Demand { token: &token, may_skip: false, kept: KEPT, new_password: None };
    let proved = require_auth(&accounts, &rate_limits, &raw, body, &demand).await?;
    let keys = read(&raw, &proved.params)?;
    upload_signing_keys(&e2ee, &raw.requester.user_id, &keys, true).await.map_err(to_api_error)?;
    Ok(Json(json!({})))
}

fn read(raw: &Raw, body: &Map<String, Value>) -> Result<UploadedSigningKeys, ApiError> {
    UploadedSigningKeys::read(&raw.requester.user_id, body).map_err(|error| {
        let message = error.to_string();
        match error {
            InvalidSigningKey::Malformed(_) => ApiError::invalid_param(message),
            InvalidSigningKey::TooLarge(_) => ApiError::too_large(message),
        }
    })
}

fn to_api_error(error: UploadSigningKeysError) -> ApiError {
    let message = error.to_string();
    match error {
        UploadSigningKeysError::NoMasterKey => ApiError::missing_param(message),
        UploadSigningKeysError::InvalidSignature(_) => {
            ApiError::with_fields(StatusCode::BAD_REQUEST, "M_INVALID_SIGNATURE", message, [])
        }
        UploadSigningKeysError::Unproved
        | UploadSigningKeysError::KeyInUse
        | UploadSigningKeysError::UnknownUser => ApiError::forbidden(message),
        UploadSigningKeysError::Storage(error) => error.into(),
    }
}
