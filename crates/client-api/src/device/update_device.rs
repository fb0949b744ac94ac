//! `PUT /_matrix/client/v3/devices/{deviceId}` (client-server API, "Device management").

use axum::{Json, extract::State};
use http::StatusCode;
use myelin_accounts::{
    Accounts,
    devices::{self, SetNameError},
};
use myelin_http::{ApiError, Raw};
use ruma::api::error::ErrorKind;
use serde_json::{Value, json};

use crate::Answer;

#[tracing::instrument(name = "client.device.update_device", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    let body = raw.json_object(true)?;
    let display_name = match body.get("display_name") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name.as_str()),
        Some(_) => return Err(ApiError::bad_json("display_name must be a string")),
    };
    let device_id = raw.path_arg(0)?.into();
    devices::set_name(&accounts, &raw.requester.user_id, device_id, display_name)
        .await
        .map_err(to_api_error)?;
    Ok(Json(json!({})))
}

fn to_api_error(error: SetNameError) -> ApiError {
    match error {
        SetNameError::NotFound => ApiError::not_found(error.to_string()),
        SetNameError::TooLong => {
            ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::TooLarge, error.to_string())
        }
        SetNameError::Storage(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::test_server;

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn names_a_device(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let path = "/_matrix/client/v3/devices/DEV";

        server.put(path, Some(&alice), json!({ "display_name": "Phone" })).await.ok();

        assert_eq!(server.get(path, Some(&alice)).await.ok()["display_name"], "Phone");
        let unknown = server.put("/_matrix/client/v3/devices/X", Some(&alice), json!({})).await;
        assert_eq!(unknown.error(), (404, "M_NOT_FOUND"));
    }
}
