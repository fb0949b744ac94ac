//! `GET /_matrix/client/v3/account/3pid` (client-server API, "Adding Account Administrative Contact Information").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, threepids};
use myelin_http::Raw;
use serde_json::{Value, json};

use crate::Answer;

#[tracing::instrument(name = "client.account.get_3pids", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    let threepids: Vec<Value> = threepids::list(&accounts, &raw.requester.user_id)
        .await?
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
