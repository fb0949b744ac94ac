//! `GET /_matrix/client/v3/account/3pid`, and the endpoints that would change it (client-server API, "Adding Account
//! Administrative Contact Information").
//!
//! Addresses are confirmed by mail or text message, which this server does not send: the endpoints that need it refuse
//! with the codes of the specification.

use axum::{Json, extract::State};
use http::{Method, StatusCode};
use myelin_accounts::Accounts;
use myelin_http::{ApiError, Raw, RumaRouter};
use ruma::api::{
    auth_scheme::{AccessToken, NoAccessToken},
    client::account,
    error::ErrorKind,
};
use serde_json::{Value, json};

use crate::{Answer, ClientApi};

pub(crate) fn routes() -> RumaRouter<ClientApi> {
    RumaRouter::new()
        .endpoint::<account::get_3pids::v3::Request, _, _>(list)
        .endpoint::<account::add_3pid::v3::Request, _, _>(add)
        .endpoint::<account::bind_3pid::v3::Request, _, _>(add)
        .endpoint::<account::delete_3pid::v3::Request, _, _>(delete)
        .endpoint::<account::unbind_3pid::v3::Request, _, _>(unbind)
        .raw::<AccessToken, _, _>(
            "account::add_3pid_deprecated",
            Method::POST,
            &["/_matrix/client/v3/account/3pid", "/_matrix/client/r0/account/3pid"],
            add,
        )
        .raw::<NoAccessToken, _, _>(
            "account::request_token",
            Method::POST,
            &[
                "/_matrix/client/v3/register/email/requestToken",
                "/_matrix/client/r0/register/email/requestToken",
                "/_matrix/client/v3/register/msisdn/requestToken",
                "/_matrix/client/r0/register/msisdn/requestToken",
                "/_matrix/client/v3/account/password/email/requestToken",
                "/_matrix/client/r0/account/password/email/requestToken",
                "/_matrix/client/v3/account/password/msisdn/requestToken",
                "/_matrix/client/r0/account/password/msisdn/requestToken",
                "/_matrix/client/v3/account/3pid/email/requestToken",
                "/_matrix/client/r0/account/3pid/email/requestToken",
                "/_matrix/client/v3/account/3pid/msisdn/requestToken",
                "/_matrix/client/r0/account/3pid/msisdn/requestToken",
            ],
            request_token,
        )
}

#[tracing::instrument(name = "client.account.get_3pids", skip_all, fields(user.id = %raw.requester.user_id))]
async fn list(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    let threepids = accounts.db().list_threepids(&raw.requester.user_id).await?;
    let threepids: Vec<Value> = threepids
        .into_iter()
        .map(|threepid| {
            json!({
                "medium": threepid.medium,
                "address": threepid.address,
                "validated_at": threepid.validated_ts,
                "added_at": threepid.added_ts,
            })
        })
        .collect();
    Ok(Json(json!({ "threepids": threepids })))
}

#[tracing::instrument(name = "client.account.add_3pid", skip_all, fields(user.id = %raw.requester.user_id))]
async fn add(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    raw.json_object(false)?;
    check_enabled(&accounts)?;
    Err(ApiError::client(
        StatusCode::BAD_REQUEST,
        ErrorKind::ThreepidAuthFailed,
        "No validated 3pid session found",
    ))
}

#[tracing::instrument(name = "client.account.delete_3pid", skip_all, fields(user.id = %raw.requester.user_id))]
async fn delete(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    let body = raw.json_object(false)?;
    check_enabled(&accounts)?;
    let text = |key: &str| {
        body.get(key)
            .and_then(Value::as_str)
            .ok_or_else(|| ApiError::missing_param(format!("Missing param {key}")))
    };
    let (medium, address) = (text("medium")?, text("address")?);
    let mut tx = accounts.db().begin().await?;
    tx.threepids().delete(&raw.requester.user_id, medium, address).await?;
    tx.commit().await?;
    Ok(Json(json!({ "id_server_unbind_result": "success" })))
}

#[tracing::instrument(name = "client.account.unbind_3pid", skip_all, fields(user.id = %raw.requester.user_id))]
async fn unbind(raw: Raw) -> Answer {
    raw.json_object(false)?;
    // No identity server has been told anything.
    Ok(Json(json!({ "id_server_unbind_result": "no-support" })))
}

#[tracing::instrument(name = "client.account.request_token", skip_all)]
async fn request_token(raw: Raw<NoAccessToken>) -> Answer {
    raw.json_object(false)?;
    Err(ApiError::client(
        StatusCode::BAD_REQUEST,
        ErrorKind::ThreepidMediumNotSupported,
        "Third party identifiers cannot be verified on this server",
    ))
}

fn check_enabled(accounts: &Accounts) -> Result<(), ApiError> {
    if accounts.settings().enable_3pid_changes {
        return Ok(());
    }
    Err(ApiError::client(
        StatusCode::BAD_REQUEST,
        ErrorKind::Forbidden,
        "3PID changes are disabled on this server",
    ))
}
