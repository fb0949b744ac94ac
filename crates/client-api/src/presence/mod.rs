//! The presence of users (client-server API, "Presence").

mod get_presence;
mod set_presence;

use myelin_http::{ApiError, RumaRouter};
use myelin_rooms::presence::PresenceError;
use ruma::api::client::presence;

use crate::ClientApi;

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<presence::get_presence::v3::Request, _, _>(get_presence::handler)
        .endpoint::<presence::set_presence::v3::Request, _, _>(set_presence::handler)
}

fn to_api_error(error: PresenceError) -> ApiError {
    match error {
        PresenceError::NotShared => ApiError::forbidden(error.to_string()),
        PresenceError::StatusTooLong => ApiError::too_large(error.to_string()),
        PresenceError::StatusUnstorable => ApiError::invalid_param(error.to_string()),
        PresenceError::Storage(error) => error.into(),
    }
}
