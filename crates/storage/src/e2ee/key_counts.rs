//! The numbers of keys that devices have left for others to claim.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ruma::{OwnedDeviceId, UserId};

use crate::{Db, StorageError};

/// The keys that a device has left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// The number of its one-time keys, by algorithm. Algorithms of which there is none are missing.
    pub one_time_keys: BTreeMap<String, i64>,
    /// The algorithms of its fallback keys that nobody was given yet.
    pub unused_fallback_keys: BTreeSet<String>,
}

/// The keys that a user's devices have left. Devices that have none are missing.
pub type KeyCountsByDevice = HashMap<OwnedDeviceId, KeyCounts>;

/// The number of a device's one-time keys of an algorithm; or, without a number, the algorithm of an unused fallback key.
pub(crate) struct KeyCountRow {
    pub(crate) device_id: String,
    pub(crate) algorithm: String,
    pub(crate) count: Option<i64>,
}

impl KeyCounts {
    /// The keys of one device.
    pub(super) fn of(rows: Vec<KeyCountRow>) -> Self {
        let mut counts = Self::default();
        rows.into_iter().for_each(|row| counts.add(row));
        counts
    }

    pub(crate) fn add(&mut self, row: KeyCountRow) {
        match row.count {
            Some(count) => drop(self.one_time_keys.insert(row.algorithm, count)),
            None => drop(self.unused_fallback_keys.insert(row.algorithm)),
        }
    }
}

impl Db {
    /// The keys that a user's devices have left.
    #[tracing::instrument(name = "db.key_counts.list", skip_all, fields(user.id = %user_id))]
    pub async fn key_counts(&self, user_id: &UserId) -> Result<KeyCountsByDevice, StorageError> {
        let rows = sqlx::query_as!(
            KeyCountRow,
            r#"SELECT device_id AS "device_id!", algorithm AS "algorithm!", count(*) AS "count?" FROM one_time_keys
               WHERE user_id = $1 AND NOT claimed GROUP BY device_id, algorithm
               UNION ALL
               SELECT device_id, algorithm, NULL FROM fallback_keys WHERE user_id = $1 AND NOT used"#,
            user_id.as_str()
        )
        .fetch_all(self.pool())
        .await?;
        let mut devices = KeyCountsByDevice::new();
        for row in rows {
            devices.entry(row.device_id.clone().into()).or_default().add(row);
        }
        Ok(devices)
    }
}
