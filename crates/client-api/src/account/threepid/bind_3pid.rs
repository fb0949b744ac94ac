//! `POST /_matrix/client/v3/account/3pid/bind` (client-server API, "Adding Account Administrative Contact Information").

use axum::extract::State;
use myelin_accounts::Accounts;
use myelin_http::Raw;

use crate::Answer;

#[tracing::instrument(name = "client.account.bind_3pid", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    raw.json_object(false)?;
    super::check_enabled(&accounts)?;
    Err(super::not_validated())
}
