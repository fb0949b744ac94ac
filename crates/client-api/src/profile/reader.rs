//! The reader of a profile, on servers that ask for one (`require_auth_for_profile_requests`). Others do not even look
//! at the token.

use axum::extract::{FromRef, FromRequestParts, MatchedPath};
use http::request::Parts;
use myelin_accounts::Accounts;
use myelin_http::{ApiError, Authenticate as _};
use ruma::{OwnedUserId, api::auth_scheme::AccessToken};

/// The reader, where the server asks.
pub(super) struct Reader(pub(super) Option<OwnedUserId>);

impl<S> FromRequestParts<S> for Reader
where
    S: Send + Sync,
    Accounts: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let accounts = Accounts::from_ref(state);
        if !accounts.settings().require_auth_for_profile_requests {
            return Ok(Self(None));
        }
        let route = parts.extensions.get::<MatchedPath>().cloned();
        let route = route.as_ref().map_or("", MatchedPath::as_str);
        let session = AccessToken::authenticate(&accounts, parts, route).await?;
        Ok(Self(Some(session.user_id)))
    }
}

#[cfg(test)]
mod tests {
    use myelin_accounts::AccountsSettings;
    use serde_json::json;
    use sqlx::PgPool;

    use crate::{test_rooms::TestRoom, test_server};

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn profiles_can_be_for_users_who_share_a_room(pool: PgPool) {
        let settings = AccountsSettings {
            require_auth_for_profile_requests: true,
            limit_profile_requests_to_users_who_share_rooms: true,
            ..AccountsSettings::default()
        };
        let server = test_server::open_with(pool, settings, |_| {}).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let profile = "/_matrix/client/v3/profile/@alice:example.org";
        let field = &format!("{profile}/displayname");
        server.put(field, Some(&alice), json!({"displayname": "Alice"})).await.ok();

        for path in [profile, field] {
            assert_eq!(server.get(path, None).await.error(), (401, "M_MISSING_TOKEN"));
            assert_eq!(server.get(path, Some(&bob)).await.error(), (403, "M_FORBIDDEN"));
            assert_eq!(server.get(path, Some(&alice)).await.ok()["displayname"], "Alice");
        }
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        room.join(&bob).await;

        assert_eq!(server.get(profile, Some(&bob)).await.ok()["displayname"], "Alice");
        assert_eq!(server.get(field, Some(&bob)).await.ok()["displayname"], "Alice");
    }
}
