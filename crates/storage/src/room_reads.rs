//! Lone reads about rooms and who is in them.

use std::sync::Arc;

use myelin_model::{Event, EventNid, Membership, RoomNid};
use ruma::{OwnedRoomId, UserId};

use crate::{Db, StorageError};

/// Reads about rooms.
#[derive(Debug, Clone, Copy)]
pub struct RoomReads<'db> {
    db: &'db Db,
}

impl Db {
    /// Reads about rooms.
    pub fn room_reads(&self) -> RoomReads<'_> {
        RoomReads { db: self }
    }
}

impl RoomReads<'_> {
    /// The rooms that a user has joined.
    #[tracing::instrument(name = "db.rooms.list_joined", skip_all, err)]
    pub async fn list_joined(&self, user_id: &UserId) -> Result<Vec<OwnedRoomId>, StorageError> {
        sqlx::query_scalar!(
            "SELECT room_id FROM memberships JOIN rooms USING (room_nid) WHERE user_id = $1 AND membership = $2
             ORDER BY room_nid",
            user_id.as_str(),
            Membership::Join.to_i16()
        )
        .fetch_all(self.db.pool())
        .await?
        .into_iter()
        .map(|room_id| room_id.try_into().map_err(StorageError::inconsistent("rooms.room_id")))
        .collect()
    }

    /// Whether a user has left a room and wants nothing of it shown any more.
    #[tracing::instrument(name = "db.rooms.is_forgotten", skip_all, err)]
    pub async fn is_forgotten(
        &self,
        room_nid: RoomNid,
        user_id: &UserId,
    ) -> Result<bool, StorageError> {
        let forgotten = sqlx::query_scalar!(
            "SELECT forgotten FROM memberships WHERE user_id = $1 AND room_nid = $2",
            user_id.as_str(),
            room_nid.0
        )
        .fetch_optional(self.db.pool())
        .await?;
        Ok(forgotten.unwrap_or(false))
    }

    /// Whether two users have joined a room together.
    #[tracing::instrument(name = "db.rooms.share", skip_all, err)]
    pub async fn share(&self, one: &UserId, other: &UserId) -> Result<bool, StorageError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (
                SELECT 1 FROM memberships a JOIN memberships b USING (room_nid)
                WHERE a.user_id = $1 AND b.user_id = $2 AND a.membership = $3 AND b.membership = $3
            ) AS "share!""#,
            one.as_str(),
            other.as_str(),
            Membership::Join.to_i16()
        )
        .fetch_one(self.db.pool())
        .await?)
    }

    /// How many users have joined each of some rooms. Rooms that nobody has joined are left out.
    #[tracing::instrument(name = "db.rooms.count_joined", skip_all, err)]
    pub async fn count_joined(
        &self,
        room_nids: &[RoomNid],
    ) -> Result<Vec<(RoomNid, i64)>, StorageError> {
        let nids: Vec<i64> = room_nids.iter().map(|nid| nid.0).collect();
        let rows = sqlx::query!(
            r#"SELECT room_nid, count(*) AS "count!" FROM memberships
               WHERE room_nid = ANY ($1) AND membership = $2 GROUP BY room_nid"#,
            &nids,
            Membership::Join.to_i16()
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(rows.into_iter().map(|row| (RoomNid(row.room_nid), row.count)).collect())
    }

    /// The member events of all whose current membership is one of `memberships`, in the order in which they came. At most
    /// two queries.
    #[tracing::instrument(name = "db.rooms.list_members", skip_all, err)]
    pub async fn list_members(
        &self,
        room_nid: RoomNid,
        memberships: &[Membership],
    ) -> Result<Vec<Arc<Event>>, StorageError> {
        let wanted: Vec<i16> = memberships.iter().map(|membership| membership.to_i16()).collect();
        let nids: Vec<EventNid> = sqlx::query_scalar!(
            "SELECT event_nid FROM memberships WHERE room_nid = $1 AND membership = ANY ($2) ORDER BY pos",
            room_nid.0,
            &wanted
        )
        .fetch_all(self.db.pool())
        .await?
        .into_iter()
        .map(EventNid)
        .collect();
        self.db.events().in_order(&nids).await
    }
}
