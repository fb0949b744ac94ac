//! Registering a guest.

use axum::Json;
use myelin_accounts::{
    Accounts, devices,
    registration::{self, NewAccount},
    session::{self, NewSession},
};
use myelin_http::{ApiError, RateLimits};
use myelin_rooms::{Rooms, unfinished};
use ruma::DeviceId;
use serde_json::{Map, Value};

use super::to_api_error;
use crate::{
    Answer,
    session::{read_flag, started},
};

pub(super) async fn register_guest(
    accounts: &Accounts,
    rooms: &Rooms,
    rate_limits: &RateLimits,
    address: &str,
    body: &Map<String, Value>,
) -> Answer {
    if !accounts.settings().allow_guest_access {
        return Err(ApiError::forbidden("Guest access is disabled"));
    }
    rate_limits.registration.check(address)?;
    let joins_rooms = rooms.settings().auto_join.is_for(true);
    let account = NewAccount { is_guest: true, joins_rooms, ..NewAccount::default() };
    let registered = registration::register(accounts, account).await.map_err(to_api_error)?;
    if let Some(work) = &registered.auto_join {
        unfinished::finish(rooms, work).await;
    }
    let user_id = registered.user_id;
    let display_name = body.get("initial_device_display_name").and_then(Value::as_str);
    // Guests do not choose their device.
    let new = NewSession {
        device_id: Some(<&DeviceId>::from("guest_device")),
        display_name: display_name.map(devices::shorten_name),
        with_refresh_token: read_flag(body, "refresh_token")?,
    };
    let session = session::start(accounts, &user_id, &new).await?;
    Ok(Json(Value::Object(started(&user_id, session))))
}
