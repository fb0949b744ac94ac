//! Queries over `one_time_keys` and `fallback_keys`: the keys of devices that others claim.

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};

use super::{KeyCounts, key_counts::KeyCountRow};
use crate::{Change, Db, StorageError, Tx};

/// A key for others to claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTimeKey {
    pub algorithm: String,
    /// The key's ID, without the algorithm.
    pub key_id: String,
    /// The key, as canonical JSON.
    pub key: String,
}

/// The device of which a key is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyWanted {
    pub user_id: OwnedUserId,
    pub device_id: OwnedDeviceId,
    pub algorithm: String,
}

/// A key that was claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedKey {
    pub user_id: OwnedUserId,
    pub device_id: OwnedDeviceId,
    pub key: OneTimeKey,
}

struct ClaimedRow {
    user_id: String,
    device_id: String,
    algorithm: String,
    key_id: String,
    key: String,
    is_news: bool,
}

impl Db {
    /// Claim a key of each device: its oldest one-time key, or its fallback key where none is left. No key is given twice, on
    /// whichever nodes it is asked for at once. Devices that have none are passed over.
    #[tracing::instrument(name = "db.one_time_keys.claim", skip_all)]
    pub async fn claim_keys(&self, wanted: &[KeyWanted]) -> Result<Vec<ClaimedKey>, StorageError> {
        let mut tx = self.begin().await?;
        let rows = tx.claim_keys(wanted).await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in rows {
            let user_id = OwnedUserId::try_from(row.user_id);
            let user_id = user_id.map_err(StorageError::inconsistent("one_time_keys.user_id"))?;
            let last = claimed.last().map(|claimed: &ClaimedKey| &claimed.user_id);
            if row.is_news && last != Some(&user_id) {
                tx.publish(Change::KeyCounts { user_id: user_id.clone() });
            }
            claimed.push(ClaimedKey {
                user_id,
                device_id: row.device_id.into(),
                key: OneTimeKey { algorithm: row.algorithm, key_id: row.key_id, key: row.key },
            });
        }
        tx.commit().await?;
        Ok(claimed)
    }
}

impl Tx {
    async fn claim_keys(&mut self, wanted: &[KeyWanted]) -> Result<Vec<ClaimedRow>, StorageError> {
        let texts = |text: fn(&KeyWanted) -> &str| -> Vec<String> {
            wanted.iter().map(|key| text(key).to_owned()).collect()
        };
        let rows = sqlx::query_as!(
            ClaimedRow,
            r#"
            WITH wanted AS (
                SELECT DISTINCT user_id, device_id, algorithm
                FROM unnest($1::text[], $2::text[], $3::text[]) AS w (user_id, device_id, algorithm)
            ), oldest AS (
                SELECT k.key_nid FROM wanted w CROSS JOIN LATERAL (
                    SELECT key_nid FROM one_time_keys k
                    WHERE k.user_id = w.user_id AND k.device_id = w.device_id AND k.algorithm = w.algorithm AND NOT k.claimed
                    ORDER BY key_nid LIMIT 1
                    FOR UPDATE SKIP LOCKED -- what somebody else claims at the same time is not waited for
                ) AS k
            ), taken AS (
                UPDATE one_time_keys SET claimed = true WHERE key_nid = ANY (ARRAY(SELECT key_nid FROM oldest))
                RETURNING user_id, device_id, algorithm, key_id, key
            ), fallback AS (
                SELECT f.* FROM wanted w CROSS JOIN LATERAL (
                    SELECT key_nid, user_id, device_id, algorithm, key_id, key, used FROM fallback_keys f
                    WHERE f.user_id = w.user_id AND f.device_id = w.device_id AND f.algorithm = w.algorithm
                    OFFSET 0 -- a look for each device
                ) AS f
                WHERE NOT EXISTS (
                    SELECT FROM taken t
                    WHERE t.user_id = w.user_id AND t.device_id = w.device_id AND t.algorithm = w.algorithm
                )
            ), unused AS (
                SELECT key_nid FROM fallback_keys
                WHERE key_nid = ANY (ARRAY(SELECT key_nid FROM fallback WHERE NOT used)) AND NOT used
                ORDER BY key_nid FOR UPDATE -- in one order, so that two claims never wait for each other
            ), marked AS (
                UPDATE fallback_keys SET used = true WHERE key_nid = ANY (ARRAY(SELECT key_nid FROM unused))
                RETURNING key_nid
            )
            SELECT user_id AS "user_id!", device_id AS "device_id!", algorithm AS "algorithm!", key_id AS "key_id!",
                key AS "key!", true AS "is_news!" FROM taken
            UNION ALL
            SELECT user_id, device_id, algorithm, key_id, key, EXISTS (SELECT FROM marked m WHERE m.key_nid = f.key_nid)
            FROM fallback f
            ORDER BY 1, 6 DESC, 2
            "#,
            &texts(|key| key.user_id.as_str()),
            &texts(|key| key.device_id.as_str()),
            &texts(|key| &key.algorithm)
        )
        .fetch_all(&mut *self.inner)
        .await?;
        Ok(rows)
    }

    /// Keys of devices that others claim.
    pub fn one_time_keys(&mut self) -> OneTimeKeysTx<'_> {
        OneTimeKeysTx { tx: self }
    }
}

/// Writes of the keys that others claim, for a device that is locked. Follow a change by [`OneTimeKeysTx::publish`].
#[derive(Debug)]
pub struct OneTimeKeysTx<'tx> {
    tx: &'tx mut Tx,
}

impl OneTimeKeysTx<'_> {
    /// Announce that the number of a user's keys changed.
    pub fn publish(&mut self, user_id: &UserId) {
        self.tx.publish(Change::KeyCounts { user_id: user_id.to_owned() });
    }

    /// The keys of a device that have the IDs of `keys`, those that were claimed lately among them. The flag: it was claimed.
    #[tracing::instrument(name = "db.one_time_keys.list_same", skip_all, fields(user.id = %user_id))]
    pub async fn list_same(
        &mut self,
        user_id: &UserId,
        device_id: &DeviceId,
        keys: &[OneTimeKey],
    ) -> Result<Vec<(OneTimeKey, bool)>, StorageError> {
        let (algorithms, key_ids, _) = columns(keys);
        let rows = sqlx::query!(
            "SELECT k.algorithm, k.key_id, k.key, k.claimed
             FROM unnest($3::text[], $4::text[]) AS w (algorithm, key_id)
             CROSS JOIN LATERAL (
                 SELECT algorithm, key_id, key, claimed FROM one_time_keys k
                 WHERE k.user_id = $1 AND k.device_id = $2 AND k.algorithm = w.algorithm AND k.key_id = w.key_id
                 OFFSET 0 -- a look for each key
             ) AS k",
            user_id.as_str(),
            device_id.as_str(),
            &algorithms,
            &key_ids
        )
        .fetch_all(&mut *self.tx.inner)
        .await?;
        let key = |algorithm, key_id, key| OneTimeKey { algorithm, key_id, key };
        let rows = rows.into_iter();
        Ok(rows.map(|row| (key(row.algorithm, row.key_id, row.key), row.claimed)).collect())
    }

    /// Add one-time keys behind those that the device has. One that takes the ID of a claimed key takes its place.
    #[tracing::instrument(name = "db.one_time_keys.add", skip_all, fields(user.id = %user_id))]
    pub async fn add(
        &mut self,
        user_id: &UserId,
        device_id: &DeviceId,
        keys: &[OneTimeKey],
    ) -> Result<(), StorageError> {
        let (algorithms, key_ids, keys) = columns(keys);
        sqlx::query!(
            "INSERT INTO one_time_keys AS stored (user_id, device_id, algorithm, key_id, key)
             SELECT $1, $2, k.algorithm, k.key_id, k.key
             FROM unnest($3::text[], $4::text[], $5::text[]) WITH ORDINALITY AS k (algorithm, key_id, key, place)
             ORDER BY k.place
             ON CONFLICT (user_id, device_id, algorithm, key_id) DO UPDATE
             SET key_nid = DEFAULT, key = excluded.key, claimed = false WHERE stored.claimed",
            user_id.as_str(),
            device_id.as_str(),
            &algorithms,
            &key_ids,
            &keys
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Forget claimed keys of a device, but for the newest `keep`.
    #[tracing::instrument(name = "db.one_time_keys.forget_claimed", skip_all, fields(user.id = %user_id))]
    pub async fn forget_claimed(
        &mut self,
        user_id: &UserId,
        device_id: &DeviceId,
        keep: i64,
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "DELETE FROM one_time_keys WHERE key_nid = ANY (ARRAY(
                 SELECT key_nid FROM one_time_keys WHERE user_id = $1 AND device_id = $2 AND claimed
                 ORDER BY key_nid DESC OFFSET $3
             ))",
            user_id.as_str(),
            device_id.as_str(),
            keep
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Set fallback keys, at most one for each algorithm. One that differs from the last one counts as unused. Whether one did.
    #[tracing::instrument(name = "db.one_time_keys.set_fallback", skip_all, fields(user.id = %user_id))]
    pub async fn set_fallback(
        &mut self,
        user_id: &UserId,
        device_id: &DeviceId,
        keys: &[OneTimeKey],
    ) -> Result<bool, StorageError> {
        let (algorithms, key_ids, keys) = columns(keys);
        let done = sqlx::query!(
            "INSERT INTO fallback_keys AS stored (user_id, device_id, algorithm, key_id, key)
             SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::text[])
             ON CONFLICT (user_id, device_id, algorithm) DO UPDATE
             SET key_id = excluded.key_id, key = excluded.key, used = false
             WHERE (stored.key_id, stored.key) IS DISTINCT FROM (excluded.key_id, excluded.key)",
            user_id.as_str(),
            device_id.as_str(),
            &algorithms,
            &key_ids,
            &keys
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// The keys that a device has left.
    #[tracing::instrument(name = "db.one_time_keys.count", skip_all, fields(user.id = %user_id))]
    pub async fn count(
        &mut self,
        user_id: &UserId,
        device_id: &DeviceId,
    ) -> Result<KeyCounts, StorageError> {
        let rows = sqlx::query_as!(
            KeyCountRow,
            r#"SELECT device_id AS "device_id!", algorithm AS "algorithm!", count(*) AS "count?" FROM one_time_keys
               WHERE user_id = $1 AND device_id = $2 AND NOT claimed GROUP BY device_id, algorithm
               UNION ALL
               SELECT device_id, algorithm, NULL FROM fallback_keys WHERE user_id = $1 AND device_id = $2 AND NOT used"#,
            user_id.as_str(),
            device_id.as_str()
        )
        .fetch_all(&mut *self.tx.inner)
        .await?;
        Ok(KeyCounts::of(rows))
    }
}

/// The algorithms, IDs and contents of keys.
fn columns(keys: &[OneTimeKey]) -> (Vec<String>, Vec<String>, Vec<String>) {
    let texts = |text: fn(&OneTimeKey) -> &String| -> Vec<String> {
        keys.iter().map(text).cloned().collect()
    };
    (texts(|key| &key.algorithm), texts(|key| &key.key_id), texts(|key| &key.key))
}
