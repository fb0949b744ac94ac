//! `GET /_matrix/client/v3/login` (client-server API, "Login").

use axum::{Json, extract::State};
use myelin_accounts::Accounts;
use serde_json::{Value, json};

#[tracing::instrument(name = "client.session.get_login_types", skip_all)]
pub(crate) async fn handler(State(accounts): State<Accounts>) -> Json<Value> {
    let settings = accounts.settings();
    let mut flows = vec![];
    if settings.login_via_existing_session.enabled {
        flows.push(json!({ "type": "m.login.token", "get_login_token": true }));
    }
    if settings.password_enabled {
        flows.push(json!({ "type": "m.login.password" }));
    }
    // Clients show the flows in their order: this one is for no person, so it stands last.
    flows.push(json!({ "type": "m.login.application_service" }));
    Json(json!({ "flows": flows }))
}
