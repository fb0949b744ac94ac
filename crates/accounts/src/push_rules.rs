//! Push rules: what a user wants to be told of (client-server API, "Push rules").
//!
//! A user who changed nothing has nothing stored. Whoever did has the whole set as account data of type
//! `m.push_rules`, in the form in which clients see it, so that nothing a client wrote is lost.

use std::sync::Arc;

use myelin_events::account_data::{PUSH_RULE_KINDS, push_rules_json, rule_id};
use myelin_model::limits::PUSH_RULES_SIZE_BYTES_MAX;
use myelin_storage::StorageError;
use ruma::UserId;
use serde_json::{Map, Value, json, value::RawValue};

use crate::Accounts;

pub use myelin_events::account_data::PUSH_RULES;

/// The length of a rule's ID.
const RULE_ID_LENGTH_BYTES_MAX: usize = 255;

/// The reason why a rule is not found or not changed.
#[derive(Debug, thiserror::Error)]
pub enum PushRuleError {
    /// There is no such kind.
    #[error("Unknown template: {0}")]
    UnknownKind(String),
    /// There is no such rule.
    #[error("Unknown rule")]
    NotFound,
    /// The rule to stand before or after does not exist.
    #[error("before/after rule not found: {0}")]
    NeighbourNotFound(String),
    /// Names with a dot in front are the server's.
    #[error("cannot add new rule_ids that start with '.'")]
    Reserved,
    /// The rule's ID has a slash, or is too long.
    #[error("rule_id may not contain slashes")]
    InvalidId,
    /// The rule lacks something, or something is wrong.
    #[error("{0}")]
    Invalid(&'static str),
    /// Users have no rules of this kind of their own.
    #[error("user-defined rules using `postcontent` are not accepted")]
    ServersKind,
    /// All rules together are too large.
    #[error("Too many push rules")]
    TooLarge,
    /// The rules are not what they must be. This is a bug.
    #[error("push rules do not serialize")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The name of one push rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleName<'a> {
    /// One of [`PUSH_RULE_KINDS`].
    pub kind: &'a str,
    /// The rule's ID, which names it among the rules of its kind.
    pub rule_id: &'a str,
}

/// All rules of a user: `{"global": {kind: [rule]}}`.
pub async fn get(accounts: &Accounts, user_id: &UserId) -> Result<Value, PushRuleError> {
    let stored = accounts.db().account_data().find(user_id, None, PUSH_RULES).await?;
    Ok(json!({ "global": read(user_id, stored.as_deref()) }))
}

/// Find one rule.
pub async fn find(
    accounts: &Accounts,
    user_id: &UserId,
    name: &RuleName<'_>,
) -> Result<Option<Value>, PushRuleError> {
    check_kind(name.kind)?;
    let stored = accounts.db().account_data().find(user_id, None, PUSH_RULES).await?;
    let rules = read(user_id, stored.as_deref());
    let list = rules.get(name.kind).and_then(Value::as_array);
    Ok(list.and_then(|list| list.iter().find(|rule| rule_id(rule) == Some(name.rule_id))).cloned())
}

/// Add a rule of the user's own, or replace it. It stands before or after another, or else first of its kind.
pub async fn set(
    accounts: &Accounts,
    user_id: &UserId,
    name: &RuleName<'_>,
    body: &Map<String, Value>,
    before: Option<&str>,
    after: Option<&str>,
) -> Result<(), PushRuleError> {
    check_kind(name.kind)?;
    if name.rule_id.contains(['/', '\\']) || name.rule_id.len() > RULE_ID_LENGTH_BYTES_MAX {
        return Err(PushRuleError::InvalidId);
    }
    if name.rule_id.starts_with('.') {
        return Err(PushRuleError::Reserved);
    }
    let mut rule = make(name, body)?;
    change(accounts, user_id, name.kind, |list| {
        let old = list.iter().position(|rule| rule_id(rule) == Some(name.rule_id));
        if let Some(old) = old
            && let Some(enabled) = list.get(old).and_then(|rule| rule.get("enabled")).cloned()
        {
            rule.insert("enabled".to_owned(), enabled);
        }
        let find = |list: &[Value], id: &str| {
            list.iter()
                .position(|rule| rule_id(rule) == Some(id) && !is_default(rule))
                .ok_or_else(|| PushRuleError::NeighbourNotFound(id.to_owned()))
        };
        let place = match (before, after, old) {
            (Some(before), _, _) => find(list, before)?,
            (None, Some(after), _) => find(list, after)?.saturating_add(1),
            (None, None, Some(old)) => {
                if let Some(slot) = list.get_mut(old) {
                    *slot = Value::Object(rule);
                }
                return Ok(());
            }
            // `.m.rule.master` comes before the user's own rules, the server's others after them.
            (None, None, None) => {
                list.iter().take_while(|rule| rule_id(rule) == Some(".m.rule.master")).count()
            }
        };
        list.insert(place.min(list.len()), Value::Object(rule));
        if let Some(old) = old {
            list.remove(if old >= place { old.saturating_add(1) } else { old });
        }
        Ok(())
    })
    .await
}

/// Delete a rule of the user's own.
pub async fn delete(
    accounts: &Accounts,
    user_id: &UserId,
    name: &RuleName<'_>,
) -> Result<(), PushRuleError> {
    if check_kind(name.kind).is_err() {
        return Err(PushRuleError::NotFound);
    }
    change(accounts, user_id, name.kind, |list| {
        // The server's own rules are none that a user could delete.
        let is_meant = |rule: &Value| rule_id(rule) == Some(name.rule_id) && !is_default(rule);
        let place = list.iter().position(is_meant).ok_or(PushRuleError::NotFound)?;
        list.remove(place);
        Ok(())
    })
    .await
}

/// Turn a rule on or off.
pub async fn set_enabled(
    accounts: &Accounts,
    user_id: &UserId,
    name: &RuleName<'_>,
    enabled: bool,
) -> Result<(), PushRuleError> {
    set_attribute(accounts, user_id, name, "enabled", Value::Bool(enabled)).await
}

/// Set the actions of a rule.
pub async fn set_actions(
    accounts: &Accounts,
    user_id: &UserId,
    name: &RuleName<'_>,
    actions: &Value,
) -> Result<(), PushRuleError> {
    check_actions(actions)?;
    set_attribute(accounts, user_id, name, "actions", actions.clone()).await
}

async fn set_attribute(
    accounts: &Accounts,
    user_id: &UserId,
    name: &RuleName<'_>,
    attribute: &str,
    value: Value,
) -> Result<(), PushRuleError> {
    check_kind(name.kind)?;
    change(accounts, user_id, name.kind, |list| {
        let rule = list
            .iter_mut()
            .find(|rule| rule_id(rule) == Some(name.rule_id))
            .and_then(Value::as_object_mut)
            .ok_or(PushRuleError::NotFound)?;
        rule.insert(attribute.to_owned(), value);
        Ok(())
    })
    .await
}

/// Change the rules of one kind, and announce it.
async fn change(
    accounts: &Accounts,
    user_id: &UserId,
    kind: &str,
    change: impl FnOnce(&mut Vec<Value>) -> Result<(), PushRuleError> + Send,
) -> Result<(), PushRuleError> {
    let mut tx = accounts.db().begin().await?;
    let stored = tx.account_data().find_for_update(user_id, None, PUSH_RULES).await?;
    let mut rules = read(user_id, stored.as_deref());
    let list = rules
        .get_mut(kind)
        .and_then(Value::as_array_mut)
        .ok_or_else(|| PushRuleError::UnknownKind(kind.to_owned()))?;
    change(list)?;
    let json = serde_json::to_string(&json!({ "global": rules }))?;
    if json.len() > PUSH_RULES_SIZE_BYTES_MAX {
        return Err(PushRuleError::TooLarge);
    }
    let content: Arc<RawValue> = RawValue::from_string(json)?.into();
    tx.account_data().set(user_id, None, PUSH_RULES, content).await?;
    tx.commit().await?;
    Ok(())
}

/// The rules as stored, with those of the server that are newer than what is stored.
fn read(user_id: &UserId, stored: Option<&RawValue>) -> Map<String, Value> {
    push_rules_json(stored.map(RawValue::get), user_id)
}

fn is_default(rule: &Value) -> bool {
    rule.get("default").and_then(Value::as_bool).unwrap_or_default()
}

fn check_kind(kind: &str) -> Result<(), PushRuleError> {
    if PUSH_RULE_KINDS.contains(&kind) {
        Ok(())
    } else {
        Err(PushRuleError::UnknownKind(kind.to_owned()))
    }
}

/// A rule of the user's own from a request's body.
fn make(
    name: &RuleName<'_>,
    body: &Map<String, Value>,
) -> Result<Map<String, Value>, PushRuleError> {
    let actions = body.get("actions").ok_or(PushRuleError::Invalid("No actions found"))?;
    check_actions(actions)?;
    let mut rule = Map::new();
    match name.kind {
        "postcontent" => return Err(PushRuleError::ServersKind),
        "override" | "underride" => {
            let conditions =
                body.get("conditions").ok_or(PushRuleError::Invalid("Missing 'conditions'"))?;
            let list = conditions
                .as_array()
                .ok_or(PushRuleError::Invalid("'conditions' must be a list"))?;
            if !list.iter().all(|condition| condition.get("kind").is_some_and(Value::is_string)) {
                return Err(PushRuleError::Invalid("Condition without 'kind'"));
            }
            rule.insert("conditions".to_owned(), conditions.clone());
        }
        "content" => {
            let pattern = body
                .get("pattern")
                .and_then(Value::as_str)
                .ok_or(PushRuleError::Invalid("Content rule missing 'pattern'"))?;
            rule.insert("pattern".to_owned(), pattern.into());
        }
        _ => {}
    }
    rule.insert("actions".to_owned(), actions.clone());
    rule.insert("default".to_owned(), Value::Bool(false));
    rule.insert("enabled".to_owned(), Value::Bool(true));
    rule.insert("rule_id".to_owned(), name.rule_id.into());
    Ok(rule)
}

fn check_actions(actions: &Value) -> Result<(), PushRuleError> {
    let list = actions.as_array().ok_or(PushRuleError::Invalid("No actions found"))?;
    let is_action = |action: &Value| match action {
        Value::String(action) => {
            matches!(
                action.as_str(),
                "notify" | "dont_notify" | "coalesce" | "org.matrix.msc3768.notify_in_app"
            )
        }
        Value::Object(action) => action.contains_key("set_tweak"),
        _ => false,
    };
    if list.iter().all(is_action) {
        Ok(())
    } else {
        Err(PushRuleError::Invalid("Unrecognised action"))
    }
}
