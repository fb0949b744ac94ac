//! Profiles: what a user shows to others (client-server API, "Profiles").

use myelin_model::{ActiveActor, limits::PROFILE_SIZE_BYTES_MAX};
use myelin_storage::{StorageError, UnfinishedWork, WorkKind, accounts::Profile};
use ruma::UserId;
use serde_json::{Map, Value};

use crate::Accounts;

/// The length of a display name, as Synapse has it.
const DISPLAYNAME_LENGTH_CHARS_MAX: usize = 256;
/// The length of an avatar's URI, as Synapse has it.
const AVATAR_URL_LENGTH_CHARS_MAX: usize = 1000;
/// The length of a field's name.
const KEY_LENGTH_BYTES_MAX: usize = 255;

/// The reason why a profile is not changed, or not shown.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// There is no such user here.
    #[error("Profile was not found")]
    NotFound,
    /// The name of the field is too long.
    #[error("Field name too long: max {KEY_LENGTH_BYTES_MAX} bytes")]
    KeyTooLarge,
    /// The name of the field is not one.
    #[error("Field name does not follow Common Namespaced Identifier Grammar")]
    InvalidKey,
    /// The value is not what the field takes.
    #[error("{0}")]
    InvalidValue(&'static str),
    /// All fields together are too large.
    #[error("Profile too large: max {PROFILE_SIZE_BYTES_MAX} bytes")]
    TooLarge,
    /// The reader shares no room with the user, which the server asks for.
    #[error("Profile isn't available")]
    NotShared,
    /// The server does not let users set it.
    #[error("Changing {0} is disabled on this server")]
    Disabled(&'static str),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A profile as clients see it. `reader` asks for it, where the server asks who that is.
pub async fn get(
    accounts: &Accounts,
    reader: Option<&UserId>,
    user_id: &UserId,
) -> Result<Map<String, Value>, ProfileError> {
    if let Some(reader) = reader
        && reader != user_id
        && accounts.settings().limit_profile_requests_to_users_who_share_rooms
        && !accounts.db().memberships().share(reader, user_id).await?
    {
        return Err(ProfileError::NotShared);
    }
    // Other servers' users are asked for by federation.
    if user_id.server_name() != accounts.server_name() {
        return Err(ProfileError::NotFound);
    }
    let profile = accounts.db().profiles().find(user_id).await?.ok_or(ProfileError::NotFound)?;
    Ok(to_json(profile))
}

fn to_json(profile: Profile) -> Map<String, Value> {
    let mut json = profile.fields;
    json.extend(profile.displayname.map(|name| ("displayname".to_owned(), name.into())));
    json.extend(profile.avatar_url.map(|url| ("avatar_url".to_owned(), url.into())));
    json
}

/// Whether `key` can be the name of a field.
pub fn check_key(key: &str) -> Result<(), ProfileError> {
    if key.len() > KEY_LENGTH_BYTES_MAX {
        return Err(ProfileError::KeyTooLarge);
    }
    let is_allowed =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.');
    if key == "displayname" || key == "avatar_url" {
        return Ok(());
    }
    if !key.starts_with(|c: char| c.is_ascii_lowercase()) || !key.bytes().all(is_allowed) {
        return Err(ProfileError::InvalidKey);
    }
    Ok(())
}

/// Whether rooms show the field in their member events.
pub fn is_shown_in_rooms(key: &str) -> bool {
    matches!(key, "displayname" | "avatar_url")
}

/// Set a field of the actor's profile, or delete it by setting `None`. If rooms show the field and it changed, the work that
/// is left is to have the user's member events follow. Admins may also change what the configuration does not let users
/// change.
pub async fn set_field(
    accounts: &Accounts,
    actor: ActiveActor<'_>,
    key: &str,
    value: Option<Value>,
) -> Result<Option<UnfinishedWork>, ProfileError> {
    let user_id = &actor.user_id;
    check_key(key)?;
    let settings = accounts.settings();
    match key {
        "displayname" if !settings.enable_set_displayname && !actor.is_admin() => {
            return Err(ProfileError::Disabled("display name"));
        }
        "avatar_url" if !settings.enable_set_avatar_url && !actor.is_admin() => {
            return Err(ProfileError::Disabled("avatar"));
        }
        _ => {}
    }
    let mut tx = accounts.db().begin().await?;
    let before = tx.profiles().find_for_update(user_id).await?.ok_or(ProfileError::NotFound)?;
    let mut profile = before.clone();
    match key {
        "displayname" => {
            profile.displayname = to_text(
                value,
                DISPLAYNAME_LENGTH_CHARS_MAX,
                "displayname must be a string",
                "Displayname is too long (max 256)",
            )?;
        }
        "avatar_url" => {
            profile.avatar_url = to_text(
                value,
                AVATAR_URL_LENGTH_CHARS_MAX,
                "avatar_url must be a string",
                "Avatar URL is too long (max 1000)",
            )?;
        }
        _ => match value {
            Some(value) => drop(profile.fields.insert(key.to_owned(), value)),
            None => drop(profile.fields.remove(key)),
        },
    }
    if profile == before {
        return Ok(None);
    }
    let size =
        serde_json::to_string(&to_json(profile.clone())).map_or(usize::MAX, |json| json.len());
    if size > PROFILE_SIZE_BYTES_MAX {
        return Err(ProfileError::TooLarge);
    }
    tx.profiles().set(user_id, &profile).await?;
    tx.profiles().publish(user_id);
    let work = if is_shown_in_rooms(key) {
        let (kind, now_ms) = (WorkKind::UpdateProfile, accounts.now_ms());
        Some(tx.unfinished_work().add(kind, user_id.as_str(), now_ms).await?)
    } else {
        None
    };
    tx.commit().await?;
    Ok(work)
}

/// The text of a field. `None`, null and `""` give `None`, which deletes the field.
fn to_text(
    value: Option<Value>,
    length_chars_max: usize,
    not_text: &'static str,
    too_long: &'static str,
) -> Result<Option<String>, ProfileError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() > length_chars_max => {
            Err(ProfileError::InvalidValue(too_long))
        }
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(_) => Err(ProfileError::InvalidValue(not_text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_the_grammar() {
        let long = "a".repeat(256);
        let cases = [
            ("m.tz", true),
            ("org.example-x_1", true),
            ("1x", false),
            ("A", false),
            ("", false),
            (&long, false),
        ];
        for (key, expected) in cases {
            assert_eq!(check_key(key).is_ok(), expected, "{key}");
        }
    }
}
