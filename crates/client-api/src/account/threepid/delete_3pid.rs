//! `POST /_matrix/client/v3/account/3pid/delete` (client-server API, "Adding Account Administrative Contact
//! Information").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, threepids};
use myelin_http::{ApiError, Raw};
use serde_json::{Value, json};

use crate::Answer;

#[tracing::instrument(name = "client.account.delete_3pid", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    let body = raw.json_object(false)?;
    super::check_enabled(&accounts)?;
    let text = |key: &str| {
        body.get(key)
            .and_then(Value::as_str)
            .ok_or_else(|| ApiError::missing_param(format!("Missing param {key}")))
    };
    let (medium, address) = (text("medium")?, text("address")?);
    threepids::delete(&accounts, &raw.requester.user_id, medium, address).await?;
    Ok(Json(json!({ "id_server_unbind_result": "success" })))
}
