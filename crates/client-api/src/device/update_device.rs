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

#[tracing::instrument(name = "client.device.update_device", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    raw: Raw,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let body = raw.json_object(true)?;
    let display_name = match body.get("display_name") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name.as_str()),
        Some(_) => return Err(ApiError::bad_json("display_name must be a string")),
    };
    let (user_id, device_id) = (&raw.requester.user_id, raw.path_arg(0)?.into());
    let is_new = if raw.requester.appservice_id().is_some() {
        devices::make_or_name(&accounts, user_id, device_id, display_name).await
    } else {
        devices::set_name(&accounts, user_id, device_id, display_name).await.map(|()| false)
    };
    let status = if is_new.map_err(to_api_error)? { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(json!({}))))
}

fn to_api_error(error: SetNameError) -> ApiError {
    match error {
        SetNameError::NotFound => ApiError::not_found(error.to_string()),
        SetNameError::TooLong => {
            ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::TooLarge, error.to_string())
        }
        SetNameError::InvalidId => ApiError::invalid_param(error.to_string()),
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
