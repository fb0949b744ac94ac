//! Registering a user, who goes through user-interactive authentication first.

use myelin_accounts::{
    Accounts,
    password::{self, PASSWORD_LENGTH_CHARS_MAX},
    registration::{self, NewAccount, UsernameError, UsernameRules},
    uia::{self, UiaProgress, UiaRequest},
};
use myelin_http::{ApiError, RateLimits, Raw};
use myelin_model::Secret;
use myelin_rooms::{Rooms, unfinished};
use ruma::{OwnedUserId, api::auth_scheme::AppserviceTokenOptional};
use serde_json::{Map, Value};

use super::{answer, check_policy, read_text, to_api_error};
use crate::{
    Answer,
    uia::{answer_incomplete, operation, take_auth, to_api_error as uia_to_api_error},
};

/// The part of a request that a session keeps: it is needed when the client sends no more than its last stage.
const KEPT: &[&str] =
    &["username", "device_id", "initial_device_display_name", "inhibit_login", "refresh_token"];

/// The notes in the session that a request goes on with.
#[derive(Default)]
struct Notes {
    /// The user that the session has registered already.
    registered: Option<OwnedUserId>,
    /// The hash of the password that the session began with.
    password_hash: Option<String>,
}

/// A session whose client has authenticated.
struct Authenticated {
    session_id: String,
    /// The body as sent now, or what was kept of it earlier in the session.
    params: Map<String, Value>,
    stages: Map<String, Value>,
}

pub(super) async fn register_user(
    accounts: &Accounts,
    rooms: &Rooms,
    rate_limits: &RateLimits,
    raw: &Raw<AppserviceTokenOptional>,
    username: Option<String>,
    mut body: Map<String, Value>,
) -> Answer {
    let auth = take_auth(&mut body)?;
    let new_password = read_text(&body, "password", PASSWORD_LENGTH_CHARS_MAX, "Invalid password")?
        .map(ToOwned::to_owned);
    if let Some(new_password) = &new_password {
        check_policy(accounts, new_password)?;
    }
    let notes = find_notes(accounts, auth.as_ref()).await?;
    let guest_token = body.get("guest_access_token").and_then(Value::as_str).map(ToOwned::to_owned);
    let rules = UsernameRules {
        guest_token: guest_token.as_deref(),
        registered: notes.registered.as_deref(),
        inhibit_in_use: accounts.settings().inhibit_user_in_use_error,
    };
    check_username(accounts, username.as_deref(), &rules).await?;

    let is_kept = notes.password_hash.is_some();
    let new = new_password.as_deref().filter(|_| !is_kept);
    let authenticated = authenticate(accounts, rate_limits, raw, body, auth, new).await?;
    let Authenticated { session_id, params, stages } = authenticated;
    if let Some(user_id) = &notes.registered {
        return answer(accounts, user_id, &params).await;
    }
    let (address, limit) = (raw.address.to_string(), &rate_limits.registration);
    limit.check(&address)?;
    let password_hash = match &new_password {
        Some(new) => password::hash(accounts, new).await.map_err(ApiError::internal)?,
        None => notes
            .password_hash
            .ok_or_else(|| ApiError::missing_param("Missing params: password"))?,
    };
    // Again: the session may have begun with another name.
    let username =
        params.get("username").and_then(Value::as_str).map(str::to_lowercase).or(username);
    let rules = UsernameRules { inhibit_in_use: false, ..rules };
    let account = NewAccount {
        user_id: check_username(accounts, username.as_deref(), &rules).await?,
        password_hash: Some(Secret::new(password_hash)),
        was_guest: guest_token.is_some(),
        session_id: Some(&session_id),
        registration_token: stages.get(uia::REGISTRATION_TOKEN).and_then(Value::as_str),
        joins_rooms: rooms.settings().auto_join.is_for(false),
        ..NewAccount::default()
    };
    let user_id = add(accounts, rooms, account, username.as_deref()).await?;
    if is_kept {
        // Counted already when the password was kept.
        limit.take_back(&address);
    }
    answer(accounts, &user_id, &params).await
}

async fn find_notes(
    accounts: &Accounts,
    auth: Option<&Map<String, Value>>,
) -> Result<Notes, ApiError> {
    let session_id = auth.and_then(|auth| auth.get("session")).and_then(Value::as_str);
    let Some(session_id) = session_id else { return Ok(Notes::default()) };
    let Some(session) = uia::find(accounts, session_id).await? else { return Ok(Notes::default()) };
    let note = |name: &str| session.stages.get(name).and_then(Value::as_str);
    Ok(Notes {
        registered: note(uia::REGISTERED_USER).and_then(|id| OwnedUserId::try_from(id).ok()),
        password_hash: note(uia::PASSWORD_HASH).map(ToOwned::to_owned),
    })
}

/// The user ID that goes with a name, if one is asked for and may be had.
async fn check_username(
    accounts: &Accounts,
    username: Option<&str>,
    rules: &UsernameRules<'_>,
) -> Result<Option<OwnedUserId>, ApiError> {
    let Some(username) = username else { return Ok(None) };
    let user_id = registration::check_username(accounts, username, rules).await;
    user_id.map(Some).map_err(to_api_error)
}

/// Let the request pass if its client has authenticated. If not, a new password is kept for when it has.
async fn authenticate(
    accounts: &Accounts,
    rate_limits: &RateLimits,
    raw: &Raw<AppserviceTokenOptional>,
    params: Map<String, Value>,
    auth: Option<Map<String, Value>>,
    new_password: Option<&str>,
) -> Result<Authenticated, ApiError> {
    let needs_token = accounts.settings().registration_requires_token;
    let flow = vec![if needs_token { uia::REGISTRATION_TOKEN } else { uia::DUMMY }];
    let operation = operation(raw, "");
    let request = UiaRequest {
        operation: &operation,
        flows: &[flow],
        params,
        kept: KEPT,
        auth,
        user_id: None,
    };
    let address = raw.address.to_string();
    match take_step(accounts, rate_limits, &address, request).await? {
        UiaProgress::Complete { session_id, params, stages } => {
            Ok(Authenticated { session_id, params, stages })
        }
        UiaProgress::Incomplete { session_id, body, .. } => {
            if let Some(new_password) = new_password {
                // It is the hash that costs.
                rate_limits.registration.check(&address)?;
                uia::keep_password(accounts, &session_id, new_password)
                    .await
                    .map_err(ApiError::internal)?;
            }
            Err(answer_incomplete(body))
        }
    }
}

/// Take a step. Wrong registration tokens count as questions whether they are valid, which they are as well.
async fn take_step(
    accounts: &Accounts,
    rate_limits: &RateLimits,
    address: &str,
    request: UiaRequest<'_>,
) -> Result<UiaProgress, ApiError> {
    let limit = &rate_limits.registration_token_validity;
    let stage = request.auth.as_ref().and_then(|auth| auth.get("type")?.as_str());
    let is_guess = stage == Some(uia::REGISTRATION_TOKEN);
    if is_guess {
        limit.check(address)?;
    }
    let progress = uia::authenticate(accounts, request).await;
    let is_wrong = matches!(&progress, Ok(UiaProgress::Incomplete { has_failed: true, .. }));
    if is_guess && !is_wrong {
        limit.take_back(address);
    }
    progress.map_err(uia_to_api_error)
}

/// Register a user, or find whom a request of the same session has registered at the same time.
async fn add(
    accounts: &Accounts,
    rooms: &Rooms,
    account: NewAccount<'_>,
    username: Option<&str>,
) -> Result<OwnedUserId, ApiError> {
    let session_id = account.session_id.unwrap_or_default();
    match registration::register(accounts, account).await {
        Ok(registered) => {
            if let Some(work) = &registered.auto_join {
                unfinished::finish(rooms, work).await;
            }
            Ok(registered.user_id)
        }
        Err(UsernameError::SessionUsed) => {
            let session = uia::find(accounts, session_id).await?;
            let registered = session
                .and_then(|session| {
                    let user_id = session.stages.get(uia::REGISTERED_USER)?.as_str()?;
                    OwnedUserId::try_from(user_id).ok()
                })
                .filter(|user_id| username.is_none_or(|username| username == user_id.localpart()));
            registered.ok_or_else(|| to_api_error(UsernameError::OtherRegistered))
        }
        Err(error) => Err(to_api_error(error)),
    }
}
