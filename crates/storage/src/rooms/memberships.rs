//! Queries over `memberships`: the current membership of every user in every room.

use std::sync::Arc;

use myelin_model::{Event, EventNid, Membership, RoomNid, StreamPos};
use ruma::{OwnedRoomId, OwnedUserId, ServerName, UserId};

use crate::{Db, StorageError, Tx, reads::Reads};

/// The number of own membership changes in one room that are followed back.
const MEMBERSHIP_CHANGES_MAX: i32 = 1_000;

/// The event by which a user came into a room.
#[derive(Debug, Clone, Copy)]
pub struct JoinRow {
    pub room_nid: RoomNid,
    /// The event's position.
    pub pos: StreamPos,
    /// The number of events up to it that notify by the default rules.
    pub notify_ordinal: i64,
}

/// A user's relation to a room.
#[derive(Debug, Clone, Copy)]
pub struct MembershipRow {
    pub room_nid: RoomNid,
    pub membership: Membership,
    /// The member event that sets it.
    pub event_nid: EventNid,
    /// The place of the member event in the log.
    pub pos: StreamPos,
    /// The user forgot the room.
    pub forgotten: bool,
}

/// Reads of memberships.
#[derive(Debug, Clone, Copy)]
pub struct Memberships<'db> {
    pub(super) db: &'db Db,
}

impl Db {
    /// Reads of memberships.
    pub fn memberships(&self) -> Memberships<'_> {
        Memberships { db: self }
    }
}

impl Memberships<'_> {
    /// Users of a server who are in a room, at most `count_max`.
    #[tracing::instrument(name = "db.memberships.list_of_server", skip_all, fields(room.nid = %room_nid))]
    pub async fn list_of_server(
        &self,
        room_nid: RoomNid,
        server: &ServerName,
        count_max: u32,
    ) -> Result<Vec<OwnedUserId>, StorageError> {
        let rows = sqlx::query_scalar!(
            "SELECT user_id FROM memberships
             WHERE room_nid = $1 AND membership = $2 AND right(user_id, length($3)) = $3 LIMIT $4",
            room_nid.0,
            Membership::Join.to_i16(),
            format!(":{server}"),
            i64::from(count_max)
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(to_user_ids(self.db.pool(), rows))
    }

    /// The guests of this server that are in a room or invited to it.
    #[tracing::instrument(name = "db.memberships.list_guests", skip_all, fields(room.nid = %room_nid))]
    pub async fn list_guests(&self, room_nid: RoomNid) -> Result<Vec<OwnedUserId>, StorageError> {
        let rows = sqlx::query_scalar!(
            "SELECT m.user_id FROM memberships m
             CROSS JOIN LATERAL (
                 SELECT FROM users u WHERE u.user_id = m.user_id AND u.is_guest
                 OFFSET 0 -- a look into the users for each member, never a join with all users
             ) AS guest
             WHERE m.room_nid = $1 AND m.membership = ANY ($2) ORDER BY m.user_id",
            room_nid.0,
            &[Membership::Join.to_i16(), Membership::Invite.to_i16()],
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(to_user_ids(self.db.pool(), rows))
    }

    /// The rooms in which a user has one of these memberships, oldest first.
    #[tracing::instrument(name = "db.memberships.list_room_ids", skip_all, fields(user.id = %user_id))]
    pub async fn list_room_ids(
        &self,
        user_id: &UserId,
        memberships: &[Membership],
    ) -> Result<Vec<OwnedRoomId>, StorageError> {
        let memberships: Vec<i16> =
            memberships.iter().map(|membership| membership.to_i16()).collect();
        let rows = sqlx::query_scalar!(
            "SELECT room_id FROM memberships JOIN rooms USING (room_nid) WHERE user_id = $1 AND membership = ANY ($2)
             ORDER BY room_nid",
            user_id.as_str(),
            &memberships,
        )
        .fetch_all(self.db.pool())
        .await?;
        let room_ids = rows.into_iter().filter_map(|room_id| {
            let room_id = OwnedRoomId::try_from(room_id);
            self.db.pool().readable(room_id.map_err(StorageError::inconsistent("rooms.room_id")))
        });
        Ok(room_ids.collect())
    }

    /// The users that have one of these memberships in a room, by ID.
    #[tracing::instrument(name = "db.memberships.list_user_ids", skip_all, fields(room.nid = %room_nid))]
    pub async fn list_user_ids(
        &self,
        room_nid: RoomNid,
        memberships: &[Membership],
    ) -> Result<Vec<OwnedUserId>, StorageError> {
        let memberships: Vec<i16> =
            memberships.iter().map(|membership| membership.to_i16()).collect();
        let rows = sqlx::query_scalar!(
            "SELECT user_id FROM memberships WHERE room_nid = $1 AND membership = ANY ($2) ORDER BY user_id",
            room_nid.0,
            &memberships,
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(to_user_ids(self.db.pool(), rows))
    }

    /// The member events of all whose current membership is one of `memberships`, in the order in which they came. It
    /// takes at most two queries.
    #[tracing::instrument(name = "db.memberships.list_events", skip_all)]
    pub async fn list_events(
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
        self.db.events().list(&nids).await
    }

    /// The users who are joined to one of the rooms.
    #[tracing::instrument(name = "db.memberships.list_joined", skip_all)]
    pub async fn list_joined(
        &self,
        room_nids: &[RoomNid],
    ) -> Result<Vec<OwnedUserId>, StorageError> {
        let rooms: Vec<i64> = room_nids.iter().map(|nid| nid.0).collect();
        let rows = sqlx::query_scalar!(
            r#"
            SELECT DISTINCT m.user_id AS "user_id!" FROM unnest($1::bigint[]) AS r (room_nid)
            CROSS JOIN LATERAL (
                SELECT user_id FROM memberships WHERE room_nid = r.room_nid AND membership = $2
                OFFSET 0 -- one look into the index a room
            ) AS m
            "#,
            &rooms,
            Membership::Join.to_i16()
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(to_user_ids(self.db.pool(), rows))
    }

    /// The users among these who are joined to one of the rooms. Costs as many lookups as there are pairs of a user and
    /// a room, at worst.
    #[tracing::instrument(name = "db.memberships.list_joined_among", skip_all)]
    pub async fn list_joined_among(
        &self,
        user_ids: &[OwnedUserId],
        room_nids: &[RoomNid],
    ) -> Result<Vec<OwnedUserId>, StorageError> {
        let users: Vec<String> = user_ids.iter().map(ToString::to_string).collect();
        let rooms: Vec<i64> = room_nids.iter().map(|nid| nid.0).collect();
        let rows = sqlx::query_scalar!(
            r#"
            SELECT u.user_id AS "user_id!" FROM unnest($1::text[]) AS u (user_id)
            CROSS JOIN LATERAL (
                SELECT 1 FROM memberships m
                WHERE m.user_id = u.user_id AND m.room_nid = ANY ($2) AND m.membership = $3
                LIMIT 1 -- lookups by key a user, never a join with all memberships
            ) AS m
            "#,
            &users,
            &rooms,
            Membership::Join.to_i16()
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(to_user_ids(self.db.pool(), rows))
    }

    /// The member events before these: from each of them back through those it took the place of, down to and including
    /// the first at or before `after`. Newest first within a room.
    #[tracing::instrument(name = "db.memberships.list_chain", skip_all)]
    pub async fn list_chain(
        &self,
        event_nids: &[EventNid],
        after: StreamPos,
    ) -> Result<Vec<MembershipRow>, StorageError> {
        let nids: Vec<i64> = event_nids.iter().map(|nid| nid.0).collect();
        let rows = sqlx::query!(
            r#"
            WITH RECURSIVE chain AS (
                SELECT event_nid, room_nid, pos, replaces, membership, 1 AS depth FROM events WHERE event_nid = ANY ($1)
                UNION ALL
                SELECT e.event_nid, e.room_nid, e.pos, e.replaces, e.membership, chain.depth + 1
                FROM chain JOIN events e ON e.event_nid = chain.replaces
                WHERE chain.pos > $2 AND chain.depth < $3
            )
            SELECT event_nid AS "event_nid!", room_nid AS "room_nid!", pos, membership FROM chain ORDER BY depth
            "#,
            &nids,
            after.0,
            MEMBERSHIP_CHANGES_MAX
        )
        .fetch_all(self.db.pool())
        .await?;
        let rows = rows.into_iter().filter_map(|row| {
            Some(MembershipRow {
                room_nid: RoomNid(row.room_nid),
                membership: Membership::from_i16(row.membership?)?,
                event_nid: EventNid(row.event_nid),
                pos: StreamPos(row.pos.unwrap_or(0)),
                forgotten: false,
            })
        });
        Ok(rows.collect())
    }

    /// The event by which each of these member events' users came into the room: the event itself, or the first of the joins that it
    /// took the place of one after the other, as a new name makes one. It takes one query.
    #[tracing::instrument(name = "db.memberships.list_joins", skip_all)]
    pub async fn list_joins(&self, event_nids: &[EventNid]) -> Result<Vec<JoinRow>, StorageError> {
        let nids: Vec<i64> = event_nids.iter().map(|nid| nid.0).collect();
        let rows = sqlx::query!(
            r#"
            WITH RECURSIVE chain AS (
                SELECT event_nid AS newest, room_nid, pos, notify_ordinal, replaces, 1 AS depth
                FROM events WHERE event_nid = ANY ($1)
                UNION ALL
                SELECT chain.newest, chain.room_nid, e.pos, e.notify_ordinal, e.replaces, chain.depth + 1
                FROM chain
                CROSS JOIN LATERAL (
                    SELECT pos, notify_ordinal, replaces, membership FROM events WHERE event_nid = chain.replaces OFFSET 0
                ) AS e
                WHERE e.membership = $2 AND chain.depth < $3
            )
            SELECT DISTINCT ON (newest) room_nid AS "room_nid!", pos, notify_ordinal AS "notify_ordinal!"
            FROM chain ORDER BY newest, depth DESC
            "#,
            &nids,
            Membership::Join.to_i16(),
            MEMBERSHIP_CHANGES_MAX
        )
        .fetch_all(self.db.pool())
        .await?;
        let rows = rows.into_iter().map(|row| JoinRow {
            room_nid: RoomNid(row.room_nid),
            pos: StreamPos(row.pos.unwrap_or(0)),
            notify_ordinal: row.notify_ordinal,
        });
        Ok(rows.collect())
    }

    /// A user's membership in a room, with its member event.
    #[tracing::instrument(name = "db.memberships.find", skip_all)]
    pub async fn find(
        &self,
        room_nid: RoomNid,
        user_id: &UserId,
    ) -> Result<Option<(Membership, EventNid)>, StorageError> {
        let row = sqlx::query!(
            "SELECT membership, event_nid FROM memberships WHERE user_id = $1 AND room_nid = $2",
            user_id.as_str(),
            room_nid.0
        )
        .fetch_optional(self.db.pool())
        .await?;
        let found = |membership, nid| Some((Membership::from_i16(membership)?, EventNid(nid)));
        Ok(row.and_then(|row| found(row.membership, row.event_nid)))
    }

    /// Whether a user of a server has joined a room.
    #[tracing::instrument(name = "db.memberships.has_joined_from", skip_all)]
    pub async fn has_joined_from(
        &self,
        room_nid: RoomNid,
        server: &ServerName,
    ) -> Result<bool, StorageError> {
        let found = sqlx::query_scalar!(
            r#"SELECT EXISTS (
                SELECT FROM memberships WHERE room_nid = $1 AND membership = membership_join()
                    AND right(user_id, length($2)) = $2
            ) AS "found!""#,
            room_nid.0,
            format!(":{server}")
        )
        .fetch_one(self.db.pool())
        .await?;
        Ok(found)
    }

    /// Whether a user has left a room and wants nothing of it shown any more.
    #[tracing::instrument(name = "db.memberships.is_forgotten", skip_all)]
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
    #[tracing::instrument(name = "db.memberships.share", skip_all)]
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

    /// The number of users who have joined each of some rooms. Rooms that nobody has joined are left out.
    #[tracing::instrument(name = "db.memberships.count_joined", skip_all)]
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
}

/// Writes of memberships. Those that events change are written with the events.
#[derive(Debug)]
pub struct MembershipsTx<'tx> {
    tx: &'tx mut Tx,
}

impl Tx {
    /// Writes of memberships.
    pub fn memberships(&mut self) -> MembershipsTx<'_> {
        MembershipsTx { tx: self }
    }
}

impl MembershipsTx<'_> {
    /// Forget a room for a user who has left it or is banned. The membership found, and nothing is changed if it is another one.
    pub async fn set_forgotten(
        &mut self,
        user_id: &UserId,
        room_nid: RoomNid,
    ) -> Result<Option<Membership>, StorageError> {
        self.tx.lock_log().await?;
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
        .fetch_optional(&mut *self.tx.inner)
        .await?;
        Ok(membership.and_then(Membership::from_i16))
    }
}

fn to_user_ids(pool: &Reads, rows: Vec<String>) -> Vec<OwnedUserId> {
    let user_ids = rows.into_iter().map(|user_id| {
        OwnedUserId::try_from(user_id).map_err(StorageError::inconsistent("memberships.user_id"))
    });
    user_ids.filter_map(|user_id| pool.readable(user_id)).collect()
}
