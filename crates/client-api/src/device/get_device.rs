//! `GET /_matrix/client/v3/devices/{deviceId}` (client-server API, "Device management").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, devices};
use myelin_http::{ApiError, Raw};

use crate::Answer;

#[tracing::instrument(name = "client.device.get_device", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    let user_id = &raw.requester.user_id;
    let device = devices::find(&accounts, user_id, raw.path_arg(0)?.into())
        .await?
        .ok_or_else(|| ApiError::not_found("No device found"))?;
    Ok(Json(super::to_json(user_id, &device)))
}
