//! `POST /_matrix/client/v3/user/{userId}/filter` (client-server API, "Filtering").

use axum::{Json, extract::State};
use myelin_accounts::{
    Accounts,
    filters::{self, AddFilterError},
};
use myelin_http::{ApiError, Raw};
use serde_json::json;

use crate::Answer;

#[tracing::instrument(name = "client.user_data.create_filter", skip_all, fields(user.id = %raw.requester.user_id))]
pub(crate) async fn handler(State(accounts): State<Accounts>, raw: Raw) -> Answer {
    super::check_caller(&raw, "Cannot create filters for other users")?;
    let filter = raw.json_object(false)?;
    let filter_id =
        filters::add(&accounts, &raw.requester.user_id, &filter).await.map_err(to_api_error)?;
    Ok(Json(json!({ "filter_id": filter_id.to_string() })))
}

fn to_api_error(error: AddFilterError) -> ApiError {
    let message = error.to_string();
    match error {
        AddFilterError::Invalid(_) => ApiError::bad_json(message),
        AddFilterError::TooLarge => ApiError::too_large(message),
        AddFilterError::Storage(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::PgPool;

    use crate::test_server;

    const PATH: &str = "/_matrix/client/v3/user/@alice:example.org/filter";

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn numbers_begin_at_0_and_are_kept(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let filter = |limit| json!({ "room": { "timeline": { "limit": limit } } });
        let add = async |limit| {
            let body = server.post(PATH, Some(&alice), filter(limit)).await.ok();
            body["filter_id"].as_str().unwrap().to_owned()
        };

        assert_eq!([add(1).await, add(2).await, add(1).await], ["0", "1", "0"]);

        assert_eq!(server.get(&format!("{PATH}/1"), Some(&alice)).await.ok(), filter(2));
        let unknown = server.get(&format!("{PATH}/7"), Some(&alice)).await;
        assert_eq!(unknown.error(), (404, "M_NOT_FOUND"));
        let invalid = server.post(PATH, Some(&alice), json!({ "presence": "no" })).await;
        assert_eq!(invalid.error(), (400, "M_BAD_JSON"));
    }
}
