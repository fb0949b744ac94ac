//! `PUT /_matrix/client/v3/profile/{userId}/{keyName}` (client-server API, "Profiles").

use axum::{Json, extract::State};
use myelin_accounts::{Accounts, profile};
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_rooms::{Rooms, unfinished};
use serde_json::json;

use crate::Answer;

#[tracing::instrument(name = "client.profile.set_profile_field", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(rate_limits): State<RateLimits>,
    State(rooms): State<Rooms>,
    raw: Raw,
) -> Answer {
    let (user_id, field) = (super::user_id(&raw)?, raw.path_arg(1)?);
    let actor = super::actor_for(&raw, &user_id, field)?;
    let actor = actor.active()?;
    profile::check_key(field).map_err(super::to_api_error)?;
    let value = raw
        .json_object(false)?
        .remove(field)
        .ok_or_else(|| ApiError::missing_param(format!("Missing key '{field}'")))?;
    super::check_limits(&rate_limits, &raw, field)?;
    let work = profile::set_field(&accounts, actor, field, Some(value))
        .await
        .map_err(super::to_api_error)?;
    if let Some(work) = work {
        unfinished::finish(&rooms, &work).await;
    }
    Ok(Json(json!({})))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::test_server;

    const ALICE: &str = "/_matrix/client/v3/profile/@alice:example.org";

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn known_and_unknown_fields(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let put = async |field: &str, value: serde_json::Value| {
            server.put(&format!("{ALICE}/{field}"), Some(&alice), json!({ field: value })).await
        };

        put("displayname", json!("Alice")).await.ok();
        put("m.tz", json!("Europe/Berlin")).await.ok();
        assert_eq!(put("displayname", json!(7)).await.error(), (400, "M_INVALID_PARAM"));
        assert_eq!(put("Bad", json!(7)).await.error(), (400, "M_INVALID_PARAM"));
        assert_eq!(
            put("big", json!("x".repeat(66_000))).await.error(),
            (400, "M_PROFILE_TOO_LARGE")
        );
        let long = "k".repeat(256);
        assert_eq!(put(&long, json!(1)).await.error(), (400, "M_KEY_TOO_LARGE"));

        let profile = server.get(ALICE, None).await.ok();
        assert_eq!(profile, json!({ "displayname": "Alice", "m.tz": "Europe/Berlin" }));
        server.delete(&format!("{ALICE}/m.tz"), Some(&alice)).await.ok();
        let gone = server.get(&format!("{ALICE}/m.tz"), None).await;
        assert_eq!(gone.error(), (404, "M_NOT_FOUND"));
        let nobody = server.get("/_matrix/client/v3/profile/@nobody:example.org", None).await;
        assert_eq!(nobody.error(), (404, "M_NOT_FOUND"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn only_ones_own(pool: PgPool) {
        let server = test_server::open(pool).await;
        server.user("alice").await;
        let bob = server.user("bob").await;
        let (path, body) = (format!("{ALICE}/displayname"), json!({ "displayname": "B" }));
        assert_eq!(server.put(&path, Some(&bob), body).await.error(), (403, "M_FORBIDDEN"));
    }
}
