//! `GET` and `POST /_matrix/client/v3/auth/{stage}/fallback/web` (client-server API, "Fallback").

use axum::extract::State;
use myelin_accounts::{
    Accounts,
    uia::{self, UiaError},
};
use myelin_http::{ApiError, Page, RateLimits, Raw};
use ruma::api::auth_scheme::NoAccessToken;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Query {
    session: Option<String>,
}

#[derive(Deserialize)]
struct Form {
    session: Option<String>,
    token: Option<String>,
}

#[tracing::instrument(name = "client.uia.fallback_page", skip_all)]
pub(crate) async fn show(
    State(accounts): State<Accounts>,
    raw: Raw<NoAccessToken>,
) -> Result<Page, ApiError> {
    let session_id = raw
        .query::<Query>()?
        .session
        .ok_or_else(|| ApiError::missing_param("No session supplied"))?;
    uia::find(&accounts, &session_id)
        .await?
        .ok_or_else(|| ApiError::unknown(format!("Unknown session ID: {session_id}")))?;
    match raw.path_arg(0)? {
        uia::REGISTRATION_TOKEN => Ok(Page(token_form(&session_id, "").into())),
        uia::DUMMY => Ok(Page(dummy_form(&session_id).into())),
        _ => Err(ApiError::not_found("Unknown auth stage type")),
    }
}

#[tracing::instrument(name = "client.uia.fallback_submit", skip_all)]
pub(crate) async fn submit(
    State(accounts): State<Accounts>,
    State(rate_limits): State<RateLimits>,
    raw: Raw<NoAccessToken>,
) -> Result<Page, ApiError> {
    let form = read_form(&raw.body)?;
    let session_id = form
        .session
        .or(raw.query::<Query>()?.session)
        .ok_or_else(|| ApiError::missing_param("No session supplied"))?;
    let (mut auth, address) = (Map::new(), raw.address.to_string());
    let stage = raw.path_arg(0)?;
    match stage {
        uia::REGISTRATION_TOKEN => {
            let token = form.token.ok_or_else(|| ApiError::missing_param("No token supplied"))?;
            auth.insert("token".to_owned(), Value::String(token.trim().to_owned()));
            // Counted as wrong until it is known to be right.
            rate_limits.registration_token_validity.check(&address)?;
        }
        uia::DUMMY => {}
        _ => return Err(ApiError::not_found("Unknown auth stage type")),
    }
    let is_right = uia::complete_by_page(&accounts, &session_id, stage, &auth)
        .await
        .map_err(|error: UiaError| super::to_api_error(error))?;
    if is_right && stage == uia::REGISTRATION_TOKEN {
        rate_limits.registration_token_validity.take_back(&address);
    }
    Ok(Page(if is_right {
        SUCCESS.into()
    } else {
        token_form(&session_id, "<p>This registration token is not valid.</p>").into()
    }))
}

/// Read a submitted form.
fn read_form(body: &[u8]) -> Result<Form, ApiError> {
    if body.windows(3).any(|text| text == b"%00") {
        return Err(ApiError::invalid_param("The form has a NUL character"));
    }
    // A form is written like a query.
    let uri = http::Uri::builder()
        .path_and_query(format!("/?{}", String::from_utf8_lossy(body)))
        .build()
        .map_err(|_| ApiError::invalid_param("The form cannot be read"))?;
    axum::extract::Query::<Form>::try_from_uri(&uri)
        .map(|form| form.0)
        .map_err(|error| ApiError::invalid_param(error.body_text()))
}

/// Tells the client's window that the stage is done, as the specification has it.
const SUCCESS: &str = r#"<!DOCTYPE html><html><head><meta charset="utf-8"><title>Success!</title>
<script>
if (window.onAuthDone) { window.onAuthDone(); }
else if (window.opener && window.opener.postMessage) { window.opener.postMessage("authDone", "*"); }
</script></head><body><p>Thank you. You may now close this window and return to the application.</p></body></html>"#;

fn token_form(session_id: &str, note: &str) -> String {
    format!(
        r#"<!DOCTYPE html><html><head><meta charset="utf-8"><title>Registration token</title></head><body>
<form method="post"><h1>Registration token</h1>{note}<p>Please enter the token that you have been given.</p>
<input type="hidden" name="session" value="{}"><input type="text" name="token" autofocus>
<input type="submit" value="Continue"></form></body></html>"#,
        escape(session_id)
    )
}

fn dummy_form(session_id: &str) -> String {
    format!(
        r#"<!DOCTYPE html><html><head><meta charset="utf-8"><title>Continue</title></head><body>
<form method="post"><input type="hidden" name="session" value="{}"><input type="submit" value="Continue"></form>
</body></html>"#,
        escape(session_id)
    )
}

/// The text as the value of an attribute in HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}
