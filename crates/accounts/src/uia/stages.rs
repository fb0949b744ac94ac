//! The stages that this server knows, and what it takes to complete each.

use myelin_storage::{StorageError, accounts::UiaSession};
use ruma::UserId;
use serde_json::{Map, Value};

use super::{
    DUMMY, PASSWORD, REGISTRATION_TOKEN, UiaError,
    session::{find, set_stage},
};
use crate::{
    Accounts,
    session::{IdentifyError, LogInError, LoggedIn, identify, log_in_by_password},
};

/// The outcome of one stage.
pub(super) enum StageResult {
    Done(Value),
    Wrong { errcode: &'static str, error: &'static str },
    Unknown,
}

/// Complete a stage that the user went through on a page of this server. Whether it was right.
pub async fn complete_by_page(
    accounts: &Accounts,
    session_id: &str,
    stage: &str,
    auth: &Map<String, Value>,
) -> Result<bool, UiaError> {
    let session = find(accounts, session_id)
        .await?
        .ok_or_else(|| UiaError::UnknownSession(session_id.to_owned()))?;
    match check_stage(accounts, &session, stage, auth, None).await? {
        StageResult::Done(result) => {
            set_stage(accounts, session_id, stage, &result).await?;
            Ok(true)
        }
        StageResult::Wrong { .. } | StageResult::Unknown => Ok(false),
    }
}

/// Check what a client says of a stage. `user_id` is the user whose account it is about, if there is one yet.
pub(super) async fn check_stage(
    accounts: &Accounts,
    session: &UiaSession,
    stage: &str,
    auth: &Map<String, Value>,
    user_id: Option<&UserId>,
) -> Result<StageResult, UiaError> {
    match stage {
        DUMMY => Ok(StageResult::Done(Value::Bool(true))),
        PASSWORD if accounts.settings().password_reauth_enabled => {
            check_password(accounts, auth, user_id).await
        }
        REGISTRATION_TOKEN => check_registration_token(accounts, session, auth).await,
        _ => Ok(StageResult::Unknown),
    }
}

async fn check_password(
    accounts: &Accounts,
    auth: &Map<String, Value>,
    user_id: Option<&UserId>,
) -> Result<StageResult, UiaError> {
    let wrong = |error| Ok(StageResult::Wrong { errcode: "M_FORBIDDEN", error });
    let Some(password) = auth.get("password").and_then(Value::as_str) else {
        return Err(UiaError::Invalid("Missing password"));
    };
    let identified = match identify(accounts, auth).await {
        Ok(identified) => identified,
        Err(IdentifyError::Storage(error)) => return Err(error.into()),
        Err(IdentifyError::UnknownThreepid) => return wrong("Invalid username or password"),
        // The token of the request says who it is, so clients that name nobody can be helped.
        Err(IdentifyError::Missing) if let Some(user_id) = user_id => user_id.to_owned(),
        Err(IdentifyError::Missing | IdentifyError::Invalid(_) | IdentifyError::UnknownType) => {
            return Err(UiaError::Invalid("Invalid user identifier"));
        }
    };
    // The passwords of others are not even looked at: here they could be guessed past the limits of their accounts.
    let is_same =
        |user_id: &UserId| user_id.as_str().to_lowercase() == identified.as_str().to_lowercase();
    if !user_id.is_none_or(is_same) {
        return Err(UiaError::OtherUser);
    }
    match log_in_by_password(accounts, &identified, password).await {
        Ok(LoggedIn { user_id: proved, .. }) if user_id.is_none_or(|user_id| user_id == proved) => {
            Ok(StageResult::Done(Value::String(proved.into())))
        }
        Ok(_) => Err(UiaError::OtherUser),
        Err(LogInError::Storage(error)) => Err(error.into()),
        Err(LogInError::Password(error)) => Err(error.into()),
        Err(
            LogInError::Wrong
            | LogInError::WrongToken
            | LogInError::Deactivated
            | LogInError::Locked,
        ) => wrong("Invalid username or password"),
    }
}

async fn check_registration_token(
    accounts: &Accounts,
    session: &UiaSession,
    auth: &Map<String, Value>,
) -> Result<StageResult, UiaError> {
    let token = match auth.get("token") {
        None => {
            return Ok(StageResult::Wrong {
                errcode: "M_MISSING_PARAM",
                error: "Missing registration token",
            });
        }
        Some(Value::String(token)) => token,
        Some(_) => {
            return Ok(StageResult::Wrong {
                errcode: "M_INVALID_PARAM",
                error: "Registration token must be a string",
            });
        }
    };
    let is_valid = reserve_token(accounts, &session.session_id, token).await?;
    Ok(if is_valid {
        StageResult::Done(Value::String(token.clone()))
    } else {
        StageResult::Wrong { errcode: "M_UNAUTHORIZED", error: "Invalid registration token" }
    })
}

/// Set a use of a token aside for a session, and return whether there was one. A session has one use of one token,
/// however often and at once it asks.
async fn reserve_token(
    accounts: &Accounts,
    session_id: &str,
    token: &str,
) -> Result<bool, StorageError> {
    let mut tx = accounts.db().begin().await?;
    let Some(session) = tx.uia_sessions().find_locked(session_id).await? else {
        return Ok(false);
    };
    let reserved = session.stages.get(REGISTRATION_TOKEN).and_then(Value::as_str);
    if reserved == Some(token) {
        return Ok(true);
    }
    if !tx.registration_tokens().reserve(token, accounts.now_ms()).await? {
        return Ok(false);
    }
    if let Some(other) = reserved {
        tx.registration_tokens().give_back(other).await?;
    }
    tx.uia_sessions().set_stage(session_id, REGISTRATION_TOKEN, &token.into()).await?;
    tx.commit().await?;
    Ok(true)
}
