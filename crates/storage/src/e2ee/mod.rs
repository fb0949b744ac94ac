//! Keys that users keep here for one another and for themselves, and messages for devices.

mod key_backups;
mod to_device;

pub use self::{
    key_backups::{BackedUpKey, KeyBackup, KeyBackups, KeyBackupsTx},
    to_device::{ToDevice, ToDeviceMessage},
};

pub(crate) use self::to_device::delete_beyond;
