//! `GET /_matrix/client/v3/pushrules/`, and of its parts: `global/`, `global/{kind}/`, `global/{kind}/{ruleId}` and
//! `global/{kind}/{ruleId}/{enabled,actions}` (client-server API, "Push Rules: API").

use axum::{Json, extract::State};
use myelin_accounts::{
    Accounts,
    push_rules::{self, RuleName},
};
use myelin_http::{ApiError, Raw};
use serde_json::{Value, json};

use super::to_api_error;
use crate::Answer;

#[tracing::instrument(name = "client.push.get_pushrules_all", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn all(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    let rules = push_rules::get(&accounts, &raw.requester.user_id).await.map_err(to_api_error)?;
    Ok(Json(rules))
}

#[tracing::instrument(name = "client.push.get_pushrules_global_scope", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn global(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    let Json(mut rules) = all(State(accounts), raw).await?;
    Ok(Json(rules.get_mut("global").map(Value::take).unwrap_or_default()))
}

#[tracing::instrument(name = "client.push.get_pushrules_kind", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn kind(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    let kind = raw.path_arg(0)?.to_owned();
    let Json(mut rules) = global(State(accounts), raw).await?;
    let list = rules.get_mut(&kind).map(Value::take);
    Ok(Json(list.ok_or_else(ApiError::unrecognized)?))
}

#[tracing::instrument(name = "client.push.get_pushrule", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn rule(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    Ok(Json(find(&accounts, &raw).await?))
}

#[tracing::instrument(name = "client.push.get_pushrule_attribute", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn attribute(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    let rule = find(&accounts, &raw).await?;
    let name = raw.path_arg(2)?;
    let value = rule.get(name).ok_or_else(ApiError::unrecognized)?;
    Ok(Json(json!({ name: value })))
}

async fn find(accounts: &Accounts, raw: &Raw) -> Result<Value, ApiError> {
    let name = RuleName { kind: raw.path_arg(0)?, rule_id: raw.path_arg(1)? };
    push_rules::find(accounts, &raw.requester.user_id, &name)
        .await
        .map_err(to_api_error)?
        .ok_or_else(|| ApiError::not_found("Unknown rule"))
}
