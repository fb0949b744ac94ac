//! Queries over `memberships`: the current membership of every user in every room.

use myelin_model::{Membership, RoomNid};
use ruma::{OwnedRoomId, OwnedUserId, UserId};

use crate::{Db, StorageError, Tx};

impl Db {
    /// The users that have one of these memberships in a room, by ID.
    #[tracing::instrument(name = "db.memberships.list_members", skip_all, fields(room.nid = %room_nid), err)]
    pub async fn list_members(
        &self,
        room_nid: RoomNid,
        memberships: &[Membership],
    ) -> Result<Vec<OwnedUserId>, StorageError> {
        let memberships: Vec<i16> =
            memberships.iter().map(|membership| membership.to_i16()).collect();
        sqlx::query_scalar!(
            "SELECT user_id FROM memberships WHERE room_nid = $1 AND membership = ANY ($2) ORDER BY user_id",
            room_nid.0,
            &memberships,
        )
        .fetch_all(self.pool())
        .await?
        .into_iter()
        .map(|user_id| {
            OwnedUserId::try_from(user_id).map_err(StorageError::inconsistent("memberships.user_id"))
        })
        .collect()
    }

    /// The rooms in which a user has one of these memberships, oldest first.
    #[tracing::instrument(name = "db.memberships.list_rooms", skip_all, fields(user.id = %user_id), err)]
    pub async fn list_room_ids(
        &self,
        user_id: &UserId,
        memberships: &[Membership],
    ) -> Result<Vec<OwnedRoomId>, StorageError> {
        let memberships: Vec<i16> =
            memberships.iter().map(|membership| membership.to_i16()).collect();
        sqlx::query_scalar!(
            "SELECT room_id FROM memberships JOIN rooms USING (room_nid) WHERE user_id = $1 AND membership = ANY ($2)
             ORDER BY room_nid",
            user_id.as_str(),
            &memberships,
        )
        .fetch_all(self.pool())
        .await?
        .into_iter()
        .map(|room_id| {
            OwnedRoomId::try_from(room_id).map_err(StorageError::inconsistent("rooms.room_id"))
        })
        .collect()
    }
}

impl Tx {
    /// Forget a room for a user who has left it or is banned. The membership found, and nothing is changed if it is another one.
    pub async fn forget_room(
        &mut self,
        user_id: &UserId,
        room_nid: RoomNid,
    ) -> Result<Option<Membership>, StorageError> {
        let membership = sqlx::query_scalar!(
            r#"
            WITH current AS (
                SELECT user_id, room_nid, membership FROM memberships WHERE user_id = $1 AND room_nid = $2 FOR UPDATE
            ), forgotten AS (
                UPDATE memberships AS m SET forgotten = true FROM current
                WHERE m.user_id = current.user_id AND m.room_nid = current.room_nid
                    AND current.membership = ANY ($3)
            )
            SELECT membership AS "membership!" FROM current
            "#,
            user_id.as_str(),
            room_nid.0,
            &[Membership::Leave.to_i16(), Membership::Ban.to_i16()],
        )
        .fetch_optional(&mut *self.inner)
        .await?;
        Ok(membership.and_then(Membership::from_i16))
    }
}
