//! User-interactive authentication (client-server API, "User-Interactive Authentication API").
//!
//! Sessions live in the database, so that a client may go on at another node.

use myelin_storage::{
    StorageError,
    accounts::{UIA_SESSION_LIFETIME_MS, UiaSession},
};
use ruma::UserId;
use serde_json::{Map, Value, json};

use crate::{
    Accounts,
    password::{self, PasswordError},
    random,
    session::{IdentifyError, LogInError, LoggedIn, identify, log_in_by_password},
};

/// The characters of a session's name.
const SESSION_ID_LENGTH_CHARS: usize = 24;

/// The size of what a session keeps of a request, in bytes.
const PARAMS_SIZE_BYTES_MAX: usize = 65_536;

/// The size of what it keeps of a request of somebody who is not logged in, in bytes: strangers may begin any number of sessions.
const PARAMS_OF_STRANGERS_SIZE_BYTES_MAX: usize = 4_096;

/// The note of whom a registration's session has registered.
pub const REGISTERED_USER: &str = "registered_user";

/// The note of the new password that a session began with, as its hash.
pub const PASSWORD_HASH: &str = "password_hash";

/// The stage in which nothing is to be proved.
pub const DUMMY: &str = "m.login.dummy";
/// The password of an account.
pub const PASSWORD: &str = "m.login.password";
/// A token that an admin gave out.
pub const REGISTRATION_TOKEN: &str = "m.login.registration_token";

/// A request that needs authentication.
#[derive(Debug)]
pub struct UiaRequest<'a> {
    /// Method, path and user: a session holds for nothing else.
    pub operation: &'a str,
    /// Each flow is a way through.
    pub flows: &'a [Vec<&'static str>],
    /// The body of the request, without `auth`. If it is empty, the session's own counts.
    pub params: Map<String, Value>,
    /// The names in the body that the session may keep. What is not named here is not stored: no secret ever is.
    pub kept: &'a [&'static str],
    /// The member `auth` of the body, as the client sent it. `None` in the first request.
    pub auth: Option<Map<String, Value>>,
    /// The user whose account the request is about. `None` while registering.
    pub user_id: Option<&'a UserId>,
}

/// The answer to one step of authentication.
#[derive(Debug)]
pub enum UiaProgress {
    /// All stages of one flow are completed: the request may be done.
    Complete {
        session_id: String,
        /// The body as sent now, or what was kept of it before.
        params: Map<String, Value>,
        /// The completed stages with their results, and the notes in the session.
        stages: Map<String, Value>,
    },
    /// Something is still to be proved.
    Incomplete {
        session_id: String,
        /// The body of the answer: flows, completed stages, and the error of this step.
        body: Value,
        /// A password or token was wrong in this step.
        has_failed: bool,
    },
}

/// The reason why authentication cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum UiaError {
    /// There is no such session, or it has expired.
    #[error("Unknown session ID: {0}")]
    UnknownSession(String),
    /// The session was begun for something else.
    #[error("Requested operation has changed during the UI authentication session.")]
    OtherOperation,
    /// `auth` is not what it must be.
    #[error("{0}")]
    Invalid(&'static str),
    #[error("Request is too large")]
    TooLarge,
    /// The password given was that of another user.
    #[error("Invalid auth")]
    OtherUser,
    /// Passwords cannot be checked now.
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The outcome of one stage.
enum StageResult {
    Done(Value),
    Wrong { errcode: &'static str, error: &'static str },
    Unknown,
}

/// Take a step.
pub async fn authenticate(
    accounts: &Accounts,
    request: UiaRequest<'_>,
) -> Result<UiaProgress, UiaError> {
    let named = match request.auth.as_ref().and_then(|auth| auth.get("session")) {
        None | Some(Value::Null) => None,
        Some(Value::String(session_id)) => Some(session_id.as_str()),
        Some(_) => return Err(UiaError::Invalid("Invalid session ID")),
    };
    let mut session = match named {
        Some(session_id) => resume(accounts, session_id, &request).await?,
        None => begin(accounts, &request).await?,
    };
    let params =
        if request.params.is_empty() { session.params.clone() } else { request.params.clone() };
    let mut failure = None;
    if let Some(auth) = &request.auth
        && let Some(stage) = auth.get("type")
    {
        let stage = stage.as_str().ok_or(UiaError::Invalid("Invalid stage"))?;
        let is_offered = request.flows.iter().flatten().any(|offered| *offered == stage);
        let result = if is_offered {
            check_stage(accounts, &session, stage, auth, request.user_id).await?
        } else {
            StageResult::Unknown
        };
        match result {
            StageResult::Done(result) => {
                let mut tx = accounts.db().begin().await?;
                tx.uia_sessions().set_stage(&session.session_id, stage, &result).await?;
                tx.commit().await?;
                session.stages.insert(stage.to_owned(), result);
            }
            StageResult::Wrong { errcode, error } => failure = Some((errcode, error)),
            StageResult::Unknown => {}
        }
    }
    let is_complete =
        |flow: &Vec<&str>| flow.iter().all(|stage| session.stages.contains_key(*stage));
    if request.auth.is_some() && failure.is_none() && request.flows.iter().any(is_complete) {
        return Ok(UiaProgress::Complete {
            session_id: session.session_id,
            params,
            stages: session.stages,
        });
    }
    Ok(UiaProgress::Incomplete {
        body: challenge(&session, request.flows, request.auth.is_some(), failure),
        session_id: session.session_id,
        has_failed: failure.is_some(),
    })
}

async fn begin(accounts: &Accounts, request: &UiaRequest<'_>) -> Result<UiaSession, UiaError> {
    let kept = request.params.iter().filter(|(name, _)| request.kept.contains(&name.as_str()));
    let params: Map<String, Value> =
        kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    let size = serde_json::to_string(&params).map_or(usize::MAX, |json| json.len());
    let size_max = match request.user_id {
        Some(_) => PARAMS_SIZE_BYTES_MAX,
        None => PARAMS_OF_STRANGERS_SIZE_BYTES_MAX,
    };
    if size > size_max {
        return Err(UiaError::TooLarge);
    }
    let now = accounts.now_ms();
    let session = UiaSession {
        session_id: random::text(SESSION_ID_LENGTH_CHARS),
        created_ts: now,
        operation: request.operation.to_owned(),
        params,
        stages: Map::new(),
    };
    let mut tx = accounts.db().begin().await?;
    tx.uia_sessions().add(&session).await?;
    tx.commit().await?;
    Ok(session)
}

async fn resume(
    accounts: &Accounts,
    session_id: &str,
    request: &UiaRequest<'_>,
) -> Result<UiaSession, UiaError> {
    let session = find(accounts, session_id)
        .await?
        .ok_or_else(|| UiaError::UnknownSession(session_id.to_owned()))?;
    if session.operation != request.operation {
        return Err(UiaError::OtherOperation);
    }
    Ok(session)
}

/// Find a session that still holds.
pub async fn find(
    accounts: &Accounts,
    session_id: &str,
) -> Result<Option<UiaSession>, StorageError> {
    let since = accounts.now_ms().saturating_sub(UIA_SESSION_LIFETIME_MS);
    accounts.db().uia_sessions().find(session_id, since).await
}

/// Take a note in a session.
pub async fn set_note(
    accounts: &Accounts,
    session_id: &str,
    name: &str,
    value: &Value,
) -> Result<(), StorageError> {
    let mut tx = accounts.db().begin().await?;
    tx.uia_sessions().set_stage(session_id, name, value).await?;
    tx.commit().await?;
    Ok(())
}

/// Keep the password of a request that is not authenticated yet, as its hash. The first of a session stays.
pub async fn keep_password(
    accounts: &Accounts,
    session_id: &str,
    new_password: &str,
) -> Result<(), PasswordError> {
    let session = find(accounts, session_id).await?;
    if session.is_none_or(|session| session.stages.contains_key(PASSWORD_HASH)) {
        return Ok(());
    }
    let hash = password::hash(accounts, new_password).await?;
    Ok(set_note(accounts, session_id, PASSWORD_HASH, &hash.into()).await?)
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
            set_note(accounts, session_id, stage, &result).await?;
            Ok(true)
        }
        StageResult::Wrong { .. } | StageResult::Unknown => Ok(false),
    }
}

async fn check_stage(
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

fn challenge(
    session: &UiaSession,
    flows: &[Vec<&'static str>],
    has_auth: bool,
    failure: Option<(&str, &str)>,
) -> Value {
    let flows: Vec<Value> = flows.iter().map(|stages| json!({ "stages": stages })).collect();
    let mut body = json!({ "session": session.session_id, "flows": flows, "params": {} });
    let Some(object) = body.as_object_mut() else { return body };
    if has_auth {
        let completed: Vec<&String> =
            session.stages.keys().filter(|stage| stage.starts_with("m.")).collect();
        object.insert("completed".to_owned(), json!(completed));
    }
    if let Some((errcode, error)) = failure {
        object.insert("errcode".to_owned(), errcode.into());
        object.insert("error".to_owned(), error.into());
    }
    body
}
