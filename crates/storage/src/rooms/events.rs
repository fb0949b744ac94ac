//! Queries over `events`.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use myelin_model::{
    Event, EventFlags, EventNid, Membership, RoomNid, StateKeyNid, StateNid, StreamPos, Transaction,
};
use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId};

use crate::{Db, StorageError, reads::Reads};

/// The flags of events that failed the checks: they stand in no timeline and relate to nothing.
///
/// Queries say `flags & $n < 1`: of `= 0` the planner believes that it leaves one row of two hundred, and reads a whole room for a
/// page of it.
pub(crate) const HIDDEN: i16 = EventFlags::REJECTED.with(EventFlags::SOFT_FAILED).0;

/// A row of `events` with what belongs to it.
pub(crate) struct EventRow {
    pub(crate) event_nid: i64,
    pub(crate) room_nid: i64,
    pub(crate) room_id: String,
    pub(crate) pos: Option<i64>,
    pub(crate) depth: i64,
    pub(crate) origin_server_ts: i64,
    pub(crate) state_key_nid: Option<i64>,
    pub(crate) state_key: Option<String>,
    pub(crate) state_before: Option<i64>,
    pub(crate) state_after: Option<i64>,
    pub(crate) replaces: Option<i64>,
    pub(crate) redacts: Option<i64>,
    pub(crate) redacted_by: Option<i64>,
    pub(crate) notify_ordinal: i64,
    pub(crate) flags: i16,
    pub(crate) membership: Option<i16>,
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    pub(crate) sender: String,
    pub(crate) json: String,
    pub(crate) txn_device_id: Option<String>,
    pub(crate) txn_path: Option<String>,
    pub(crate) txn_id: Option<String>,
}

impl TryFrom<EventRow> for Event {
    type Error = StorageError;

    fn try_from(row: EventRow) -> Result<Self, StorageError> {
        let transaction = match (row.txn_device_id, row.txn_path, row.txn_id) {
            (Some(device_id), Some(path), Some(txn_id)) => Some(Transaction {
                device_id: device_id.into(),
                path: path.into(),
                txn_id: txn_id.into(),
            }),
            _ => None,
        };
        let membership = row.membership.map(|number| {
            Membership::from_i16(number)
                .ok_or_else(|| StorageError::inconsistent("events.membership")("unknown"))
        });
        Ok(Self {
            nid: EventNid(row.event_nid),
            room_nid: RoomNid(row.room_nid),
            room_id: OwnedRoomId::try_from(row.room_id)
                .map_err(StorageError::inconsistent("rooms.room_id"))?,
            pos: row.pos.map(StreamPos),
            event_id: OwnedEventId::try_from(row.event_id)
                .map_err(StorageError::inconsistent("events.event_id"))?,
            event_type: row.event_type.into(),
            state_key: row.state_key.map(Into::into),
            state_key_nid: row.state_key_nid.map(StateKeyNid),
            sender: OwnedUserId::try_from(row.sender)
                .map_err(StorageError::inconsistent("events.sender"))?,
            origin_server_ts: row.origin_server_ts,
            depth: row.depth,
            membership: membership.transpose()?,
            state_before: row.state_before.map(StateNid),
            state_after: row.state_after.map(StateNid),
            replaces: row.replaces.map(EventNid),
            redacts: row.redacts.map(EventNid),
            redacted_by: row.redacted_by.map(EventNid),
            flags: EventFlags(row.flags),
            notify_ordinal: row.notify_ordinal,
            transaction,
            json: row.json.into(),
            client_json: OnceLock::new(),
        })
    }
}

/// Read events by number, past the cache. Those that cannot be read are missing, like those that do not exist.
pub(crate) async fn read_by_nids(
    pool: &Reads,
    nids: &[i64],
) -> Result<HashMap<EventNid, Arc<Event>>, StorageError> {
    let rows = read_rows(pool, nids).await?.into_iter();
    let events = rows.filter_map(|row| pool.readable(Event::try_from(row)));
    Ok(events.map(|event| (event.nid, Arc::new(event))).collect())
}

/// Read the rows of events by number.
pub(crate) async fn read_rows(pool: &Reads, nids: &[i64]) -> Result<Vec<EventRow>, StorageError> {
    if nids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_as!(
        EventRow,
        r#"
        SELECT e.event_nid AS "event_nid!", e.room_nid AS "room_nid!", r.room_id AS "room_id!", e.pos,
            e.depth AS "depth!", e.origin_server_ts AS "origin_server_ts!", e.state_key_nid, k.state_key AS "state_key?",
            e.state_before, e.state_after, e.replaces, e.redacts, e.redacted_by,
            e.notify_ordinal AS "notify_ordinal!", e.flags AS "flags!", e.membership, e.event_id AS "event_id!",
            e.event_type AS "event_type!", e.sender AS "sender!", e.json AS "json!",
            t.device_id AS "txn_device_id?", t.event_type AS "txn_path?", t.txn_id AS "txn_id?"
        FROM unnest($1::bigint[]) AS n (nid)
        -- Lookups by key, whatever the planner believed of the tables when it made its plan; never joins of whole tables.
        JOIN LATERAL (SELECT * FROM events WHERE event_nid = n.nid OFFSET 0) AS e ON true
        JOIN LATERAL (SELECT room_id FROM rooms WHERE room_nid = e.room_nid OFFSET 0) AS r ON true
        LEFT JOIN LATERAL (SELECT state_key FROM state_keys WHERE state_key_nid = e.state_key_nid OFFSET 0) AS k ON true
        LEFT JOIN LATERAL (SELECT device_id, event_type, txn_id FROM transactions WHERE event_nid = e.event_nid OFFSET 0) AS t ON true
        "#,
        nids,
    )
    .fetch_all(pool)
    .await?)
}

/// Events, through the node's cache.
#[derive(Debug, Clone, Copy)]
pub struct Events<'db> {
    db: &'db Db,
}

impl Db {
    /// Events.
    pub fn events(&self) -> Events<'_> {
        Events { db: self }
    }
}

impl Events<'_> {
    /// Find events by number. Those that do not exist are missing from the answer. It takes at most one query.
    pub async fn find_many(
        &self,
        nids: &[EventNid],
    ) -> Result<HashMap<EventNid, Arc<Event>>, StorageError> {
        let (events, missing) = self.db.event_cache().split(nids);
        self.complete(events, &missing).await
    }

    /// Find events by number as [`Events::find_many`] does, with the verdicts that the database has: what is kept beside the log is judged
    /// anew without an entry there. It takes at most one query, none if all are in memory and part of the history.
    pub async fn find_judged(
        &self,
        nids: &[EventNid],
    ) -> Result<HashMap<EventNid, Arc<Event>>, StorageError> {
        let (mut events, mut missing) = self.db.event_cache().split(nids);
        events.retain(|nid, event| {
            let is_settled = event.pos.is_some() && event.is_visible();
            if !is_settled {
                missing.push(nid.0);
            }
            is_settled
        });
        self.complete(events, &missing).await
    }

    /// Add events that are to be read.
    async fn complete(
        &self,
        mut events: HashMap<EventNid, Arc<Event>>,
        missing: &[i64],
    ) -> Result<HashMap<EventNid, Arc<Event>>, StorageError> {
        if !missing.is_empty() {
            let token = self.db.event_cache().begin_read();
            let read = read_by_nids(self.db.pool(), missing).await?;
            for event in read.values() {
                self.db.event_cache().insert_read(&token, event);
            }
            events.extend(read);
        }
        Ok(events)
    }

    /// Find one event by number.
    pub async fn find(&self, nid: EventNid) -> Result<Option<Arc<Event>>, StorageError> {
        Ok(self.find_many(&[nid]).await?.remove(&nid))
    }

    /// Find the numbers of events by their IDs. It takes at most one query.
    pub async fn find_nids(
        &self,
        event_ids: &[&EventId],
    ) -> Result<HashMap<OwnedEventId, EventNid>, StorageError> {
        let (mut found, missing) = self.db.event_cache().split_ids(event_ids);
        if !missing.is_empty() {
            let rows = sqlx::query!(
                "SELECT event_id, event_nid FROM events WHERE event_id = ANY ($1)",
                &missing[..] as &[String]
            )
            .fetch_all(self.db.pool())
            .await?;
            for row in rows {
                let event_id = OwnedEventId::try_from(row.event_id)
                    .map_err(StorageError::inconsistent("events.event_id"));
                if let Some(event_id) = self.db.pool().readable(event_id) {
                    found.insert(event_id, EventNid(row.event_nid));
                }
            }
        }
        Ok(found)
    }

    /// Find an event by its ID. Outliers and rejected events are found too: mind [`Event::flags`].
    pub async fn find_by_id(&self, event_id: &EventId) -> Result<Option<Arc<Event>>, StorageError> {
        let Some(nid) = self.find_nids(&[event_id]).await?.remove(event_id) else {
            return Ok(None);
        };
        self.find(nid).await
    }

    /// A page of a room's history: the numbers of its events with positions after `after` and up to `upto`, without
    /// rejected and soft-failed ones, newest first if `backward`, at most `limit`.
    #[tracing::instrument(name = "db.events.list_page", skip_all, fields(room.nid = %room_nid))]
    pub async fn list_page(
        &self,
        room_nid: RoomNid,
        after: StreamPos,
        upto: StreamPos,
        backward: bool,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>, StorageError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let nids = if backward {
            sqlx::query_scalar!(
                "SELECT event_nid FROM events WHERE room_nid = $1 AND pos > $2 AND pos <= $3 AND flags & $4 < 1
                 ORDER BY pos DESC LIMIT $5",
                room_nid.0,
                after.0,
                upto.0,
                HIDDEN,
                limit
            )
            .fetch_all(self.db.pool())
            .await?
        } else {
            sqlx::query_scalar!(
                "SELECT event_nid FROM events WHERE room_nid = $1 AND pos > $2 AND pos <= $3 AND flags & $4 < 1
                 ORDER BY pos LIMIT $5",
                room_nid.0,
                after.0,
                upto.0,
                HIDDEN,
                limit
            )
            .fetch_all(self.db.pool())
            .await?
        };
        let nids: Vec<EventNid> = nids.into_iter().map(EventNid).collect();
        self.list(&nids).await
    }

    /// The newest events of many rooms, with positions after `after` and up to `upto`: at most `limit` a room, oldest
    /// first, without rejected and soft-failed ones. It takes at most two queries.
    #[tracing::instrument(name = "db.events.list_timelines", skip_all)]
    pub async fn list_timelines(
        &self,
        room_nids: &[RoomNid],
        after: StreamPos,
        upto: StreamPos,
        limit: usize,
    ) -> Result<HashMap<RoomNid, Vec<Arc<Event>>>, StorageError> {
        let rooms: Vec<i64> = room_nids.iter().map(|nid| nid.0).collect();
        let nids: Vec<EventNid> = sqlx::query_scalar!(
            r#"
            SELECT e.event_nid
            FROM unnest($1::bigint[]) AS r (room_nid)
            CROSS JOIN LATERAL (
                SELECT event_nid, pos FROM events
                WHERE room_nid = r.room_nid AND pos > $2 AND pos <= $3 AND flags & $4 < 1
                ORDER BY pos DESC LIMIT $5
            ) AS e
            ORDER BY e.pos
            "#,
            &rooms,
            after.0,
            upto.0,
            HIDDEN,
            i64::try_from(limit).unwrap_or(i64::MAX),
        )
        .fetch_all(self.db.pool())
        .await?
        .into_iter()
        .map(EventNid)
        .collect();
        let mut timelines: HashMap<RoomNid, Vec<Arc<Event>>> = HashMap::new();
        for event in self.list(&nids).await? {
            timelines.entry(event.room_nid).or_default().push(event);
        }
        Ok(timelines)
    }

    /// The events of a room by their time, at most `limit`: those after a place if `forward`, in its order, else those before it, in
    /// the reverse. A place is an `origin_server_ts` and the position of an event of that time.
    pub async fn list_by_timestamp(
        &self,
        room_nid: RoomNid,
        (ts, pos): (i64, i64),
        forward: bool,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>, StorageError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let nids = if forward {
            sqlx::query_scalar!(
                "SELECT event_nid FROM events WHERE room_nid = $1 AND pos IS NOT NULL AND flags & $2 < 1
                 AND (origin_server_ts, pos) > ($3, $4) ORDER BY origin_server_ts, pos LIMIT $5",
                room_nid.0,
                HIDDEN,
                ts,
                pos,
                limit
            )
            .fetch_all(self.db.pool())
            .await?
        } else {
            sqlx::query_scalar!(
                "SELECT event_nid FROM events WHERE room_nid = $1 AND pos IS NOT NULL AND flags & $2 < 1
                 AND (origin_server_ts, pos) < ($3, $4) ORDER BY origin_server_ts DESC, pos DESC LIMIT $5",
                room_nid.0,
                HIDDEN,
                ts,
                pos,
                limit
            )
            .fetch_all(self.db.pool())
            .await?
        };
        let nids: Vec<EventNid> = nids.into_iter().map(EventNid).collect();
        self.list(&nids).await
    }

    /// Events by number, in the order given; those that do not exist are left out.
    pub async fn list(&self, nids: &[EventNid]) -> Result<Vec<Arc<Event>>, StorageError> {
        let events = self.find_many(nids).await?;
        Ok(nids.iter().filter_map(|nid| events.get(nid).cloned()).collect())
    }
}
