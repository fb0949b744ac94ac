//! The ways to prove that one may begin a session: a password, a token that logs in once, or the token of an
//! application service.

use myelin_model::{Appservice, TokenHash};
use myelin_storage::{StorageError, accounts::StoredUser};
use ruma::{OwnedUserId, UserId};

use crate::{
    Accounts,
    password::{self, PasswordError},
    random,
};

/// The reason why somebody may not log in.
#[derive(Debug, thiserror::Error)]
pub enum LogInError {
    /// There is no such user, or the password is not theirs.
    #[error("Invalid username or password")]
    Wrong,
    /// The token is unknown, used, or has run out.
    #[error("Invalid login token")]
    WrongToken,
    /// The account is deactivated.
    #[error("This account has been deactivated")]
    Deactivated,
    /// The account is locked.
    #[error("User account has been locked")]
    Locked,
    /// Passwords cannot be checked now.
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A user who may begin a session.
pub struct LoggedIn {
    /// The user's ID in its true spelling.
    pub user_id: OwnedUserId,
    /// The hash that the password was right for. The session begins only if it is still the user's: who changes a password to
    /// shut somebody out must not be too early by a moment. `None` if no password was asked for.
    pub(super) password_hash: Option<String>,
}

/// Check a password. A wrong one is told in the log, for whoever blocks addresses that guess: the request's span names the
/// address.
pub async fn log_in_by_password(
    accounts: &Accounts,
    user_id: &UserId,
    password: &str,
) -> Result<LoggedIn, LogInError> {
    let logged_in = check_password(accounts, user_id, password).await;
    if matches!(logged_in, Err(LogInError::Wrong)) {
        tracing::info!(user.id = %user_id, "a login failed: wrong user name or password");
    }
    logged_in
}

async fn check_password(
    accounts: &Accounts,
    user_id: &UserId,
    password: &str,
) -> Result<LoggedIn, LogInError> {
    // Accounts that were given an empty password are open to nobody.
    let found = if password.is_empty() { None } else { find(accounts, user_id).await? };
    let Some(user) = found else {
        password::pretend_to_verify(accounts).await?;
        return Err(LogInError::Wrong);
    };
    if user.deactivated {
        return Err(LogInError::Deactivated);
    }
    let Some(hash) = &user.password_hash else {
        password::pretend_to_verify(accounts).await?;
        return Err(LogInError::Wrong);
    };
    let hash = password::verify(accounts, &user.user_id, password, hash.expose()).await?;
    let hash = hash.ok_or(LogInError::Wrong)?;
    Ok(LoggedIn { user_id: check(user)?, password_hash: Some(hash) })
}

/// Take a token that logs in once.
pub async fn log_in_by_token(accounts: &Accounts, token: &str) -> Result<LoggedIn, LogInError> {
    let mut tx = accounts.db().begin().await?;
    let user_id = tx.tokens().take_login(&TokenHash::of(token), accounts.now_ms()).await?;
    tx.commit().await?;
    let user_id = user_id.ok_or(LogInError::WrongToken)?;
    let user = accounts.db().users().find(&user_id).await?.ok_or(LogInError::WrongToken)?;
    Ok(LoggedIn { user_id: check(user)?, password_hash: None })
}

/// Log in a user whom somebody else vouches for.
pub async fn log_in_as(accounts: &Accounts, user_id: &UserId) -> Result<LoggedIn, LogInError> {
    let user = find(accounts, user_id).await?.ok_or(LogInError::Wrong)?;
    Ok(LoggedIn { user_id: check(user)?, password_hash: None })
}

/// Log in the own user of an application service, which stands in no table.
pub fn log_in_sender(appservice: &Appservice) -> LoggedIn {
    LoggedIn { user_id: appservice.sender.clone(), password_hash: None }
}

/// Make a token that logs in once. It, and how long it holds, in milliseconds.
pub async fn add_login_token(
    accounts: &Accounts,
    user_id: &UserId,
) -> Result<(String, u64), StorageError> {
    let lifetime_ms = accounts.settings().login_via_existing_session.token_timeout_ms;
    let token = random::token("myl_");
    let mut tx = accounts.db().begin().await?;
    tx.tokens()
        .add_login(&TokenHash::of(&token), user_id, accounts.now_ms().saturating_add(lifetime_ms))
        .await?;
    tx.commit().await?;
    Ok((token, lifetime_ms))
}

/// Names are taken as they are spelt, or else whatever the case of their letters.
async fn find(accounts: &Accounts, user_id: &UserId) -> Result<Option<StoredUser>, StorageError> {
    match accounts.db().users().find(user_id).await? {
        Some(user) => Ok(Some(user)),
        None => accounts.db().users().find_ignoring_case(user_id).await,
    }
}

fn check(user: StoredUser) -> Result<OwnedUserId, LogInError> {
    if user.deactivated {
        Err(LogInError::Deactivated)
    } else if user.locked {
        Err(LogInError::Locked)
    } else {
        Ok(user.user_id)
    }
}
