//! Backups of message keys (client-server API, "Server-side key backups"). The server cannot read them. Only the newest backup
//! of a user takes keys.

mod add_keys;
mod add_version;
mod delete_keys;
mod delete_version;
mod find_version;
mod key;
mod read_keys;
mod set_auth_data;

pub use self::{
    add_keys::{AddKeysError, add_keys},
    add_version::{AddVersionError, add_version},
    delete_keys::{DeleteKeysError, delete_keys},
    delete_version::{DeleteVersionError, delete_version},
    find_version::{find_current_version, find_version},
    key::{InvalidKey, Keys},
    read_keys::{KeyPages, ReadKeysError, find_key, read_keys},
    set_auth_data::{SetAuthDataError, set_auth_data},
};

use myelin_storage::{StorageError, Tx, e2ee::KeyBackup};
use ruma::UserId;

/// The size of the data of a backup's algorithm: a public key, and signatures by the user's devices.
const AUTH_DATA_SIZE_BYTES_MAX: usize = 65_536;

/// The keys of a backup, all of them or a part.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    All,
    Room(&'a str),
    Session(&'a str, &'a str),
}

/// The state of a backup after its keys were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// The number of times that its keys changed.
    pub etag: i64,
    /// The number of its keys.
    pub keys_count: i64,
}

impl Counts {
    /// Note what became of a backup. Where no key changed, it has the etag that it had.
    async fn set(
        tx: &mut Tx,
        user_id: &UserId,
        before: &KeyBackup,
        keys_count: i64,
        changed: bool,
    ) -> Result<Self, StorageError> {
        if !changed {
            return Ok(Self { etag: before.etag, keys_count });
        }
        let etag = before.etag.saturating_add(1);
        tx.key_backups().set_counts(user_id, before.version, etag, keys_count).await?;
        Ok(Self { etag, keys_count })
    }
}
