//! The current states that a room had.
//!
//! An event that followed all there was, alone, left the room with the state after it. From there on the state events that came, and
//! what state resolution did besides, say what the room's state was: the state after an event on a branch is that of the branch.

use myelin_model::{EventFlags, EventNid, RoomNid, StateKeyNid, StateNid, StreamPos};

use super::{History, events::HIDDEN};
use crate::{StateMap, StorageError, log::Kind};

/// The number of events that are looked at for one that left the room with the state after it. Where there is none among them, the oldest
/// of them is taken for one.
const EVENTS_MAX: i64 = 1_000;

impl History<'_> {
    /// The current state that a room had at a position. Nothing before its first event. It takes two queries, two more where the last event
    /// there left the room with branches.
    #[tracing::instrument(name = "db.history.get_state_at", skip_all, fields(room.nid = %room_nid))]
    pub async fn get_state_at(
        &self,
        room_nid: RoomNid,
        pos: StreamPos,
    ) -> Result<StateMap, StorageError> {
        let last = sqlx::query!(
            r#"SELECT state_after AS "state_after!", flags FROM events
               WHERE room_nid = $1 AND pos <= $2 AND state_after IS NOT NULL AND flags & $3 < 1 ORDER BY pos DESC LIMIT 1"#,
            room_nid.0,
            pos.0,
            HIDDEN
        )
        .fetch_optional(self.db.pool())
        .await?;
        let Some(last) = last else { return Ok(StateMap::new()) };
        let flags = EventFlags(last.flags);
        if flags.contains(EventFlags::LINEAR) || flags.contains(EventFlags::PAST) {
            return self.db.states().get(StateNid(last.state_after)).await;
        }
        let Some((base_pos, base)) = self.find_base(room_nid, pos).await? else {
            return self.db.states().get(StateNid(last.state_after)).await;
        };
        let mut state = self.db.states().get(base).await?;
        for (key, event) in self.list_line_changes(room_nid, base_pos, pos).await? {
            match event {
                Some(event) => drop(state.insert(key, event)),
                None => drop(state.remove(&key)),
            }
        }
        Ok(state)
    }

    /// The last event that left the room with the state after it: its position, and that state.
    async fn find_base(
        &self,
        room_nid: RoomNid,
        upto: StreamPos,
    ) -> Result<Option<(StreamPos, StateNid)>, StorageError> {
        let base = sqlx::query!(
            r#"
            SELECT pos AS "pos!", state_after AS "state_after!" FROM (
                SELECT pos, state_after, flags & flag_linear() > 0 AS is_linear FROM events
                WHERE room_nid = $1 AND pos > 0 AND pos <= $2 AND state_after IS NOT NULL AND flags & $3 < 1
                ORDER BY pos DESC LIMIT $4
            ) AS e ORDER BY is_linear DESC, CASE WHEN is_linear THEN -pos ELSE pos END LIMIT 1
            "#,
            room_nid.0,
            upto.0,
            HIDDEN,
            EVENTS_MAX
        )
        .fetch_optional(self.db.pool())
        .await?;
        Ok(base.map(|row| (StreamPos(row.pos), StateNid(row.state_after))))
    }

    /// The changes of a room's current state between two positions, in their order, with what state resolution did because of the last
    /// event: that stands after it. `None`: the key has no event any more.
    async fn list_line_changes(
        &self,
        room_nid: RoomNid,
        after: StreamPos,
        upto: StreamPos,
    ) -> Result<Vec<(StateKeyNid, Option<EventNid>)>, StorageError> {
        let rows = sqlx::query!(
            r#"
            SELECT pos AS "pos!", state_key_nid AS "state_key_nid!", event_nid FROM events
            WHERE room_nid = $1 AND pos > $2 AND pos <= $3 AND state_key_nid IS NOT NULL AND flags & $4 < 1
            UNION ALL
            SELECT pos, (payload::json ->> 'k')::bigint, (payload::json ->> 'e')::bigint FROM log
            WHERE room_nid = $1 AND pos > $2 AND kind = $5 AND pos < coalesce(
                (SELECT e.pos FROM events AS e WHERE e.room_nid = $1 AND e.pos > $3 ORDER BY e.pos LIMIT 1), log.pos + 1)
            ORDER BY 1
            "#,
            room_nid.0,
            after.0,
            upto.0,
            HIDDEN,
            Kind::StateReset.number()
        )
        .fetch_all(self.db.pool())
        .await?;
        let change = |key, nid: Option<i64>| (StateKeyNid(key), nid.map(EventNid));
        Ok(rows.into_iter().map(|row| change(row.state_key_nid, row.event_nid)).collect())
    }
}
