//! Push rules and pushers (client-server API, "Push Notifications").

mod get_pushers;
mod get_pushrules;
mod rule_path;
mod set_pusher;
mod set_pushrule;

use http::Method;
use myelin_accounts::push_rules::PushRuleError;
use myelin_http::{ApiError, RumaRouter};
use ruma::api::{auth_scheme::AccessToken, client::push};

use crate::{ClientApi, room_input::paths};

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    let mut router = RumaRouter::new()
        .endpoint::<push::get_pushers::v3::Request, _, _>(get_pushers::handler)
        .endpoint::<push::set_pusher::v3::Request, _, _>(set_pusher::handler);
    // What is there depends on the last slash, and what is not answers otherwise than other paths.
    for (get, path) in
        [("push::get_pushrules_all", "/pushrules/"), ("push::get_pushrules", "/pushrules/{*path}")]
    {
        for path in paths(path) {
            let (set, delete) = ("push::set_pushrule", "push::delete_pushrule");
            let path = [&*path];
            router = router
                .raw::<AccessToken, _, _>(get, Method::GET, &path, get_pushrules::handler)
                .raw::<AccessToken, _, _>(set, Method::PUT, &path, set_pushrule::set)
                .raw::<AccessToken, _, _>(delete, Method::DELETE, &path, set_pushrule::delete);
        }
    }
    router
}

fn to_api_error(error: PushRuleError) -> ApiError {
    let message = error.to_string();
    match error {
        PushRuleError::NotFound => ApiError::not_found(message),
        PushRuleError::UnknownKind(_) | PushRuleError::NeighbourNotFound(_) => {
            ApiError::unknown(message)
        }
        PushRuleError::Reserved | PushRuleError::InvalidId | PushRuleError::ServersKind => {
            ApiError::invalid_param(message)
        }
        PushRuleError::Invalid(_) => ApiError::bad_json(message),
        PushRuleError::TooLarge => ApiError::too_large(message),
        PushRuleError::Json(error) => ApiError::internal(error),
        PushRuleError::Storage(error) => error.into(),
    }
}
