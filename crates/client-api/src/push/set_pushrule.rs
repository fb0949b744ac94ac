//! `PUT` and `DELETE /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`, and `PUT` of its `enabled` and `actions`
//! (client-server API, "Push Rules: API").

use axum::{Json, extract::State};
use myelin_accounts::{
    Accounts,
    push_rules::{self, RuleName},
};
use myelin_http::{ApiError, Raw};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    rule_path::{named, unrecognized},
    to_api_error,
};
use crate::Answer;

#[derive(Deserialize)]
struct Query {
    before: Option<String>,
    after: Option<String>,
}

#[tracing::instrument(name = "client.push.set_pushrule", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn set(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    let (name, attribute) = named(&raw)?;
    if let Some(attribute) = attribute {
        return set_attribute(&accounts, &raw, &name, attribute).await;
    }
    let query = raw.query::<Query>()?;
    let body = raw.json_object(false)?;
    push_rules::set(
        &accounts,
        &raw.requester.user_id,
        &name,
        &body,
        query.before.as_deref(),
        query.after.as_deref(),
    )
    .await
    .map_err(to_api_error)?;
    Ok(Json(json!({})))
}

#[tracing::instrument(name = "client.push.delete_pushrule", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn delete(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    match named(&raw)? {
        (name, None) => push_rules::delete(&accounts, &raw.requester.user_id, &name)
            .await
            .map_err(to_api_error)?,
        // Who would take away an attribute does not lose the rule.
        (_, Some(_)) => return Err(unrecognized()),
    }
    Ok(Json(json!({})))
}

async fn set_attribute(
    accounts: &Accounts,
    raw: &Raw,
    name: &RuleName<'_>,
    attribute: &str,
) -> Answer {
    let body: Value = raw.json()?;
    let user_id = &raw.requester.user_id;
    match attribute {
        "enabled" => {
            // Older clients send the bare value.
            let enabled = body.get("enabled").unwrap_or(&body).as_bool();
            let enabled =
                enabled.ok_or_else(|| ApiError::bad_json("Value for 'enabled' must be boolean"))?;
            push_rules::set_enabled(accounts, user_id, name, enabled).await
        }
        "actions" => {
            let actions =
                body.get("actions").ok_or_else(|| ApiError::missing_param("Missing 'actions'"))?;
            push_rules::set_actions(accounts, user_id, name, actions).await
        }
        _ => return Err(unrecognized()),
    }
    .map_err(to_api_error)?;
    Ok(Json(json!({})))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::test_server;

    const PATH: &str = "/_matrix/client/v3/pushrules/global";

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn rules_stand_where_they_are_put(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let put = async |rest: &str, body| {
            server.put(&format!("{PATH}/{rest}"), Some(&alice), body).await
        };
        let content = |pattern: &str| json!({ "pattern": pattern, "actions": ["dont_notify"] });

        put("content/one", content("1")).await.ok();
        put("content/two", content("2")).await.ok();
        put("content/three?after=two", content("3")).await.ok();
        put("content/one?before=two", content("1")).await.ok();
        assert_eq!(put("content/four?after=nope", content("4")).await.status, 400);
        assert_eq!(put("content/.mine", content("5")).await.error(), (400, "M_INVALID_PARAM"));

        let all = server.get(&format!("{PATH}/content/"), Some(&alice)).await.ok();
        let ids: Vec<&str> =
            all.as_array().unwrap().iter().map(|r| r["rule_id"].as_str().unwrap()).collect();
        assert_eq!(&ids[..3], ["one", "two", "three"]);
        assert_eq!(all[0]["actions"], json!(["dont_notify"]));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn rules_are_switched_and_deleted(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let room = format!("{PATH}/room/!foo:example.com");
        let master = format!("{PATH}/override/.m.rule.master");

        server.put(&room, Some(&alice), json!({ "actions": ["notify"] })).await.ok();
        server
            .put(&format!("{room}/enabled"), Some(&alice), json!({ "enabled": false }))
            .await
            .ok();
        server
            .put(&format!("{master}/enabled"), Some(&alice), json!({ "enabled": true }))
            .await
            .ok();
        assert_eq!(
            server.get(&format!("{room}/enabled"), Some(&alice)).await.ok(),
            json!({ "enabled": false })
        );
        assert_eq!(server.get(&master, Some(&alice)).await.ok()["enabled"], true);
        let bad = server
            .put(&format!("{room}/actions"), Some(&alice), json!({ "actions": ["magic"] }))
            .await;
        assert_eq!(bad.error(), (400, "M_BAD_JSON"));

        assert_eq!(server.delete(&master, Some(&alice)).await.error(), (404, "M_NOT_FOUND"));
        server.delete(&room, Some(&alice)).await.ok();
        assert_eq!(server.delete(&room, Some(&alice)).await.error(), (404, "M_NOT_FOUND"));
        let all = server.get("/_matrix/client/v3/pushrules/", Some(&alice)).await.ok();
        assert_eq!(all["global"]["room"], json!([]));
    }
}
