//! `POST /_matrix/client/v3/user_directory/search` (client-server API, "User Directory").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, user_directory};
use myelin_http::{ApiError, RateLimits, Raw};
use serde_json::{Map, Value, json};

use crate::Answer;

#[tracing::instrument(name = "client.user_directory.search_users", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(rate_limits): State<RateLimits>,
    raw: Raw,
) -> Answer {
    rate_limits.user_directory.check_caller(&raw.requester)?;
    let body = raw.json_object(false)?;
    let term = match body.get("search_term") {
        Some(Value::String(term)) => term,
        Some(_) => return Err(ApiError::bad_json("`search_term` must be a string")),
        None => return Err(ApiError::missing_param("`search_term` is required field")),
    };
    let limit = match body.get("limit") {
        None => None,
        Some(limit) => Some(
            limit.as_u64().ok_or_else(|| ApiError::invalid_param("`limit` must be a number"))?,
        ),
    };
    let found = user_directory::search(&accounts, &raw.requester.user_id, term, limit).await?;
    let results: Vec<Value> = found
        .users
        .into_iter()
        .map(|user| {
            let mut result = Map::new();
            result.insert("user_id".to_owned(), user.user_id.as_str().into());
            result.extend(user.displayname.map(|name| ("display_name".to_owned(), name.into())));
            result.extend(user.avatar_url.map(|url| ("avatar_url".to_owned(), url.into())));
            Value::Object(result)
        })
        .collect();
    Ok(Json(json!({ "results": results, "limited": found.limited })))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::test_server;

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn finds_whom_one_may_know(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = test_server::register(&server, "alice", "secret").await;
        let bob = test_server::register(&server, "bob", "secret").await;
        let search = async |term: &str| {
            let body = json!({ "search_term": term });
            let path = "/_matrix/client/v3/user_directory/search";
            server.post(path, Some(&bob), body).await.ok()["results"].as_array().unwrap().len()
        };
        let name = json!({ "displayname": "Wonder Land" });
        let path = "/_matrix/client/v3/profile/@alice:example.org/displayname";
        server.put(path, Some(&alice), name).await.ok();
        assert_eq!(search("alice").await, 0);

        let room = json!({ "preset": "private_chat", "invite": [bob.user_id] });
        let room = server.post("/_matrix/client/v3/createRoom", Some(&alice), room).await.ok();
        let join = format!("/_matrix/client/v3/join/{}", room["room_id"].as_str().unwrap());
        server.post(&join, Some(&bob), json!({})).await.ok();

        for (term, count) in [
            ("ali", 1),
            ("@ALICE:exa", 1),
            ("land", 1),
            ("wonder la", 1),
            ("and", 0),
            ("%", 0),
            ("bob", 0),
        ] {
            assert_eq!(search(term).await, count, "{term}");
        }
        let name = json!({ "displayname": "Александр" });
        server.put(path, Some(&alice), name).await.ok();
        for term in ["Александр", "александр", "АЛЕКСАНДР", "алекс"]
        {
            assert_eq!(search(term).await, 1, "{term}");
        }
        assert_eq!(search("лекс").await, 0);
    }
}
