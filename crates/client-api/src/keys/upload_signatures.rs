//! `POST /_matrix/client/v3/keys/signatures/upload` (client-server API, "Cross-signing").

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use myelin_e2ee::{
    E2ee,
    cross_signing::{SignatureError, UploadSignaturesError, upload_signatures},
};
use myelin_http::{ApiError, Raw};
use serde_json::{Map, Value, json};

use crate::Answer;

#[tracing::instrument(name = "client.keys.upload_signatures", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(e2ee): State<E2ee>, raw: Raw) -> Answer {
    let body = raw.json_object(false)?;
    let failed =
        upload_signatures(&e2ee, &raw.requester.user_id, &body).await.map_err(to_api_error)?;
    let mut failures: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for failure in failed {
        let of_user = failures.entry(failure.user_id).or_default();
        of_user.insert(failure.key_id, show(&failure.error));
    }
    Ok(Json(json!({ "failures": failures })))
}

/// The reason as the specification has it, and as Synapse does.
fn show(error: &SignatureError) -> Value {
    let (status, errcode) = match error {
        SignatureError::InvalidSignature => (400, "M_INVALID_SIGNATURE"),
        SignatureError::OtherKey => (400, "M_UNKNOWN"),
        SignatureError::NoKey { .. } | SignatureError::UnknownDevice => (404, "M_NOT_FOUND"),
    };
    let message = error.to_string();
    json!({ "status": status, "errcode": errcode, "error": message, "message": message })
}

fn to_api_error(error: UploadSignaturesError) -> ApiError {
    let message = error.to_string();
    match error {
        UploadSignaturesError::Malformed => ApiError::invalid_param(message),
        UploadSignaturesError::TooMany => ApiError::too_large(message),
        UploadSignaturesError::Storage(error) => error.into(),
    }
}
