//! The user that a login or a password stage names.

use myelin_storage::StorageError;
use ruma::{OwnedUserId, ServerName, UserId};
use serde_json::{Map, Value};

use crate::Accounts;

/// The reason why no user can be found.
#[derive(Debug, thiserror::Error)]
pub enum IdentifyError {
    /// The identifier is missing.
    #[error("Missing user identifier")]
    Missing,
    /// The identifier lacks something.
    #[error("{0}")]
    Invalid(&'static str),
    /// There is no such kind of identifier.
    #[error("Unknown login identifier type")]
    UnknownType,
    /// Nobody has this address.
    #[error("Invalid username or password")]
    UnknownThreepid,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Find the user that `identifier` names, or that the older fields beside it name. The user need not exist, unless it
/// is named by a third-party identifier.
pub async fn identify(
    accounts: &Accounts,
    submission: &Map<String, Value>,
) -> Result<OwnedUserId, IdentifyError> {
    let text = |object: &Map<String, Value>, key: &str| {
        object.get(key).and_then(Value::as_str).map(ToOwned::to_owned)
    };
    let Some(identifier) = submission.get("identifier") else {
        if let Some(user) = text(submission, "user") {
            return parse_user(accounts.server_name(), &user);
        }
        let (Some(medium), Some(address)) =
            (text(submission, "medium"), text(submission, "address"))
        else {
            return Err(IdentifyError::Missing);
        };
        return find_by_threepid(accounts, &medium, &address).await;
    };
    let Value::Object(identifier) = identifier else {
        return Err(IdentifyError::Invalid("Invalid identifier"));
    };
    match identifier.get("type").and_then(Value::as_str) {
        Some("m.id.user") => {
            let user = text(identifier, "user")
                .ok_or(IdentifyError::Invalid("User identifier is missing 'user' key"))?;
            parse_user(accounts.server_name(), &user)
        }
        Some("m.id.thirdparty") => {
            let (Some(medium), Some(address)) =
                (text(identifier, "medium"), text(identifier, "address"))
            else {
                return Err(IdentifyError::Invalid("Invalid thirdparty identifier"));
            };
            find_by_threepid(accounts, &medium, &address).await
        }
        Some("m.id.phone") => {
            let number = text(identifier, "phone").or_else(|| text(identifier, "number"));
            let Some(number) = number.filter(|_| identifier.contains_key("country")) else {
                return Err(IdentifyError::Invalid("Invalid phone-type identifier"));
            };
            let digits: String = number.chars().filter(char::is_ascii_digit).collect();
            find_by_threepid(accounts, "msisdn", &digits).await
        }
        Some(_) => Err(IdentifyError::UnknownType),
        None => Err(IdentifyError::Invalid("Login identifier has no type")),
    }
}

/// A whole user ID, or a localpart of this server.
fn parse_user(server_name: &ServerName, user: &str) -> Result<OwnedUserId, IdentifyError> {
    let parsed = if user.starts_with('@') {
        UserId::parse(user)
    } else {
        UserId::parse_with_server_name(user, server_name)
    };
    parsed.map_err(|_| IdentifyError::Invalid("Invalid user ID"))
}

async fn find_by_threepid(
    accounts: &Accounts,
    medium: &str,
    address: &str,
) -> Result<OwnedUserId, IdentifyError> {
    let address = if medium == "email" { address.to_lowercase() } else { address.to_owned() };
    accounts
        .db()
        .threepids()
        .find_user(medium, &address)
        .await?
        .ok_or(IdentifyError::UnknownThreepid)
}
