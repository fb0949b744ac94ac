//! `GET /_matrix/client/v3/capabilities` (client-server API, "Capabilities negotiation").

use axum::{Json, extract::State};
use myelin_accounts::Accounts;
use myelin_http::Raw;
use myelin_rooms::Rooms;
use serde_json::{Value, json};

use crate::Answer;

/// The room versions that are served. All are stable.
const ROOM_VERSIONS: [&str; 12] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];

#[tracing::instrument(name = "client.server.get_capabilities", skip_all)]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(rooms): State<Rooms>,
    _raw: Raw,
) -> Answer {
    let settings = accounts.settings();
    let available: serde_json::Map<String, Value> =
        ROOM_VERSIONS.iter().map(|version| ((*version).to_owned(), "stable".into())).collect();
    let mut disallowed = vec![];
    if !settings.enable_set_displayname {
        disallowed.push("displayname");
    }
    if !settings.enable_set_avatar_url {
        disallowed.push("avatar_url");
    }
    let mut profile_fields = json!({ "enabled": true });
    if !disallowed.is_empty() {
        profile_fields = json!({ "enabled": true, "disallowed": disallowed });
    }
    Ok(Json(json!({ "capabilities": {
        "m.room_versions": {
            "default": rooms.settings().default_version.as_str(),
            "available": available,
        },
        "m.change_password": { "enabled": settings.password_reauth_enabled },
        "m.set_displayname": { "enabled": settings.enable_set_displayname },
        "m.set_avatar_url": { "enabled": settings.enable_set_avatar_url },
        "m.3pid_changes": { "enabled": settings.enable_3pid_changes },
        "m.get_login_token": { "enabled": settings.login_via_existing_session.enabled },
        "m.profile_fields": profile_fields,
    }})))
}

#[cfg(test)]
mod tests {
    use myelin_accounts::AccountsSettings;
    use serde_json::json;
    use sqlx::PgPool;

    use crate::test_server;

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn third_party_ids_can_be_fixed(pool: PgPool) {
        let settings =
            AccountsSettings { enable_3pid_changes: false, ..AccountsSettings::default() };
        let server = test_server::open_with(pool, settings, |_| {}).await;
        let alice = server.user("alice").await;

        let body = server.get("/_matrix/client/v3/capabilities", Some(&alice)).await.ok();
        assert_eq!(body["capabilities"]["m.3pid_changes"]["enabled"], false);
        let body = json!({"medium": "email", "address": "a@b.c", "client_secret": "s", "sid": "1",
            "email": "a@b.c", "send_attempt": 1, "id_server": "id.example", "id_access_token": "t"});
        for end in ["add", "bind", "delete", "email/requestToken"] {
            let path = format!("/_matrix/client/v3/account/3pid/{end}");
            let refused = server.post(&path, Some(&alice), body.clone()).await;
            assert_eq!(refused.error(), (400, "M_FORBIDDEN"), "{end}");
        }
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn names_the_room_versions(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let body = server.get("/_matrix/client/v3/capabilities", Some(&alice)).await.ok();
        let versions = &body["capabilities"]["m.room_versions"];
        assert_eq!(
            (&versions["default"], &versions["available"]["1"]),
            (&"12".into(), &"stable".into())
        );
    }
}
