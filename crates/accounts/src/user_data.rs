//! Account data: what users store for their clients, for all rooms or for one (client-server API, "Client config").

use std::sync::Arc;

use myelin_events::account_data::{IGNORED_USER_LIST, ignores_oneself};
use myelin_model::{RoomNid, limits::ACCOUNT_DATA_SIZE_BYTES_MAX};
use myelin_storage::{StorageError, Tx};
use ruma::{OwnedDeviceId, UserId};
use serde_json::{Map, Value, value::RawValue};

use crate::Accounts;

/// The length of a type.
const TYPE_LENGTH_BYTES_MAX: usize = 255;

/// The size of all of a user's entries together. The first `/sync` of each client tells them all at once, and holds them in memory some
/// times over. One entry may be as large as a request; the largest that people have, of ten thousand direct chats, is half a megabyte.
const ALL_SIZE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The type under which tags are kept.
pub const TAGS: &str = "m.tag";

/// The prefix of the types under which the settings of a device for its own notifications are kept (MSC3890).
const DEVICE_NOTIFICATION_SETTINGS: &str = "org.matrix.msc3890.local_notification_settings.";

/// The reason why an entry is not stored.
#[derive(Debug, thiserror::Error)]
pub enum UserDataError {
    /// Clients set it by another endpoint.
    #[error("Cannot set {0} through this API. Use /rooms/!roomId:server.name/read_markers")]
    ReadMarker(String),
    /// Clients set it by another endpoint.
    #[error("Cannot set {0} through this API. Use /pushrules")]
    PushRules(String),
    #[error("Account data type is too long: max {TYPE_LENGTH_BYTES_MAX} bytes")]
    TypeTooLong,
    /// The content is too large.
    #[error("Account data is too large: max {ACCOUNT_DATA_SIZE_BYTES_MAX} bytes")]
    TooLarge,
    /// All entries of the user together would be too large.
    #[error("Too much account data: max {ALL_SIZE_BYTES_MAX} bytes")]
    TooMuch,
    /// A tag's order is not a number.
    #[error("'order' must be a number")]
    InvalidOrder,
    /// The list of ignored users has the user itself in it.
    #[error("You cannot ignore yourself")]
    IgnoresSelf,
    /// The configuration does not let clients delete entries.
    #[error("Unrecognized request")]
    NotDeletable,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Find an entry: one for all rooms, or one for a room.
pub async fn find(
    accounts: &Accounts,
    user_id: &UserId,
    room_nid: Option<RoomNid>,
    data_type: &str,
) -> Result<Option<Arc<RawValue>>, StorageError> {
    accounts.db().account_data().find(user_id, room_nid, data_type).await
}

/// Set an entry, as a client asks for it. `content` is a JSON object; where clients may delete entries, an empty one deletes.
pub async fn set(
    accounts: &Accounts,
    user_id: &UserId,
    room_nid: Option<RoomNid>,
    data_type: &str,
    content: Box<RawValue>,
) -> Result<(), UserDataError> {
    check_own_endpoint(data_type)?;
    if content.get() == "{}" && accounts.settings().account_data_deletable {
        return delete(accounts, user_id, room_nid, data_type).await;
    }
    let is_ignored_list = room_nid.is_none() && data_type == IGNORED_USER_LIST;
    if is_ignored_list && ignores_oneself(content.get(), user_id) {
        return Err(UserDataError::IgnoresSelf);
    }
    if data_type.len() > TYPE_LENGTH_BYTES_MAX {
        return Err(UserDataError::TypeTooLong);
    }
    if content.get().len() > ACCOUNT_DATA_SIZE_BYTES_MAX {
        return Err(UserDataError::TooLarge);
    }
    let mut tx = accounts.db().begin().await?;
    set_bounded(&mut tx, user_id, room_nid, data_type, content.into()).await?;
    tx.commit().await?;
    Ok(())
}

/// Set an entry, if the user has not stored too much.
async fn set_bounded(
    tx: &mut Tx,
    user_id: &UserId,
    room_nid: Option<RoomNid>,
    data_type: &str,
    content: Arc<RawValue>,
) -> Result<(), UserDataError> {
    let mut data = tx.account_data();
    let is_set = data.set_within(user_id, room_nid, data_type, content, ALL_SIZE_BYTES_MAX).await?;
    if is_set { Ok(()) } else { Err(UserDataError::TooMuch) }
}

/// Delete an entry, as a client asks for it. It need not exist.
pub async fn delete(
    accounts: &Accounts,
    user_id: &UserId,
    room_nid: Option<RoomNid>,
    data_type: &str,
) -> Result<(), UserDataError> {
    if !accounts.settings().account_data_deletable {
        return Err(UserDataError::NotDeletable);
    }
    check_own_endpoint(data_type)?;
    let mut tx = accounts.db().begin().await?;
    tx.account_data().delete(user_id, room_nid, &[data_type.to_owned()]).await?;
    tx.commit().await?;
    Ok(())
}

/// Some types have endpoints of their own.
fn check_own_endpoint(data_type: &str) -> Result<(), UserDataError> {
    match data_type {
        "m.fully_read" => Err(UserDataError::ReadMarker(data_type.to_owned())),
        "m.push_rules" => Err(UserDataError::PushRules(data_type.to_owned())),
        _ => Ok(()),
    }
}

/// Delete what is stored for devices that are gone.
pub(crate) async fn delete_of_devices(
    tx: &mut Tx,
    user_id: &UserId,
    device_ids: &[OwnedDeviceId],
) -> Result<(), StorageError> {
    let types: Vec<String> =
        device_ids.iter().map(|id| format!("{DEVICE_NOTIFICATION_SETTINGS}{id}")).collect();
    tx.account_data().delete(user_id, None, &types).await
}

/// The tags of a room.
pub async fn list_tags(
    accounts: &Accounts,
    user_id: &UserId,
    room_nid: RoomNid,
) -> Result<Map<String, Value>, StorageError> {
    let content = accounts.db().account_data().find(user_id, Some(room_nid), TAGS).await?;
    Ok(read_tags(content.as_deref()))
}

/// Add, change or (with nothing) delete a tag.
pub async fn set_tag(
    accounts: &Accounts,
    user_id: &UserId,
    room_nid: RoomNid,
    tag: &str,
    content: Option<Map<String, Value>>,
) -> Result<(), UserDataError> {
    if tag.len() > TYPE_LENGTH_BYTES_MAX {
        return Err(UserDataError::TypeTooLong);
    }
    if content
        .as_ref()
        .and_then(|content| content.get("order"))
        .is_some_and(|order| !order.is_number())
    {
        return Err(UserDataError::InvalidOrder);
    }
    let mut tx = accounts.db().begin().await?;
    let before = tx.account_data().find_for_update(user_id, Some(room_nid), TAGS).await?;
    let mut tags = read_tags(before.as_deref());
    match content {
        Some(content) => drop(tags.insert(tag.to_owned(), Value::Object(content))),
        None if tags.remove(tag).is_none() => return Ok(()),
        None => {}
    }
    let json = serde_json::json!({ "tags": tags }).to_string();
    if json.len() > ACCOUNT_DATA_SIZE_BYTES_MAX {
        return Err(UserDataError::TooLarge);
    }
    let content: Arc<RawValue> =
        RawValue::from_string(json).map_err(|_| UserDataError::TooLarge)?.into();
    set_bounded(&mut tx, user_id, Some(room_nid), TAGS, content).await?;
    tx.commit().await?;
    Ok(())
}

fn read_tags(content: Option<&RawValue>) -> Map<String, Value> {
    let content: Option<Map<String, Value>> =
        content.and_then(|content| serde_json::from_str(content.get()).ok());
    match content.and_then(|mut content| content.remove("tags")) {
        Some(Value::Object(tags)) => tags,
        Some(_) | None => Map::new(),
    }
}
