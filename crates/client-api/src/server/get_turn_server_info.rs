//! `GET /_matrix/client/v3/voip/turnServer` (client-server API, "Voice over IP").

use axum::{Json, extract::State};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use myelin_accounts::Accounts;
use myelin_http::{ApiError, Raw};
use serde_json::json;
use sha1::Sha1;

use crate::{Answer, ClientApiSettings};

#[tracing::instrument(name = "client.server.get_turn_server_info", skip_all)]
pub(crate) async fn handler(
    State(accounts): State<Accounts>,
    State(settings): State<ClientApiSettings>,
    raw: Raw,
) -> Answer {
    let turn = &settings.turn;
    if raw.requester.is_guest && !turn.allow_guests {
        return Err(ApiError::guest_access_forbidden("Guest access not allowed"));
    }
    let credentials = match (&turn.shared_secret, &turn.username, &turn.password) {
        _ if turn.uris.is_empty() => None,
        // What the relay accepts: a name that says until when it holds, and its proof.
        (Some(secret), _, _) => {
            let expires_s = accounts.now_ms().saturating_add(turn.user_lifetime_ms) / 1000;
            let username = format!("{expires_s}:{}", raw.requester.user_id);
            let mut mac = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes())
                .map_err(ApiError::internal)?;
            mac.update(username.as_bytes());
            Some((username, STANDARD.encode(mac.finalize().into_bytes())))
        }
        (None, Some(username), Some(password)) => {
            Some((username.clone(), password.expose().to_owned()))
        }
        (None, _, _) => None,
    };
    Ok(Json(match credentials {
        None => json!({}),
        Some((username, password)) => json!({
            "username": username,
            "password": password,
            "ttl": turn.user_lifetime_ms / 1000,
            "uris": turn.uris,
        }),
    }))
}
