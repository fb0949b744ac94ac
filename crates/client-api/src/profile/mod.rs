//! Profiles (client-server API, "Profiles").

mod delete_profile_field;
mod get_profile;
mod get_profile_field;
mod reader;
mod set_profile_field;

use http::{Method, StatusCode};
use myelin_accounts::profile::ProfileError;
use myelin_http::{ApiError, RateLimits, Raw, RumaRouter};
use myelin_model::DeviceSession;
use myelin_rooms::{Rooms, membership};
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

/// Whose profile the path means.
fn user_id<A: myelin_http::Authenticate>(raw: &Raw<A>) -> Result<OwnedUserId, ApiError> {
    OwnedUserId::try_from(raw.path_arg(0)?).map_err(|_| ApiError::invalid_param("Invalid user id"))
}

/// Whether the caller may change a field of the profile.
fn check_caller(raw: &Raw, user_id: &OwnedUserId, field: &str) -> Result<(), ApiError> {
    let caller = &raw.requester;
    if caller.is_guest && field != "displayname" {
        return Err(ApiError::guest_access_forbidden("Guest access not allowed"));
    }
    if caller.user_id != *user_id && !caller.is_admin {
        return Err(ApiError::forbidden("Cannot set another user's profile"));
    }
    if caller.is_suspended {
        return Err(ApiError::user_suspended(
            "Updating profile while account is suspended is not allowed.",
        ));
    }
    Ok(())
}

/// Bring the member events of the user's rooms in line with the profile.
async fn update_rooms(
    rooms: &Rooms,
    limits: &RateLimits,
    raw: &Raw,
    user_id: OwnedUserId,
) -> Result<(), ApiError> {
    limits.message.check_caller(&raw.requester)?;
    // An admin changes the profile in the name of its user.
    let session = DeviceSession { user_id, ..raw.requester.clone() };
    Ok(membership::update_profile(rooms, &session).await?)
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
