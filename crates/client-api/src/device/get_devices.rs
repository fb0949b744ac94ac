//! `GET /_matrix/client/v3/devices` (client-server API, "Device management").

use axum::{Json, extract::State};
use myelin_accounts::Accounts;
use myelin_http::Raw;
use serde_json::{Value, json};

use crate::Answer;

#[tracing::instrument(name = "client.device.get_devices", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    let user_id = &raw.requester.user_id;
    let devices = accounts.db().list_devices(user_id).await?;
    let devices: Vec<Value> =
        devices.iter().map(|device| super::to_json(user_id, device)).collect();
    Ok(Json(json!({ "devices": devices })))
}
