//! Keys that users keep here for one another and for themselves, and messages for devices.

mod cross_signing;
mod device_keys;
mod key_backups;
mod key_counts;
mod one_time_keys;
mod queried_keys;
mod to_device;

pub use self::{
    cross_signing::{CrossSigningTx, KeyUsage},
    device_keys::{DeviceKeysTx, LockedDevice},
    key_backups::{BackedUpKey, KeyBackup, KeyBackups, KeyBackupsTx},
    key_counts::{KeyCounts, KeyCountsByDevice},
    one_time_keys::{ClaimedKey, KeyWanted, OneTimeKey, OneTimeKeysTx},
    queried_keys::{CrossSigningKey, KeySignature, QueriedDevice, QueriedKeys},
    to_device::{ToDevice, ToDeviceMessage},
};

pub(crate) use self::{key_counts::KeyCountRow, to_device::delete_beyond};
