//! Push rules and pushers (client-server API, "Push Notifications").

mod get_pushers;
mod get_pushrules;
mod set_pusher;
mod set_pushrule;

use http::{Method, StatusCode};
use myelin_accounts::push_rules::PushRuleError;
use myelin_http::{ApiError, RumaRouter};
use ruma::api::{auth_scheme::AccessToken, client::push, error::ErrorKind};

use crate::ClientApi;

const ALL: &[&str] = &[
    "/_matrix/client/v3/pushrules/",
    "/_matrix/client/r0/pushrules/",
    "/_matrix/client/v3/pushrules",
    "/_matrix/client/r0/pushrules",
];
const GLOBAL: &[&str] = &[
    "/_matrix/client/v3/pushrules/global/",
    "/_matrix/client/r0/pushrules/global/",
    "/_matrix/client/v3/pushrules/global",
    "/_matrix/client/r0/pushrules/global",
];
const KIND: &[&str] = &[
    "/_matrix/client/v3/pushrules/global/{kind}/",
    "/_matrix/client/r0/pushrules/global/{kind}/",
    "/_matrix/client/v3/pushrules/global/{kind}",
    "/_matrix/client/r0/pushrules/global/{kind}",
];
const RULE: &[&str] = &[
    "/_matrix/client/v3/pushrules/global/{kind}/{rule_id}",
    "/_matrix/client/r0/pushrules/global/{kind}/{rule_id}",
];
const ATTRIBUTE: &[&str] = &[
    "/_matrix/client/v3/pushrules/global/{kind}/{rule_id}/{attribute}",
    "/_matrix/client/r0/pushrules/global/{kind}/{rule_id}/{attribute}",
];

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    let get = Method::GET;
    RumaRouter::new()
        .endpoint::<push::get_pushers::v3::Request, _, _>(get_pushers::handler)
        .endpoint::<push::set_pusher::v3::Request, _, _>(set_pusher::handler)
        .raw::<AccessToken, _, _>("push::get_pushrules_all", get.clone(), ALL, get_pushrules::all)
        .raw::<AccessToken, _, _>(
            "push::get_pushrules_global_scope",
            get.clone(),
            GLOBAL,
            get_pushrules::global,
        )
        .raw::<AccessToken, _, _>(
            "push::get_pushrules_kind",
            get.clone(),
            KIND,
            get_pushrules::kind,
        )
        .raw::<AccessToken, _, _>("push::get_pushrule", get.clone(), RULE, get_pushrules::rule)
        .raw::<AccessToken, _, _>(
            "push::get_pushrule_attribute",
            get,
            ATTRIBUTE,
            get_pushrules::attribute,
        )
        .raw::<AccessToken, _, _>("push::set_pushrule", Method::PUT, RULE, set_pushrule::set)
        .raw::<AccessToken, _, _>(
            "push::delete_pushrule",
            Method::DELETE,
            RULE,
            set_pushrule::delete,
        )
        .raw::<AccessToken, _, _>(
            "push::set_pushrule_attribute",
            Method::PUT,
            ATTRIBUTE,
            set_pushrule::set_attribute,
        )
}

fn to_api_error(error: PushRuleError) -> ApiError {
    let message = error.to_string();
    match error {
        PushRuleError::NotFound => ApiError::not_found(message),
        PushRuleError::UnknownKind(_) => {
            ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::Unrecognized, message)
        }
        PushRuleError::NeighbourNotFound(_) => ApiError::unknown(message),
        PushRuleError::Reserved | PushRuleError::InvalidId | PushRuleError::Default => {
            ApiError::invalid_param(message)
        }
        PushRuleError::Invalid(_) => ApiError::bad_json(message),
        PushRuleError::TooLarge => ApiError::too_large(message),
        PushRuleError::Json(error) => ApiError::internal(error),
        PushRuleError::Storage(error) => error.into(),
    }
}
