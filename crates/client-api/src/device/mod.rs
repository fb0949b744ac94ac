//! Device management (client-server API, "Client-Server Device Management").

mod delete_device;
mod delete_devices;
mod get_device;
mod get_devices;
mod update_device;

use myelin_http::RumaRouter;
use myelin_storage::accounts::Device;
use ruma::{UserId, api::client::device};
use serde_json::{Value, json};

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<device::get_devices::v3::Request, _, _>(get_devices::handler)
        .endpoint::<device::get_device::v3::Request, _, _>(get_device::handler)
        .endpoint::<device::update_device::v3::Request, _, _>(update_device::handler)
        .endpoint::<device::delete_device::v3::Request, _, _>(delete_device::handler)
        .endpoint::<device::delete_devices::v3::Request, _, _>(delete_devices::handler)
}

/// A device as its user sees it.
fn to_json(user_id: &UserId, device: &Device) -> Value {
    json!({
        "device_id": device.device_id,
        "user_id": user_id,
        "display_name": device.display_name,
        "last_seen_ts": device.last_seen_ts,
        "last_seen_ip": device.last_seen_ip,
    })
}
