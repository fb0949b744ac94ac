//! `GET /_matrix/client/v3/pushrules/`, and of its parts: `global/`, `global/{kind}/`, `global/{kind}/{ruleId}` and
//! `global/{kind}/{ruleId}/{attribute}` (client-server API, "Push Rules: API").

use axum::{Json, extract::State};
use myelin_accounts::{
    Accounts,
    push_rules::{self, RuleName},
};
use myelin_http::{ApiError, Raw};
use serde_json::{Value, json};

use super::{
    rule_path::{Asked, asked, unrecognized},
    to_api_error,
};
use crate::Answer;

#[tracing::instrument(name = "client.push.get_pushrules", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    let value = match asked(&raw)? {
        Asked::All => all(&accounts, &raw).await?,
        Asked::Global => global(&accounts, &raw).await?,
        Asked::Kind(kind) => {
            let mut rules = global(&accounts, &raw).await?;
            rules.get_mut(kind).map(Value::take).ok_or_else(unrecognized)?
        }
        Asked::Rule(name) => find(&accounts, &raw, &name).await?,
        Asked::Attribute(name, attribute) => {
            let rule = find(&accounts, &raw, &name).await?;
            let value = rule.get(attribute).ok_or_else(unrecognized)?;
            json!({ attribute: value })
        }
    };
    Ok(Json(value))
}

async fn all(accounts: &Accounts, raw: &Raw) -> Result<Value, ApiError> {
    push_rules::get(accounts, &raw.requester.user_id).await.map_err(to_api_error)
}

async fn global(accounts: &Accounts, raw: &Raw) -> Result<Value, ApiError> {
    let mut rules = all(accounts, raw).await?;
    Ok(rules.get_mut("global").map(Value::take).unwrap_or_default())
}

async fn find(accounts: &Accounts, raw: &Raw, name: &RuleName<'_>) -> Result<Value, ApiError> {
    let found = push_rules::find(accounts, &raw.requester.user_id, name).await;
    match found {
        Ok(rule) => rule.ok_or_else(|| ApiError::not_found("Not found")),
        Err(push_rules::PushRuleError::UnknownKind(_)) => Err(unrecognized()),
        Err(error) => Err(to_api_error(error)),
    }
}
