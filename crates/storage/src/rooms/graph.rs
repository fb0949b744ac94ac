//! The event graph of a room: the events that are there, how they stand, and those that are missing.
//!
//! It is read past the cache: what is kept beside the log comes to every node without an entry there.

use std::collections::{HashMap, HashSet};

use myelin_model::{EventFlags, EventNid, RoomNid, StateKeyNid, StateNid, StreamPos};
use ruma::{EventId, OwnedEventId, ServerName};

use crate::{Db, StorageError};

/// The number of missing events of a room that are listed.
const MISSING_EVENTS_MAX: i64 = 1_000;

/// An event in the graph.
#[derive(Debug, Clone)]
pub struct GraphEvent {
    /// Its number.
    pub nid: EventNid,
    pub room_nid: RoomNid,
    /// The number of its state key, if it is state.
    pub state_key_nid: Option<StateKeyNid>,
    /// The place of the event in the log, or beside it. `None` for outliers.
    pub pos: Option<StreamPos>,
    /// The outcome of the checks on it.
    pub flags: EventFlags,
    /// The state after it. `None` where it is not known.
    pub state_after: Option<StateNid>,
    /// The reason why it was rejected. `None` if it was not.
    pub rejection: Option<Box<str>>,
}

/// The references to an event that is not part of the history.
#[derive(Debug, Clone, Default)]
pub struct Traces {
    /// Events of the history follow it.
    pub is_followed: bool,
    /// The redaction of it that came before it: the first that counts.
    pub redacted_by: Option<EventNid>,
}

/// Reads of the event graph.
#[derive(Debug, Clone, Copy)]
pub struct Graph<'db> {
    db: &'db Db,
}

impl Db {
    /// The event graph.
    pub fn graph(&self) -> Graph<'_> {
        Graph { db: self }
    }
}

impl Graph<'_> {
    /// The events among these that are there. It takes one query.
    #[tracing::instrument(name = "db.graph.find", skip_all)]
    pub async fn find_many(
        &self,
        event_ids: &[&EventId],
    ) -> Result<HashMap<OwnedEventId, GraphEvent>, StorageError> {
        let ids: Vec<String> = event_ids.iter().map(ToString::to_string).collect();
        let rows = sqlx::query!(
            "SELECT event_id, event_nid, room_nid, state_key_nid, pos, flags, state_after, rejection FROM events WHERE event_id = ANY ($1)",
            &ids
        )
        .fetch_all(self.db.pool())
        .await?;
        rows.into_iter()
            .map(|row| {
                let event_id = OwnedEventId::try_from(row.event_id)
                    .map_err(StorageError::inconsistent("events.event_id"))?;
                let event = GraphEvent {
                    nid: EventNid(row.event_nid),
                    room_nid: RoomNid(row.room_nid),
                    state_key_nid: row.state_key_nid.map(StateKeyNid),
                    pos: row.pos.map(StreamPos),
                    flags: EventFlags(row.flags),
                    state_after: row.state_after.map(StateNid),
                    rejection: row.rejection.map(Into::into),
                };
                Ok((event_id, event))
            })
            .collect()
    }

    /// The references to an event of a room. It takes one query.
    ///
    /// A redaction counts if its sender had the power to redact whatever it is, or is of the event's own server: `server`.
    #[tracing::instrument(name = "db.graph.find_traces", skip_all)]
    pub async fn find_traces(
        &self,
        room_nid: RoomNid,
        event_id: &EventId,
        server: &ServerName,
    ) -> Result<Traces, StorageError> {
        let row = sqlx::query!(
            r#"
            SELECT
                EXISTS (SELECT FROM missing_events WHERE event_id = $2) AS "is_followed!",
                (
                    SELECT l.redaction_nid FROM late_redactions l JOIN events e ON e.event_nid = l.redaction_nid
                    WHERE l.target_id = $2 AND l.room_nid = $1
                        AND (l.is_powerful OR substr(e.sender, strpos(e.sender, ':') + 1) = $3)
                    ORDER BY l.redaction_nid LIMIT 1
                ) AS redacted_by
            "#,
            room_nid.0,
            event_id.as_str(),
            server.as_str()
        )
        .fetch_one(self.db.pool())
        .await?;
        Ok(Traces { is_followed: row.is_followed, redacted_by: row.redacted_by.map(EventNid) })
    }

    /// The events among these that are known, as part of a history, or missing before some that are. It takes one query.
    #[tracing::instrument(name = "db.graph.find_followed", skip_all)]
    pub async fn find_followed(
        &self,
        event_ids: &[&EventId],
    ) -> Result<HashSet<OwnedEventId>, StorageError> {
        let ids: Vec<String> = event_ids.iter().map(ToString::to_string).collect();
        let found = sqlx::query_scalar!(
            r#"
            SELECT event_id AS "event_id!" FROM events WHERE event_id = ANY ($1) AND pos IS NOT NULL
            UNION
            SELECT event_id FROM missing_events WHERE event_id = ANY ($1)
            "#,
            &ids
        )
        .fetch_all(self.db.pool())
        .await?;
        let id =
            |id| OwnedEventId::try_from(id).map_err(StorageError::inconsistent("events.event_id"));
        found.into_iter().map(id).collect()
    }

    /// The events that are missing from a room's history though others follow them: its backward extremities. At most a thousand.
    #[tracing::instrument(name = "db.graph.list_missing", skip_all, fields(room.nid = %room_nid))]
    pub async fn list_missing(&self, room_nid: RoomNid) -> Result<Vec<OwnedEventId>, StorageError> {
        let ids = sqlx::query_scalar!(
            "SELECT DISTINCT event_id FROM missing_events WHERE room_nid = $1 ORDER BY event_id LIMIT $2",
            room_nid.0,
            MISSING_EVENTS_MAX
        )
        .fetch_all(self.db.pool())
        .await?;
        let id = |id| {
            OwnedEventId::try_from(id)
                .map_err(StorageError::inconsistent("missing_events.event_id"))
        };
        ids.into_iter().map(id).collect()
    }
}
