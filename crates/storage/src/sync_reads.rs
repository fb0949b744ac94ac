//! What `/sync` reads of many rooms at once: every function is one query, however many rooms.

use std::sync::Arc;

use myelin_model::{EventNid, Membership, RoomNid, StateKeyNid, StreamPos};
use ruma::{OwnedEventId, OwnedUserId, UserId};

use crate::{
    Db, StorageError,
    events::HIDDEN,
    log::{LogEntry, decode_row},
};

/// How many own membership changes in one room are followed back.
const MEMBERSHIP_CHANGES_MAX: i32 = 1_000;

/// How many members of rooms are listed.
const MEMBERS_MAX: i64 = 20_000;

/// A user's relation to a room.
#[derive(Debug, Clone, Copy)]
pub struct MembershipRow {
    /// The room.
    pub room_nid: RoomNid,
    /// What it is.
    pub membership: Membership,
    /// The member event.
    pub event_nid: EventNid,
    /// Where the member event stands.
    pub pos: StreamPos,
    /// The user forgot the room.
    pub forgotten: bool,
}

/// An account data entry.
#[derive(Debug, Clone)]
pub struct AccountDataRow {
    /// The room, or `None` for global account data.
    pub room_nid: Option<RoomNid>,
    /// The type.
    pub data_type: Box<str>,
    /// The content, as JSON.
    pub content: Box<str>,
}

/// A receipt.
#[derive(Debug, Clone)]
pub struct ReceiptRow {
    /// The room.
    pub room_nid: RoomNid,
    /// Who has read.
    pub user_id: OwnedUserId,
    /// `m.read` or `m.read.private`.
    pub receipt_type: Box<str>,
    /// The thread: empty for the unthreaded receipt.
    pub thread_id: Box<str>,
    /// The event read.
    pub event_id: OwnedEventId,
    /// Where it stands.
    pub event_pos: StreamPos,
    /// Its [`myelin_model::Event::notify_ordinal`].
    pub notify_ordinal: i64,
    /// When, in milliseconds since the epoch.
    pub ts: u64,
}

/// A stretch of a room's history that is asked for: its newest events.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// The room.
    pub room_nid: RoomNid,
    /// Events after this position,
    pub after: StreamPos,
    /// up to this one.
    pub upto: StreamPos,
    /// At most so many, the newest.
    pub limit: usize,
}

/// An event in a stretch, before it is loaded.
#[derive(Debug, Clone)]
pub struct StretchRow {
    /// Which of the stretches asked for, by its index.
    pub stretch: usize,
    /// The event.
    pub event_nid: EventNid,
    /// Where it stands.
    pub pos: StreamPos,
    /// Who sent it.
    pub sender: Box<str>,
    /// It is a member event.
    pub is_member: bool,
    /// Which state it sets.
    pub state_key_nid: Option<StateKeyNid>,
    /// The state event that it took the place of.
    pub replaces: Option<EventNid>,
}

/// The columns of a [`StretchRow`].
struct StretchColumns {
    ord: i64,
    event_nid: i64,
    pos: i64,
    sender: String,
    membership: Option<i16>,
    state_key_nid: Option<i64>,
    replaces: Option<i64>,
}

impl From<StretchColumns> for StretchRow {
    fn from(row: StretchColumns) -> Self {
        Self {
            stretch: usize::try_from(row.ord - 1).unwrap_or(usize::MAX),
            event_nid: EventNid(row.event_nid),
            pos: StreamPos(row.pos),
            sender: row.sender.into(),
            is_member: row.membership.is_some(),
            state_key_nid: row.state_key_nid.map(StateKeyNid),
            replaces: row.replaces.map(EventNid),
        }
    }
}

/// Reads for `/sync`.
#[derive(Debug, Clone, Copy)]
pub struct SyncReads<'db> {
    db: &'db Db,
}

impl Db {
    /// Reads for `/sync`.
    pub fn sync_reads(&self) -> SyncReads<'_> {
        SyncReads { db: self }
    }
}

impl SyncReads<'_> {
    pub(crate) fn db(&self) -> &Db {
        self.db
    }

    /// All rooms that a user has anything to do with.
    pub async fn list_memberships(
        &self,
        user_id: &UserId,
    ) -> Result<Vec<MembershipRow>, StorageError> {
        let rows = sqlx::query!(
            "SELECT room_nid, membership, event_nid, pos, forgotten FROM memberships WHERE user_id = $1",
            user_id.as_str()
        )
        .fetch_all(self.db.pool())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(MembershipRow {
                    room_nid: RoomNid(row.room_nid),
                    membership: Membership::from_i16(row.membership).ok_or_else(|| {
                        StorageError::inconsistent("memberships.membership")("unknown")
                    })?,
                    event_nid: EventNid(row.event_nid),
                    pos: StreamPos(row.pos),
                    forgotten: row.forgotten,
                })
            })
            .collect()
    }

    /// A user's account data: global, and of all rooms.
    pub async fn list_account_data(
        &self,
        user_id: &UserId,
    ) -> Result<Vec<AccountDataRow>, StorageError> {
        let rows = sqlx::query!(
            "SELECT room_nid, data_type, content FROM account_data WHERE user_id = $1 ORDER BY room_nid, data_type",
            user_id.as_str()
        )
        .fetch_all(self.db.pool())
        .await?;
        let rows = rows.into_iter().map(|row| AccountDataRow {
            room_nid: (row.room_nid != 0).then_some(RoomNid(row.room_nid)),
            data_type: row.data_type.into(),
            content: row.content.into(),
        });
        Ok(rows.collect())
    }

    /// A filter that the user stored, as JSON.
    pub async fn find_filter(
        &self,
        user_id: &UserId,
        filter_id: i64,
    ) -> Result<Option<String>, StorageError> {
        Ok(sqlx::query_scalar!(
            "SELECT content FROM filters WHERE user_id = $1 AND filter_id = $2",
            user_id.as_str(),
            filter_id
        )
        .fetch_optional(self.db.pool())
        .await?)
    }

    /// The receipts in rooms: everybody's public ones and the user's own, or only the user's own.
    pub async fn list_receipts(
        &self,
        room_nids: &[RoomNid],
        user_id: &UserId,
        only_own: bool,
    ) -> Result<Vec<ReceiptRow>, StorageError> {
        let room_nids: Vec<i64> = room_nids.iter().map(|nid| nid.0).collect();
        let rows = sqlx::query!(
            r#"
            SELECT r.room_nid, r.user_id, r.receipt_type, r.thread_id, r.event_pos, r.ts, e.event_id AS "event_id!",
                e.notify_ordinal AS "notify_ordinal!"
            FROM receipts r
            -- a lookup each, never a join with all events
            JOIN LATERAL (SELECT event_id, notify_ordinal FROM events WHERE event_nid = r.event_nid OFFSET 0) AS e ON true
            WHERE r.room_nid = ANY ($1) AND (r.user_id = $2 OR NOT $3 AND r.receipt_type <> 'm.read.private')
            "#,
            &room_nids,
            user_id.as_str(),
            only_own
        )
        .fetch_all(self.db.pool())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(ReceiptRow {
                    room_nid: RoomNid(row.room_nid),
                    user_id: OwnedUserId::try_from(row.user_id)
                        .map_err(StorageError::inconsistent("receipts.user_id"))?,
                    receipt_type: row.receipt_type.into(),
                    thread_id: row.thread_id.into(),
                    event_id: OwnedEventId::try_from(row.event_id)
                        .map_err(StorageError::inconsistent("events.event_id"))?,
                    event_pos: StreamPos(row.event_pos),
                    notify_ordinal: row.notify_ordinal,
                    ts: u64::try_from(row.ts).unwrap_or_default(),
                })
            })
            .collect()
    }

    /// What happened to a user and the rooms: the entries of the log, room events aside, and the rooms that have newer events.
    /// Changes of device lists are everybody's.
    pub async fn list_news(
        &self,
        user_id: &UserId,
        room_nids: &[RoomNid],
        after: StreamPos,
        upto: StreamPos,
    ) -> Result<(Vec<Arc<LogEntry>>, Vec<RoomNid>), StorageError> {
        let room_nids: Vec<i64> = room_nids.iter().map(|nid| nid.0).collect();
        let rows = sqlx::query!(
            r#"
            SELECT pos AS "pos!", kind, room_nid, user_id, payload FROM log
            WHERE pos > $3 AND pos <= $4 AND user_id = $1
            UNION ALL
            SELECT l.pos, l.kind, l.room_nid, l.user_id, l.payload FROM unnest($2::bigint[]) AS r (room_nid)
            CROSS JOIN LATERAL (
                SELECT pos, kind, room_nid, user_id, payload FROM log
                WHERE log.room_nid = r.room_nid AND pos > $3 AND pos <= $4 AND user_id IS DISTINCT FROM $1
                OFFSET 0 -- one look into the index a room, however many entries other rooms have
            ) AS l
            UNION ALL
            SELECT last_pos, NULL, room_nid, NULL, NULL FROM rooms
            WHERE room_nid = ANY ($2) AND last_pos > $3
            UNION ALL
            SELECT pos, kind, room_nid, user_id, payload FROM log
            WHERE pos > $3 AND pos <= $4 AND kind = 7 AND user_id <> $1
            ORDER BY 1
            "#,
            user_id.as_str(),
            &room_nids,
            after.0,
            upto.0
        )
        .fetch_all(self.db.pool())
        .await?;
        let (mut entries, mut changed) = (Vec::new(), Vec::new());
        for row in rows {
            match (row.kind, row.payload) {
                (Some(kind), Some(payload)) => {
                    let change = decode_row(kind, row.room_nid, row.user_id, payload)?;
                    entries.push(Arc::new(LogEntry { pos: StreamPos(row.pos), change }));
                }
                _ => changed.extend(row.room_nid.map(RoomNid)),
            }
        }
        Ok((entries, changed))
    }

    /// The events of stretches of history, oldest first.
    pub async fn list_stretches(
        &self,
        stretches: &[Stretch],
    ) -> Result<Vec<StretchRow>, StorageError> {
        let rooms: Vec<i64> = stretches.iter().map(|stretch| stretch.room_nid.0).collect();
        let after: Vec<i64> = stretches.iter().map(|stretch| stretch.after.0).collect();
        let upto: Vec<i64> = stretches.iter().map(|stretch| stretch.upto.0).collect();
        let limits: Vec<i64> = stretches
            .iter()
            .map(|stretch| i64::try_from(stretch.limit).unwrap_or(i64::MAX))
            .collect();
        let rows = sqlx::query_as!(
            StretchColumns,
            r#"
            SELECT s.ord AS "ord!", e.event_nid, e.pos AS "pos!", e.sender, e.membership, e.state_key_nid, e.replaces
            FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
                AS s (room_nid, after, upto, count, ord)
            CROSS JOIN LATERAL (
                SELECT event_nid, pos, sender, membership, state_key_nid, replaces FROM events
                WHERE room_nid = s.room_nid AND pos > s.after AND pos <= s.upto AND flags & $5 < 1
                ORDER BY pos DESC LIMIT s.count
            ) AS e
            ORDER BY e.pos
            "#,
            &rooms,
            &after,
            &upto,
            &limits,
            HIDDEN
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// The last state events of each state key in stretches of history; their limits are not looked at.
    pub async fn list_state_changes(
        &self,
        stretches: &[Stretch],
    ) -> Result<Vec<StretchRow>, StorageError> {
        let rooms: Vec<i64> = stretches.iter().map(|stretch| stretch.room_nid.0).collect();
        let after: Vec<i64> = stretches.iter().map(|stretch| stretch.after.0).collect();
        let upto: Vec<i64> = stretches.iter().map(|stretch| stretch.upto.0).collect();
        let rows = sqlx::query_as!(
            StretchColumns,
            r#"
            SELECT DISTINCT ON (s.ord, e.state_key_nid)
                s.ord AS "ord!", e.event_nid, e.pos AS "pos!", e.sender, e.membership, e.state_key_nid, e.replaces
            FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS s (room_nid, after, upto, ord)
            CROSS JOIN LATERAL (
                SELECT event_nid, pos, sender, membership, state_key_nid, replaces FROM events
                WHERE room_nid = s.room_nid AND pos > s.after AND pos <= s.upto AND state_key_nid IS NOT NULL
                    AND flags & $4 < 1
                OFFSET 0 -- one look into the index a stretch, never a join with all events
            ) AS e
            ORDER BY s.ord, e.state_key_nid, e.pos DESC
            "#,
            &rooms,
            &after,
            &upto,
            HIDDEN
        )
        .fetch_all(self.db.pool())
        .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// From member events back through those they took the place of, down to and including the first at or before
    /// `after`: room, event, position, membership; newest first within a room.
    pub async fn list_member_chain(
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

    /// Those of the users who are joined to one of the rooms.
    pub async fn list_joined(
        &self,
        user_ids: &[OwnedUserId],
        room_nids: &[RoomNid],
    ) -> Result<Vec<OwnedUserId>, StorageError> {
        let users: Vec<String> = user_ids.iter().map(ToString::to_string).collect();
        let rooms: Vec<i64> = room_nids.iter().map(|nid| nid.0).collect();
        let rows = sqlx::query_scalar!(
            r#"SELECT DISTINCT u.user_id AS "user_id!" FROM unnest($1::text[]) AS u (user_id)
               WHERE EXISTS (
                   SELECT 1 FROM memberships m
                   WHERE m.user_id = u.user_id AND m.room_nid = ANY ($2) AND m.membership = 2
               )"#,
            &users,
            &rooms
        )
        .fetch_all(self.db.pool())
        .await?;
        rows.into_iter()
            .map(|user_id| {
                OwnedUserId::try_from(user_id)
                    .map_err(StorageError::inconsistent("memberships.user_id"))
            })
            .collect()
    }

    /// Who is joined to one of the rooms, at most some ten thousand.
    pub async fn list_members(
        &self,
        room_nids: &[RoomNid],
    ) -> Result<Vec<OwnedUserId>, StorageError> {
        let rooms: Vec<i64> = room_nids.iter().map(|nid| nid.0).collect();
        let rows = sqlx::query_scalar!(
            "SELECT DISTINCT user_id FROM memberships WHERE room_nid = ANY ($1) AND membership = 2 LIMIT $2",
            &rooms,
            MEMBERS_MAX
        )
        .fetch_all(self.db.pool())
        .await?;
        rows.into_iter()
            .map(|user_id| {
                OwnedUserId::try_from(user_id)
                    .map_err(StorageError::inconsistent("memberships.user_id"))
            })
            .collect()
    }
}
