//! The actor that an access token stands for.

use std::sync::Arc;

use myelin_model::{Actor, Agent, Appservice, RateLimitOverride, TokenHash};
use myelin_storage::{StorageError, accounts::StoredSession};
use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use subtle::ConstantTimeEq as _;

use super::{cache::KnownSession, live::LiveSession};
use crate::Accounts;

/// The credentials of a request.
#[derive(Default)]
pub struct Credentials<'a> {
    /// The access token, of a user or of an application service.
    pub token: &'a str,
    /// The user that an application service acts as, as it wrote it. `None`: its own user.
    pub acts_as: Option<&'a str>,
    /// The device that an application service acts as. `None`: no device.
    pub acts_as_device: Option<&'a str>,
}

/// The reason why a token is refused.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// Nobody has this token.
    #[error("Invalid access token passed.")]
    UnknownToken,
    /// The token was good once, and can be refreshed or replaced by logging in again.
    #[error("Access token has expired")]
    Expired,
    /// The account is locked.
    #[error("User account has been locked")]
    Locked(Box<Actor>),
    /// The application service may not act as this user.
    #[error("Application service cannot masquerade as this user ({0}).")]
    OutsideNamespace(String),
    /// The application service has not registered this user.
    #[error("Application service has not registered this user ({0})")]
    NotRegistered(OwnedUserId),
    /// The application service's user is deactivated.
    #[error("This account has been deactivated")]
    Deactivated,
    /// The application service's user has no such device.
    #[error("Application service trying to use a device that doesn't exist ('{0}' for {1})")]
    UnknownDevice(OwnedDeviceId, OwnedUserId),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A caller whose credentials are good.
pub struct Authenticated {
    pub actor: Actor,
    /// The session that the token belongs to. `None` for application services: their tokens do not end.
    pub session: Option<LiveSession>,
}

/// Find who a token stands for. A known token costs no query.
pub async fn authenticate(
    accounts: &Accounts,
    credentials: &Credentials<'_>,
) -> Result<Authenticated, AuthenticateError> {
    if let Some(appservice) = find_appservice(accounts, credentials.token) {
        let actor = Box::pin(act_as(accounts, appservice, credentials)).await?;
        return Ok(Authenticated { actor, session: None });
    }
    let token = TokenHash::of(credentials.token);
    let known = find(accounts, &token).await?;
    let stored = &known.stored;
    if stored.expires_ts.is_some_and(|expires| expires <= accounts.now_ms()) {
        return Err(AuthenticateError::Expired);
    }
    let actor = actor_of(stored);
    if stored.locked {
        return Err(AuthenticateError::Locked(Box::new(actor)));
    }
    Ok(Authenticated { actor, session: Some(LiveSession::new(token, known)) })
}

/// The session of a user's token. It takes a query where the node does not know it.
pub(super) async fn find(
    accounts: &Accounts,
    token: &TokenHash,
) -> Result<Arc<KnownSession>, AuthenticateError> {
    match accounts.sessions().find(token) {
        Some(known) => Ok(known),
        // Every request is authenticated: what few need, none carries about.
        None => Box::pin(read(accounts, token)).await,
    }
}

async fn read(
    accounts: &Accounts,
    token: &TokenHash,
) -> Result<Arc<KnownSession>, AuthenticateError> {
    let read_from = accounts.sessions().generation();
    let stored = accounts.db().tokens().find_session(token).await?;
    let stored = stored.ok_or(AuthenticateError::UnknownToken)?;
    if let Some(refresh_nid) = stored.unused_refresh_nid {
        let mut tx = accounts.db().begin().await?;
        tx.tokens().set_used(token, refresh_nid).await?;
        // Nodes that remember the token before this one must not take it any more.
        tx.tokens().publish(&stored.user_id);
        tx.commit().await?;
    }
    Ok(accounts.sessions().add(token.clone(), stored, read_from))
}

pub(super) fn actor_of(stored: &StoredSession) -> Actor {
    Actor {
        user_id: stored.user_id.clone(),
        is_guest: stored.is_guest,
        agent: Agent::User {
            device_id: stored.device_id.clone(),
            is_admin: stored.is_admin,
            is_suspended: stored.suspended,
            rate_limit: stored.rate_limit,
        },
    }
}

/// Whether a token is that of an application service, which may name whom it acts as.
pub fn is_of_appservice(accounts: &Accounts, token: &str) -> bool {
    find_appservice(accounts, token).is_some()
}

fn find_appservice<'a>(accounts: &'a Accounts, token: &str) -> Option<&'a Appservice> {
    accounts.appservices().iter().find(|appservice| {
        bool::from(appservice.registration.as_token.expose().as_bytes().ct_eq(token.as_bytes()))
    })
}

async fn act_as(
    accounts: &Accounts,
    appservice: &Appservice,
    credentials: &Credentials<'_>,
) -> Result<Actor, AuthenticateError> {
    let user_id = match credentials.acts_as {
        None => appservice.sender.clone(),
        // What is no user ID is outside too: it must not count as if nobody was named.
        Some(text) => UserId::parse(text)
            .ok()
            .filter(|user_id| user_id.server_name() == accounts.server_name())
            .filter(|user_id| appservice.may_act_as(user_id))
            .ok_or_else(|| AuthenticateError::OutsideNamespace(text.to_owned()))?,
    };
    let is_suspended = match accounts.db().users().find(&user_id).await? {
        Some(user) if user.deactivated && user_id != appservice.sender => {
            return Err(AuthenticateError::Deactivated);
        }
        Some(user) => user.suspended,
        // The application service's own user needs no registration.
        None if user_id == appservice.sender => false,
        None => return Err(AuthenticateError::NotRegistered(user_id)),
    };
    let device_id = credentials.acts_as_device.map(OwnedDeviceId::from);
    if let Some(device_id) = &device_id
        && accounts.db().devices().find(&user_id, device_id).await?.is_none()
    {
        return Err(AuthenticateError::UnknownDevice(device_id.clone(), user_id));
    }
    Ok(Actor {
        user_id,
        is_guest: false,
        agent: Agent::Appservice {
            appservice_id: appservice.registration.id.clone(),
            device_id,
            is_suspended,
            rate_limit: (!appservice.is_rate_limited()).then_some(RateLimitOverride::UNLIMITED),
        },
    })
}
