//! The database tells nobody a secret: whoever reads a backup gets into no account.

use myelin_accounts::{AccountsSettings, LoginTokenSettings};
use myelin_testing::{TestServer, TestUser};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::test_server;

/// All rows of all tables, as text. Bytes are in hexadecimal.
async fn dump(pool: &PgPool) -> String {
    let tables = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(pool).await.unwrap();
    let mut rows = String::new();
    for table in tables {
        let sql = format!("SELECT coalesce(string_agg(rows::text, ' '), '') FROM {table} rows");
        let text: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(pool).await.unwrap();
        rows += &format!("{table}: {text}\n");
    }
    rows
}

/// Ask for something that needs a proof of who asks, and give the wrong one: the request waits for the right one.
async fn wait_for_proof(server: &TestServer, user: Option<&TestUser>, path: &str, mut body: Value) {
    let path = format!("/_matrix/client/{path}");
    let challenge = server.post(&path, user, body.clone()).await;
    assert_eq!(challenge.status, 401, "{path}: {}", challenge.text);
    body["auth"] = json!({ "type": "m.login.password", "session": challenge.body["session"],
        "identifier": { "type": "m.id.user", "user": "alice" }, "password": "wrong-guess" });
    server.post(&path, user, body).await;
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn no_table_tells_a_secret(pool: PgPool) {
    let settings = AccountsSettings {
        enable_registration: true,
        login_via_existing_session: LoginTokenSettings {
            enabled: true,
            require_ui_auth: true,
            ..LoginTokenSettings::default()
        },
        ..AccountsSettings::default()
    };
    let server = test_server::open_with(pool.clone(), settings, |_| {}).await;
    let alice = test_server::register(&server, "alice", "first-password").await;
    let password = json!({ "type": "m.login.password", "password": "first-password",
        "identifier": { "type": "m.id.user", "user": "alice" } });
    let mut login = password.clone();
    login["refresh_token"] = json!(true);
    let login = server.post("/_matrix/client/v3/login", None, login).await.ok();
    let refreshed = json!({ "refresh_token": login["refresh_token"] });
    let refreshed = server.post("/_matrix/client/v3/refresh", None, refreshed).await.ok();
    let openid = format!("/_matrix/client/v3/user/{}/openid/request_token", alice.user_id);
    let openid = server.post(&openid, Some(&alice), json!({})).await.ok();
    let once = "/_matrix/client/v1/login/get_token";
    let once = server.post(once, Some(&alice), json!({ "auth": password })).await.ok();

    let bob = json!({ "username": "bob", "password": "waiting-password" });
    wait_for_proof(&server, None, "v3/register", bob).await;
    let new = json!({ "new_password": "next-password" });
    wait_for_proof(&server, Some(&alice), "v3/account/password", new).await;
    wait_for_proof(&server, Some(&alice), "v3/account/deactivate", json!({})).await;
    wait_for_proof(&server, Some(&alice), "v1/login/get_token", json!({})).await;

    let stored = dump(&pool).await;
    assert!(
        stored.contains("@alice:example.org") && stored.contains("uia_sessions: ("),
        "{stored}"
    );
    let tokens = [
        &login["access_token"],
        &login["refresh_token"],
        &refreshed["access_token"],
        &refreshed["refresh_token"],
        &openid["access_token"],
        &once["login_token"],
    ];
    let passwords = ["first-password", "waiting-password", "next-password", "wrong-guess"];
    let tokens = tokens.map(|token| token.as_str().unwrap());
    for secret in tokens.into_iter().chain(passwords).chain([alice.token.as_str()]) {
        assert!(!stored.contains(secret), "{secret} is in {stored}");
        let bytes: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!stored.contains(&bytes), "{secret} is in {stored}");
    }
}
