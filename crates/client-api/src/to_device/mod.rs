//! Messages to devices (client-server API, "Send-to-Device messaging").

mod send_event_to_device;

use myelin_http::RumaRouter;
use ruma::api::client::to_device;

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new().endpoint::<to_device::send_event_to_device::v3::Request, _, _>(
        send_event_to_device::handler,
    )
}
