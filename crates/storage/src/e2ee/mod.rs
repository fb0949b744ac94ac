//! Keys that users keep here for one another and for themselves.

mod key_backups;

pub use self::key_backups::{BackedUpKey, KeyBackup, KeyBackups, KeyBackupsTx};
