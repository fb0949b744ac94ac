//! Registering a user of an application service.

use myelin_accounts::{
    Accounts,
    registration::{self, NewAccount},
};
use myelin_http::{ApiError, Raw};
use myelin_model::{Actor, Appservice};
use ruma::api::auth_scheme::AppserviceTokenOptional;
use serde_json::{Map, Value};

use super::{answer, to_api_error};
use crate::{Answer, session::login_unsupported};

pub(super) async fn register_for_appservice(
    accounts: &Accounts,
    raw: &Raw<AppserviceTokenOptional>,
    username: Option<&str>,
    body: &Map<String, Value>,
) -> Answer {
    let appservice_id = raw.requester.as_ref().and_then(Actor::appservice_id);
    let Some(appservice_id) = appservice_id else {
        return Err(if raw.parts.headers.contains_key(http::header::AUTHORIZATION) {
            ApiError::unknown_token(false, "Invalid access token passed.")
        } else {
            ApiError::unknown(
                "Appservice token must be provided when using a type of m.login.application_service",
            )
        });
    };
    let username =
        username.ok_or_else(|| ApiError::unknown("Desired Username is missing or not a string"))?;
    let user_id = registration::check_appservice_username(accounts, appservice_id, username)
        .map_err(to_api_error)?;
    let manages_devices = accounts.appservices().find(appservice_id);
    let manages_devices = manages_devices.is_some_and(Appservice::manages_devices);
    if manages_devices && body.get("inhibit_login") != Some(&Value::Bool(true)) {
        return Err(login_unsupported("the inhibit_login parameter must be set to true."));
    }
    let account = NewAccount {
        user_id: Some(user_id),
        appservice_id: Some(appservice_id),
        ..NewAccount::default()
    };
    let registered = registration::register(accounts, account).await.map_err(to_api_error)?;
    answer(accounts, &registered.user_id, body).await
}
