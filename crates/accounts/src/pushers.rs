//! Pushers: where users want to be notified besides their clients' syncs (client-server API, "Push Notifications").

use myelin_model::Actor;
use myelin_storage::{StorageError, accounts::Pusher};
use ruma::UserId;
use serde_json::{Map, Value, value::RawValue};
use url::Url;

use crate::Accounts;

/// The length of a pusher's key.
const PUSHKEY_LENGTH_BYTES_MAX: usize = 512;
/// The length of an app's ID.
const APP_ID_LENGTH_CHARS_MAX: usize = 64;
/// The size of a pusher.
const PUSHER_SIZE_BYTES_MAX: usize = 65_536;

/// The number of pushers that a user has at most. Each is a request to another server for every event that notifies.
const PUSHERS_MAX: i64 = 100;

/// The path of every push gateway.
const GATEWAY_PATH: &str = "/_matrix/push/v1/notify";

/// The reason why a pusher is not set.
#[derive(Debug, thiserror::Error)]
pub enum SetPusherError {
    /// This field is missing.
    #[error("Missing parameters: {0}")]
    Missing(&'static str),
    /// A field has a value that it cannot have; the text says which.
    #[error("{0}")]
    Invalid(&'static str),
    /// Mail would go to an address that is not the user's.
    #[error("Email not found")]
    NotOwnAddress,
    /// The user has as many pushers as one may have.
    #[error("Too many pushers: max {PUSHERS_MAX}")]
    TooMany,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The pushers of a user, as clients set them.
pub async fn list(
    accounts: &Accounts,
    user_id: &UserId,
) -> Result<Vec<Box<RawValue>>, StorageError> {
    accounts.db().pushers().list(user_id).await
}

/// Set a pusher, or delete it if its `kind` is null.
pub async fn set(
    accounts: &Accounts,
    actor: &Actor,
    mut pusher: Map<String, Value>,
) -> Result<(), SetPusherError> {
    let text = |key: &'static str| match pusher.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(SetPusherError::Invalid("A parameter is no string")),
        None => Err(SetPusherError::Missing(key)),
    };
    let (app_id, pushkey) = (text("app_id")?, text("pushkey")?);
    if app_id.chars().count() > APP_ID_LENGTH_CHARS_MAX || pushkey.len() > PUSHKEY_LENGTH_BYTES_MAX
    {
        return Err(SetPusherError::Invalid("app_id or pushkey is too long"));
    }
    let kind = pusher.get("kind").ok_or(SetPusherError::Missing("kind"))?;
    if kind.is_null() {
        let mut tx = accounts.db().begin().await?;
        tx.pushers().delete(&actor.user_id, &app_id, &pushkey).await?;
        tx.commit().await?;
        return Ok(());
    }
    let kind = text("kind")?;
    for key in ["app_display_name", "device_display_name", "lang"] {
        text(key)?;
    }
    if pusher.get("profile_tag").is_some_and(|tag| !tag.is_null()) {
        text("profile_tag")?;
    }
    let data = pusher.get("data").ok_or(SetPusherError::Missing("data"))?;
    let data = data.as_object().ok_or(SetPusherError::Invalid("data must be an object"))?;
    match kind.as_str() {
        "http" => check_url(data.get("url"))?,
        "email" => check_address(accounts, actor, &pushkey).await?,
        _ => return Err(SetPusherError::Invalid("Unknown kind of pusher")),
    }
    let append = pusher.remove("append").and_then(|append| append.as_bool()).unwrap_or_default();
    pusher.retain(|key, _| {
        matches!(
            key.as_str(),
            "app_id"
                | "pushkey"
                | "kind"
                | "app_display_name"
                | "device_display_name"
                | "lang"
                | "data"
                | "profile_tag"
        )
    });
    let content = Value::Object(pusher).to_string();
    if content.len() > PUSHER_SIZE_BYTES_MAX {
        return Err(SetPusherError::Invalid("The pusher is too large"));
    }
    let mut tx = accounts.db().begin().await?;
    let pusher = Pusher {
        user_id: &actor.user_id,
        app_id: &app_id,
        pushkey: &pushkey,
        device_id: actor.device_id(),
        content: &content,
    };
    if !tx.pushers().set(&pusher, append, PUSHERS_MAX).await? {
        return Err(SetPusherError::TooMany);
    }
    tx.commit().await?;
    Ok(())
}

/// Nobody has mail sent to others.
async fn check_address(
    accounts: &Accounts,
    actor: &Actor,
    address: &str,
) -> Result<(), SetPusherError> {
    let owner = accounts.db().threepids().find_user("email", &address.to_lowercase()).await?;
    if owner.as_ref() == Some(&actor.user_id) { Ok(()) } else { Err(SetPusherError::NotOwnAddress) }
}

/// A push gateway is reached at one path only, so that nobody makes this server call anything else.
fn check_url(url: Option<&Value>) -> Result<(), SetPusherError> {
    let url = url
        .and_then(Value::as_str)
        .ok_or(SetPusherError::Invalid("'url' required in data for HTTP pusher"))?;
    let is_gateway = Url::parse(url).is_ok_and(|url| {
        matches!(url.scheme(), "https" | "http") && url.has_host() && url.path() == GATEWAY_PATH
    });
    if !is_gateway {
        return Err(SetPusherError::Invalid("'url' must have a path of '/_matrix/push/v1/notify'"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_known_by_its_path() {
        let cases = [
            ("https://push.example.org/_matrix/push/v1/notify", true),
            ("http://10.0.0.1:8080/_matrix/push/v1/notify?tenant=7", true),
            ("https://push.example.org/foo?x=/_matrix/push/v1/notify", false),
            ("https://push.example.org/foo#/_matrix/push/v1/notify", false),
            ("https://push.example.org/x/_matrix/push/v1/notify", false),
            ("https://push.example.org/_matrix/push/v1/notify/", false),
            ("ftp://push.example.org/_matrix/push/v1/notify", false),
            ("https:///_matrix/push/v1/notify", false),
            ("/_matrix/push/v1/notify", false),
            ("", false),
        ];
        for (url, expected) in cases {
            assert_eq!(check_url(Some(&url.into())).is_ok(), expected, "{url}");
        }
    }
}
