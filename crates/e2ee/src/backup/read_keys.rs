//! Reading the keys of a backup.

use myelin_storage::{StorageError, e2ee::BackedUpKey};
use ruma::{OwnedUserId, UserId};

use super::{
    find_version::{find_version, number},
    key::to_json,
};
use crate::E2ee;

/// The number of keys that are read at once, some 1,500 bytes each.
const PAGE_KEYS: i64 = 1_000;

/// The reason why no keys are read.
#[derive(Debug, thiserror::Error)]
pub enum ReadKeysError {
    #[error("Unknown backup version")]
    UnknownVersion,
    #[error("No room_keys found")]
    UnknownKey,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A key of a backup, as JSON.
pub async fn find_key(
    e2ee: &E2ee,
    user_id: &UserId,
    version: &str,
    room_id: &str,
    session_id: &str,
) -> Result<String, ReadKeysError> {
    let version = get_version(e2ee, user_id, version).await?;
    let key = e2ee.db().key_backups().find_key(user_id, version, room_id, session_id).await?;
    key.as_ref().map(to_json).ok_or(ReadKeysError::UnknownKey)
}

/// All keys of a backup, or those of one room. The answer may be larger than memory, so it comes in pages.
pub async fn read_keys(
    e2ee: &E2ee,
    user_id: &UserId,
    version: &str,
    room_id: Option<&str>,
) -> Result<KeyPages, ReadKeysError> {
    let version = get_version(e2ee, user_id, version).await?;
    Ok(KeyPages {
        e2ee: e2ee.clone(),
        user_id: user_id.to_owned(),
        version,
        room_id: room_id.map(ToOwned::to_owned),
        last: None,
        is_done: false,
    })
}

async fn get_version(e2ee: &E2ee, user_id: &UserId, version: &str) -> Result<i64, ReadKeysError> {
    let found = find_version(e2ee, user_id, version).await?;
    found.and(number(version)).ok_or(ReadKeysError::UnknownVersion)
}

/// The keys of a backup, read a page at a time: the parts of one JSON object.
#[derive(Debug)]
pub struct KeyPages {
    e2ee: E2ee,
    user_id: OwnedUserId,
    version: i64,
    /// The one room whose keys are read.
    room_id: Option<String>,
    /// Room and session of the last key that was read.
    last: Option<(String, String)>,
    is_done: bool,
}

impl KeyPages {
    /// The next part of the JSON. `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<String>, StorageError> {
        if self.is_done {
            return Ok(None);
        }
        let keys = self.read().await?;
        self.is_done = keys.len() < usize::try_from(PAGE_KEYS).unwrap_or(usize::MAX);
        let mut out = String::new();
        if self.last.is_none() {
            out.push_str(if self.room_id.is_some() { "{\"sessions\":{" } else { "{\"rooms\":{" });
        }
        for key in keys {
            self.write(&mut out, key);
        }
        if self.is_done {
            out.push_str(if self.room_id.is_none() && self.last.is_some() { "}}}}" } else { "}}" });
        }
        Ok(Some(out))
    }

    async fn read(&self) -> Result<Vec<BackedUpKey>, StorageError> {
        let (room, session) = match &self.last {
            Some((room_id, session_id)) => (&**room_id, &**session_id),
            None => ("", ""),
        };
        let backups = self.e2ee.db().key_backups();
        let (user_id, version) = (&self.user_id, self.version);
        match &self.room_id {
            Some(room_id) => {
                backups.list_keys_of_room(user_id, version, room_id, session, PAGE_KEYS).await
            }
            None => backups.list_keys(user_id, version, (room, session), PAGE_KEYS).await,
        }
    }

    /// Write a key, and the beginning of its room where it is the first one of it.
    fn write(&mut self, out: &mut String, key: BackedUpKey) {
        let last_room = self.last.as_ref().map(|(room_id, _)| room_id);
        match last_room {
            Some(room_id) if *room_id == key.room_id => out.push(','),
            None if self.room_id.is_some() => {}
            last_room => {
                out.push_str(if last_room.is_some() { "}}," } else { "" });
                out.push_str(&serde_json::Value::from(&*key.room_id).to_string());
                out.push_str(":{\"sessions\":{");
            }
        }
        out.push_str(&serde_json::Value::from(&*key.session_id).to_string());
        out.push(':');
        out.push_str(&to_json(&key));
        self.last = Some((key.room_id, key.session_id));
    }
}
