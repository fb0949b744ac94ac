//! Profiles (client-server API, "Profiles").

mod delete_profile_field;
mod get_profile;
mod get_profile_field;
mod reader;
mod set_profile_field;

use http::{Method, StatusCode};
use myelin_accounts::profile::{self, ProfileError};
use myelin_http::{ApiError, RateLimits, Raw, RumaRouter};
use myelin_model::Actor;
use ruma::{
    OwnedUserId,
    api::{
        auth_scheme::{AccessToken, NoAccessToken},
        error::ErrorKind,
    },
};

use crate::ClientApi;

/// A whole profile.
const PROFILE: &[&str] =
    &["/_matrix/client/v3/profile/{user_id}", "/_matrix/client/r0/profile/{user_id}"];

/// A field of it. Any field, not only those that the specification knows.
const FIELD: &[&str] = &[
    "/_matrix/client/v3/profile/{user_id}/{field}",
    "/_matrix/client/r0/profile/{user_id}/{field}",
    "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{user_id}/{field}",
];

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .raw::<NoAccessToken, _, _>(
            "profile::get_profile",
            Method::GET,
            PROFILE,
            get_profile::handler,
        )
        .raw::<NoAccessToken, _, _>(
            "profile::get_profile_field",
            Method::GET,
            FIELD,
            get_profile_field::handler,
        )
        .raw::<AccessToken, _, _>(
            "profile::set_profile_field",
            Method::PUT,
            FIELD,
            set_profile_field::handler,
        )
        .raw::<AccessToken, _, _>(
            "profile::delete_profile_field",
            Method::DELETE,
            FIELD,
            delete_profile_field::handler,
        )
}

/// The user whose profile the path means.
fn user_id<A: myelin_http::Authenticate>(raw: &Raw<A>) -> Result<OwnedUserId, ApiError> {
    OwnedUserId::try_from(raw.path_arg(0)?).map_err(|_| ApiError::invalid_param("Invalid user id"))
}

/// The caller as the one who changes a field of the user's profile.
fn actor_for(raw: &Raw, user_id: &OwnedUserId, field: &str) -> Result<Actor, ApiError> {
    let caller = &raw.requester;
    if caller.is_guest && field != "displayname" {
        return Err(ApiError::guest_access_forbidden("Guest access not allowed"));
    }
    caller
        .on_behalf_of(user_id)
        .ok_or_else(|| ApiError::forbidden("Cannot set another user's profile"))
}

/// Count the change of a field. What is shown in rooms counts as a message too, and before it is stored: who is refused has
/// changed nothing, and may try again.
fn check_limits(limits: &RateLimits, raw: &Raw, field: &str) -> Result<(), ApiError> {
    limits.profile.check_caller(&raw.requester)?;
    if profile::is_shown_in_rooms(field) {
        limits.message.check_caller(&raw.requester)?;
    }
    Ok(())
}

fn to_api_error(error: ProfileError) -> ApiError {
    let message = error.to_string();
    match error {
        ProfileError::NotFound => ApiError::not_found(message),
        ProfileError::KeyTooLarge => {
            ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::KeyTooLarge, message)
        }
        ProfileError::InvalidKey | ProfileError::InvalidValue(_) => {
            ApiError::invalid_param(message)
        }
        ProfileError::TooLarge => {
            ApiError::client(StatusCode::BAD_REQUEST, ErrorKind::ProfileTooLarge, message)
        }
        ProfileError::NotShared | ProfileError::Disabled(_) => ApiError::forbidden(message),
        ProfileError::Storage(error) => error.into(),
    }
}
