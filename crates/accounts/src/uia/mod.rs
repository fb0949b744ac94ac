//! User-interactive authentication (client-server API, "User-Interactive Authentication API").
//!
//! Sessions live in the database, so that a client may go on at another node.

mod caller;
mod session;
mod stages;

use myelin_storage::{StorageError, accounts::UiaSession};
use ruma::UserId;
use serde_json::{Map, Value, json};

pub use self::{
    caller::{CallerRequest, authenticate_caller, is_proved_lately},
    session::{PASSWORD_HASH, REGISTERED_USER, find, keep_password},
    stages::complete_by_page,
};
use self::{
    session::{begin, resume},
    stages::{StageResult, check_stage},
};
use crate::{Accounts, password::PasswordError};

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
                session::set_stage(accounts, &session.session_id, stage, &result).await?;
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
