//! The rows of a user who syncs on a node, read together.

use myelin_model::{EventNid, Membership, RoomNid, StreamPos};
use ruma::{OwnedDeviceId, UserId};

use crate::{
    Db, MembershipRow, StorageError,
    e2ee::{KeyCountRow, KeyCountsByDevice},
};

/// The rows of a user who syncs.
#[derive(Debug, Default)]
pub struct HotUserRows {
    /// All rooms that the user has anything to do with.
    pub memberships: Vec<MembershipRow>,
    /// The keys that the user's devices have left for others to claim.
    pub key_counts: KeyCountsByDevice,
    /// The devices for which messages wait.
    pub inboxes: Vec<OwnedDeviceId>,
}

/// A membership; or, where `room_nid` is not set, a number of keys; or, without an algorithm, a device for which messages wait.
struct HotUserRow {
    room_nid: Option<i64>,
    membership: Option<i16>,
    event_nid: Option<i64>,
    pos: Option<i64>,
    forgotten: Option<bool>,
    device_id: Option<String>,
    algorithm: Option<String>,
    count: Option<i64>,
}

impl Db {
    /// Read what is kept of a user who syncs.
    #[tracing::instrument(name = "db.hot_users.get", skip_all, fields(user.id = %user_id))]
    pub async fn hot_user(&self, user_id: &UserId) -> Result<HotUserRows, StorageError> {
        let rows = sqlx::query_as!(
            HotUserRow,
            r#"
            SELECT room_nid AS "room_nid?", membership AS "membership?", event_nid AS "event_nid?", pos AS "pos?",
                forgotten AS "forgotten?", NULL AS "device_id?", NULL AS "algorithm?", NULL::bigint AS "count?"
            FROM memberships WHERE user_id = $1
            UNION ALL
            SELECT NULL, NULL, NULL, NULL, NULL, device_id, algorithm, count(*) FROM one_time_keys
            WHERE user_id = $1 AND NOT claimed GROUP BY device_id, algorithm
            UNION ALL
            SELECT NULL, NULL, NULL, NULL, NULL, device_id, algorithm, NULL FROM fallback_keys WHERE user_id = $1 AND NOT used
            UNION ALL
            SELECT NULL, NULL, NULL, NULL, NULL, device_id, NULL, NULL FROM devices
            WHERE user_id = $1 AND EXISTS (
                SELECT FROM to_device WHERE to_device.user_id = $1 AND to_device.device_id = devices.device_id)
            "#,
            user_id.as_str()
        )
        .fetch_all(self.pool())
        .await?;
        let mut user = HotUserRows::default();
        for row in rows {
            // One that cannot be read is inert by itself.
            self.pool().readable(user.add(row));
        }
        Ok(user)
    }
}

impl HotUserRows {
    fn add(&mut self, row: HotUserRow) -> Result<(), StorageError> {
        let unknown = || StorageError::inconsistent("memberships.membership")("unknown");
        match row {
            HotUserRow {
                room_nid: Some(room_nid),
                membership: Some(membership),
                event_nid: Some(event_nid),
                pos: Some(pos),
                forgotten: Some(forgotten),
                ..
            } => self.memberships.push(MembershipRow {
                room_nid: RoomNid(room_nid),
                membership: Membership::from_i16(membership).ok_or_else(unknown)?,
                event_nid: EventNid(event_nid),
                pos: StreamPos(pos),
                forgotten,
            }),
            HotUserRow {
                device_id: Some(device_id), algorithm: Some(algorithm), count, ..
            } => {
                let device = self.key_counts.entry(device_id.clone().into()).or_default();
                device.add(KeyCountRow { device_id, algorithm, count });
            }
            HotUserRow { device_id: Some(device_id), .. } => self.inboxes.push(device_id.into()),
            HotUserRow { .. } => {}
        }
        Ok(())
    }
}
