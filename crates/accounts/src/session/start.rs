//! Gives a user who has proved to be one a device and its tokens.

use myelin_model::TokenHash;
use myelin_storage::{
    StorageError, Tx,
    accounts::{NewAccessToken, NewRefreshToken},
};
use ruma::{DeviceId, OwnedDeviceId, UserId};

use super::LoggedIn;
use crate::{Accounts, random};

/// The wishes for a new session.
#[derive(Debug, Default)]
pub struct NewSession<'a> {
    /// The device: a new one unless it is given.
    pub device_id: Option<&'a DeviceId>,
    /// The display name of a new device. A device that exists keeps its own.
    pub display_name: Option<&'a str>,
    /// The client can refresh its token.
    pub with_refresh_token: bool,
}

/// A session that has begun.
pub struct StartedSession {
    pub device_id: OwnedDeviceId,
    pub access_token: String,
    /// The refresh token, if one was wanted and is allowed.
    pub refresh_token: Option<String>,
    /// The time for which the access token holds, in milliseconds. `None`: until it is revoked.
    pub expires_in_ms: Option<u64>,
}

/// Start a session for who logged in. `None` if the password was changed since it was checked.
pub async fn start_logged_in(
    accounts: &Accounts,
    logged_in: &LoggedIn,
    new: &NewSession<'_>,
) -> Result<Option<StartedSession>, StorageError> {
    let user_id = &logged_in.user_id;
    let mut tx = accounts.db().begin().await?;
    if let Some(hash) = &logged_in.password_hash
        && !tx.users().has_password_hash(user_id, hash).await?
    {
        return Ok(None);
    }
    let started = add(accounts, &mut tx, user_id, new).await?;
    tx.commit().await?;
    Ok(Some(started))
}

/// Start a session. Tokens that the device had before are revoked.
pub async fn start(
    accounts: &Accounts,
    user_id: &UserId,
    new: &NewSession<'_>,
) -> Result<StartedSession, StorageError> {
    let mut tx = accounts.db().begin().await?;
    let started = add(accounts, &mut tx, user_id, new).await?;
    tx.commit().await?;
    Ok(started)
}

async fn add(
    accounts: &Accounts,
    tx: &mut Tx,
    user_id: &UserId,
    new: &NewSession<'_>,
) -> Result<StartedSession, StorageError> {
    let now = accounts.now_ms();
    let device_id = new.device_id.map_or_else(random::device_id, ToOwned::to_owned);
    let session_expires = accounts.settings().session_lifetime_ms.map(|ms| now.saturating_add(ms));
    if tx.devices().add(user_id, &device_id, new.display_name, now).await? {
        tx.devices().publish(user_id);
    } else {
        tx.tokens().delete_of_device(user_id, &device_id).await?;
        tx.tokens().publish(user_id);
    }
    let issued =
        issue(accounts, tx, user_id, &device_id, new.with_refresh_token, session_expires).await?;
    Ok(issued.session)
}

/// Tokens, and the number of the refresh token among them.
pub(super) struct Issued {
    pub(super) session: StartedSession,
    pub(super) refresh_nid: Option<i64>,
}

/// Give a device tokens.
pub(super) async fn issue(
    accounts: &Accounts,
    tx: &mut Tx,
    user_id: &UserId,
    device_id: &DeviceId,
    with_refresh_token: bool,
    session_expires_ts: Option<u64>,
) -> Result<Issued, StorageError> {
    let (now, settings) = (accounts.now_ms(), accounts.settings());
    // As in Synapse: without a lifetime of access tokens there is nothing to refresh.
    let with_refresh_token =
        with_refresh_token && settings.refreshable_access_token_lifetime_ms.is_some();
    let earliest = |lifetime_ms: Option<u64>| {
        let own = lifetime_ms.map(|ms| now.saturating_add(ms));
        own.into_iter().chain(session_expires_ts).min()
    };
    let (mut refresh_token, mut refresh_nid) = (None, None);
    if with_refresh_token {
        let token = random::token("myr_");
        let new = NewRefreshToken {
            hash: &TokenHash::of(&token),
            user_id,
            device_id,
            expires_ts: earliest(settings.refresh_token_lifetime_ms),
            session_expires_ts,
        };
        refresh_nid = Some(tx.tokens().add_refresh(&new).await?);
        refresh_token = Some(token);
    }
    let expires_ts = earliest(if with_refresh_token {
        settings.refreshable_access_token_lifetime_ms
    } else {
        settings.nonrefreshable_access_token_lifetime_ms
    });
    let access_token = random::token("myt_");
    tx.tokens()
        .add_access(&NewAccessToken {
            hash: &TokenHash::of(&access_token),
            user_id,
            device_id: Some(device_id),
            created_ts: now,
            expires_ts,
            refresh_nid,
        })
        .await?;
    let session = StartedSession {
        device_id: device_id.to_owned(),
        access_token,
        refresh_token,
        expires_in_ms: expires_ts.map(|expires| expires.saturating_sub(now)),
    };
    Ok(Issued { session, refresh_nid })
}
