//! `GET /_matrix/client/v3/user/{userId}/account_data/{type}` and `GET
//! /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}` (client-server API, "Client Config").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, push_rules, user_data};
use myelin_http::{ApiError, Raw};
use myelin_model::RoomNid;
use myelin_rooms::Rooms;

use crate::Answer;

#[tracing::instrument(name = "client.user_data.get_account_data", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn global(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    super::check_caller(&raw, "Cannot get account data for other users.")?;
    let data_type = raw.path_arg(1)?;
    if data_type == push_rules::PUSH_RULES {
        let rules =
            push_rules::get(&accounts, &raw.requester.user_id).await.map_err(ApiError::internal)?;
        return Ok(Json(rules));
    }
    get(&accounts, &raw, None, data_type).await
}

#[tracing::instrument(name = "client.user_data.get_room_account_data", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn room(
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    raw: Raw,
) -> Answer {
    super::check_caller(&raw, "Cannot get account data for other users.")?;
    let room_nid = super::room_nid(&rooms, &raw).await?;
    get(&accounts, &raw, Some(room_nid), raw.path_arg(2)?).await
}

async fn get(accounts: &Accounts, raw: &Raw, room_nid: Option<RoomNid>, data_type: &str) -> Answer {
    let content = user_data::find(accounts, &raw.requester.user_id, room_nid, data_type)
        .await?
        .ok_or_else(|| ApiError::not_found("Account data not found"))?;
    let content = serde_json::from_str(content.get()).map_err(ApiError::internal)?;
    Ok(Json(content))
}
