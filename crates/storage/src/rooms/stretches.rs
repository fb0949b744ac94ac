//! Stretches of the histories of many rooms at once: one query, however many rooms.

use myelin_model::{EventNid, RoomNid, StateKeyNid, StreamPos};

use super::{History, events::HIDDEN};
use crate::StorageError;

/// A stretch of a room's history that is asked for: its newest events.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    pub room_nid: RoomNid,
    /// The position after which the events stand.
    pub after: StreamPos,
    /// The position up to which the events stand, itself included.
    pub upto: StreamPos,
    /// The number of events at most. The newest are taken.
    pub limit: usize,
}

/// An event in a stretch, before it is loaded.
#[derive(Debug, Clone)]
pub struct StretchRow {
    /// The index of the stretch among those asked for.
    pub stretch: usize,
    pub event_nid: EventNid,
    /// The place of the event in the log.
    pub pos: StreamPos,
    /// The user who sent it.
    pub sender: Box<str>,
    pub is_member: bool,
    /// The part of the state that it sets. `None`: it is not state.
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

impl History<'_> {
    /// The events of stretches of history, oldest first.
    #[tracing::instrument(name = "db.history.list_stretches", skip_all)]
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
    #[tracing::instrument(name = "db.history.list_state_changes", skip_all)]
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
}
