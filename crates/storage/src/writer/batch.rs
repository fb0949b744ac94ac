//! A batch as columns, and what the database says of it.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use myelin_model::{Event, EventFlags, EventNid, RoomNid, StateNid, StreamPos};
use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::{
    Append, NewReceipt,
    message::{Message, Written},
};
use crate::{
    StorageError,
    heads::RoomHead,
    log::{Change, LogEntry, encode},
};

/// Items that go together. Items of one room stand in the order they were built upon each other.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) appends: Vec<Append>,
    pub(super) receipts: Vec<NewReceipt>,
}

/// What became of a batch.
pub(super) struct Outcome {
    /// The log's entries, in order.
    pub(super) entries: Vec<Arc<LogEntry>>,
    /// For each append, in order: the events' range in `entries`, or `None` where the room has moved on.
    pub(super) appended: Vec<Option<std::ops::Range<usize>>>,
    /// The heads of rooms that the batch made, as they stand after it.
    pub(super) new_rooms: HashMap<RoomNid, RoomHead>,
}

/// The columns of `append_batch`, named as its parameters.
#[derive(Default)]
struct Columns {
    r_nid: Vec<i64>,
    r_id: Vec<String>,
    r_room_version: Vec<String>,
    r_expected: Vec<i64>,
    r_version: Vec<i64>,
    r_depth: Vec<i64>,
    r_extremities: Vec<String>,
    r_state: Vec<i64>,
    r_ordinal: Vec<i64>,
    r_built_on: Vec<String>,
    r_built_state: Vec<i64>,
    r_built_ordinal: Vec<i64>,
    e_room: Vec<i64>,
    e_nid: Vec<i64>,
    e_depth: Vec<i64>,
    e_ts: Vec<i64>,
    e_state_key: Vec<Option<i64>>,
    e_before: Vec<Option<i64>>,
    e_after: Vec<Option<i64>>,
    e_replaces: Vec<Option<i64>>,
    e_redacts: Vec<Option<i64>>,
    e_ordinal: Vec<i64>,
    e_flags: Vec<i16>,
    e_membership: Vec<Option<i16>>,
    e_id: Vec<String>,
    e_type: Vec<String>,
    e_sender: Vec<String>,
    e_json: Vec<String>,
    s_room: Vec<i64>,
    s_nid: Vec<i64>,
    s_base: Vec<Option<i64>>,
    s_delta: Vec<Vec<u8>>,
    m_room: Vec<i64>,
    m_user: Vec<String>,
    m_membership: Vec<i16>,
    m_event: Vec<i64>,
    t_room: Vec<i64>,
    t_user: Vec<String>,
    t_device: Vec<String>,
    t_txn: Vec<String>,
    t_event: Vec<i64>,
    t_ts: Vec<i64>,
    c_room: Vec<i64>,
    c_event: Vec<i64>,
    c_chain: Vec<i64>,
    c_seq: Vec<i32>,
    l_room: Vec<i64>,
    l_chain: Vec<i64>,
    l_seq: Vec<i32>,
    l_target_chain: Vec<i64>,
    l_target_seq: Vec<i32>,
    x_room: Vec<i64>,
    x_kind: Vec<i16>,
    x_payload: Vec<String>,
    p_room: Vec<i64>,
    p_user: Vec<String>,
    p_type: Vec<String>,
    p_thread: Vec<String>,
    p_event: Vec<i64>,
    p_event_pos: Vec<i64>,
    p_ts: Vec<i64>,
    p_payload: Vec<String>,
}

impl Columns {
    /// `torn` says which appends are left out.
    fn of(batch: &mut Batch, torn: &[bool]) -> Result<Self, StorageError> {
        let mut columns = Self::default();
        for (append, torn) in batch.appends.iter_mut().zip(torn) {
            if *torn {
                continue;
            }
            columns.add_room(append);
            for event in &append.events {
                columns.add_event(event, append.now_ms);
            }
            columns.add_derived(append)?;
        }
        for receipt in &batch.receipts {
            columns.add_receipt(receipt)?;
        }
        Ok(columns)
    }

    /// Items of one room that follow each other become one row: from the first's expected version to the last's head.
    fn add_room(&mut self, append: &Append) {
        let head = &append.head;
        let extremities = array(head.extremities.iter().map(|extremity| extremity.nid));
        let state = |nid: Option<StateNid>| nid.map_or(0, |nid| nid.0);
        if let Some(at) = self.r_nid.iter().position(|nid| *nid == head.room_nid.0) {
            set(&mut self.r_version, at, head.version);
            set(&mut self.r_depth, at, head.depth);
            set(&mut self.r_extremities, at, extremities);
            set(&mut self.r_state, at, state(head.chain.state_nid()));
            set(&mut self.r_ordinal, at, head.notify_ordinal);
            return;
        }
        self.r_nid.push(head.room_nid.0);
        self.r_id.push(head.room_id.to_string());
        self.r_room_version.push(head.room_version.to_string());
        self.r_expected.push(append.built_on.version);
        self.r_version.push(head.version);
        self.r_depth.push(head.depth);
        self.r_extremities.push(extremities);
        self.r_state.push(state(head.chain.state_nid()));
        self.r_ordinal.push(head.notify_ordinal);
        self.r_built_on.push(array(append.built_on.extremities.iter().copied()));
        self.r_built_state.push(state(append.built_on.state_nid));
        self.r_built_ordinal.push(append.built_on.notify_ordinal);
    }

    fn add_event(&mut self, event: &Event, now_ms: u64) {
        self.e_room.push(event.room_nid.0);
        self.e_nid.push(event.nid.0);
        self.e_depth.push(event.depth);
        self.e_ts.push(event.origin_server_ts.try_into().unwrap_or(i64::MAX));
        self.e_state_key.push(event.state_key_nid.map(|nid| nid.0));
        self.e_before.push(event.state_before.map(|nid| nid.0));
        self.e_after.push(event.state_after.map(|nid| nid.0));
        self.e_replaces.push(event.replaces.map(|nid| nid.0));
        self.e_redacts.push(event.redacts.map(|nid| nid.0));
        self.e_ordinal.push(event.notify_ordinal);
        self.e_flags.push(event.flags.0);
        self.e_membership.push(event.membership.map(myelin_model::Membership::to_i16));
        self.e_id.push(event.event_id.to_string());
        self.e_type.push(event.event_type.to_string());
        self.e_sender.push(event.sender.to_string());
        self.e_json.push(event.json.to_string());
        if let Some(transaction) = &event.transaction {
            self.t_room.push(event.room_nid.0);
            self.t_user.push(event.sender.to_string());
            self.t_device.push(transaction.device_id.to_string());
            self.t_txn.push(transaction.txn_id.to_string());
            self.t_event.push(event.nid.0);
            self.t_ts.push(now_ms.try_into().unwrap_or(i64::MAX));
        }
    }

    fn add_derived(&mut self, append: &mut Append) -> Result<(), StorageError> {
        let room_nid = append.head.room_nid;
        for snapshot in append.snapshots.drain(..) {
            let (room, nid, base, delta) = snapshot.into_columns(room_nid);
            self.s_room.push(room);
            self.s_nid.push(nid);
            self.s_base.push(base);
            self.s_delta.push(delta);
        }
        for change in &append.memberships {
            self.m_room.push(room_nid.0);
            self.m_user.push(change.user_id.to_string());
            self.m_membership.push(change.membership.to_i16());
            self.m_event.push(change.event_nid.0);
        }
        for place in &append.places {
            self.c_room.push(room_nid.0);
            self.c_event.push(place.event_nid.0);
            self.c_chain.push(place.chain_nid.0);
            self.c_seq.push(place.seq);
        }
        for link in &append.links {
            self.l_room.push(room_nid.0);
            self.l_chain.push(link.chain_nid.0);
            self.l_seq.push(link.seq);
            self.l_target_chain.push(link.target_chain_nid.0);
            self.l_target_seq.push(link.target_seq);
        }
        for reset in resets(append) {
            if let Some(row) = encode(&reset)? {
                self.x_room.push(room_nid.0);
                self.x_kind.push(row.kind);
                self.x_payload.push(row.payload);
            }
        }
        Ok(())
    }

    fn add_receipt(&mut self, receipt: &NewReceipt) -> Result<(), StorageError> {
        let Some(row) = encode(&receipt_change(receipt))? else { return Ok(()) };
        self.p_room.push(receipt.room_nid.0);
        self.p_user.push(receipt.user_id.to_string());
        self.p_type.push(receipt.receipt_type.to_string());
        self.p_thread.push(receipt.thread_id.to_string());
        self.p_event.push(receipt.event_nid.0);
        self.p_event_pos.push(receipt.event_pos.0);
        self.p_ts.push(receipt.ts.try_into().unwrap_or(i64::MAX));
        self.p_payload.push(row.payload);
        Ok(())
    }

    /// Run the statement. It commits by itself: when it returns, it is flushed.
    async fn run(self, connection: &mut PgConnection) -> Result<PgRow, StorageError> {
        let placeholders: Vec<String> = (1..=62).map(|n| format!("${n}")).collect();
        let sql = format!(
            "SELECT base, appended, shifts, forked, receipts_moved FROM append_batch({})",
            placeholders.join(",")
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(self.r_nid)
            .bind(self.r_id)
            .bind(self.r_room_version)
            .bind(self.r_expected)
            .bind(self.r_version)
            .bind(self.r_depth)
            .bind(self.r_extremities)
            .bind(self.r_state)
            .bind(self.r_ordinal)
            .bind(self.r_built_on)
            .bind(self.r_built_state)
            .bind(self.r_built_ordinal)
            .bind(self.e_room)
            .bind(self.e_nid)
            .bind(self.e_depth)
            .bind(self.e_ts)
            .bind(self.e_state_key)
            .bind(self.e_before)
            .bind(self.e_after)
            .bind(self.e_replaces)
            .bind(self.e_redacts)
            .bind(self.e_ordinal)
            .bind(self.e_flags)
            .bind(self.e_membership)
            .bind(self.e_id)
            .bind(self.e_type)
            .bind(self.e_sender)
            .bind(self.e_json)
            .bind(self.s_room)
            .bind(self.s_nid)
            .bind(self.s_base)
            .bind(self.s_delta)
            .bind(self.m_room)
            .bind(self.m_user)
            .bind(self.m_membership)
            .bind(self.m_event)
            .bind(self.t_room)
            .bind(self.t_user)
            .bind(self.t_device)
            .bind(self.t_txn)
            .bind(self.t_event)
            .bind(self.t_ts)
            .bind(self.c_room)
            .bind(self.c_event)
            .bind(self.c_chain)
            .bind(self.c_seq)
            .bind(self.l_room)
            .bind(self.l_chain)
            .bind(self.l_seq)
            .bind(self.l_target_chain)
            .bind(self.l_target_seq)
            .bind(self.x_room)
            .bind(self.x_kind)
            .bind(self.x_payload)
            .bind(self.p_room)
            .bind(self.p_user)
            .bind(self.p_type)
            .bind(self.p_thread)
            .bind(self.p_event)
            .bind(self.p_event_pos)
            .bind(self.p_ts)
            .bind(self.p_payload);
        Ok(query.fetch_one(connection).await?)
    }
}

impl Batch {
    /// Append everything in one statement.
    pub(super) async fn write(
        self,
        connection: &mut PgConnection,
    ) -> Result<Outcome, (StorageError, Self)> {
        let Some(message) = Message::only(&self) else {
            return self.write_columns(connection).await;
        };
        let room_nid = message.room_nid();
        let written = match message.write(connection).await {
            Ok(written) => written,
            Err(error) => return Err((error, self)),
        };
        let answer = match written {
            Some(Written { pos, shift, forked }) => Answer {
                base: pos - 1,
                rooms: HashMap::from([(room_nid, Landing { shift, forked })]),
                receipts_moved: Vec::new(),
            },
            None => Answer::default(),
        };
        Ok(self.into_outcome(&answer, &[false]))
    }

    async fn write_columns(
        mut self,
        connection: &mut PgConnection,
    ) -> Result<Outcome, (StorageError, Self)> {
        // Snapshots move into the columns, so keep them for the case that the batch must be repeated item by item.
        let snapshots: Vec<_> =
            self.appends.iter().map(|append| append.snapshots.clone()).collect();
        let torn = self.torn();
        let written = match Columns::of(&mut self, &torn) {
            Ok(columns) => columns.run(connection).await,
            Err(error) => Err(error),
        };
        match written.and_then(|row| Answer::read(&row)) {
            Ok(answer) => Ok(self.into_outcome(&answer, &torn)),
            Err(error) => {
                for (append, snapshots) in self.appends.iter_mut().zip(snapshots) {
                    append.snapshots = snapshots;
                }
                Err((error, self))
            }
        }
    }

    /// Which appends do not build upon the one before them in the batch for the same room, and so cannot share a row with it.
    fn torn(&self) -> Vec<bool> {
        let mut versions: HashMap<RoomNid, i64> = HashMap::new();
        let is_torn = |append: &Append| match versions.entry(append.head.room_nid) {
            Entry::Occupied(version) if *version.get() != append.built_on.version => true,
            entry => {
                *entry.or_default() = append.head.version;
                false
            }
        };
        self.appends.iter().map(is_torn).collect()
    }

    /// Give out positions as the function did: events in order, then resets, then receipts.
    fn into_outcome(self, answer: &Answer, torn: &[bool]) -> Outcome {
        let mut pos = StreamPos(answer.base);
        let mut entries = Vec::new();
        let mut ranges = Vec::with_capacity(self.appends.len());
        let mut later = Vec::new();
        let mut new_rooms = HashMap::new();
        for (append, torn) in self.appends.into_iter().zip(torn) {
            let landing = answer.rooms.get(&append.head.room_nid).filter(|_| !torn);
            let Some(landing) = landing else {
                ranges.push(None);
                continue;
            };
            later.extend(resets(&append));
            let start = entries.len();
            for mut event in append.events {
                pos = pos.next();
                event.pos = Some(pos);
                landing.correct(&mut event);
                entries.push(Arc::new(LogEntry { pos, change: Change::Event(Arc::new(event)) }));
            }
            ranges.push(Some(start..entries.len()));
            let room_nid = append.head.room_nid;
            if append.built_on.version == 0 || new_rooms.contains_key(&room_nid) {
                let head = RoomHead { last_pos: pos, ..Arc::unwrap_or_clone(append.head) };
                new_rooms.insert(room_nid, head);
            }
        }
        let moved = answer.receipts_moved.iter().filter_map(|ord| usize::try_from(*ord - 1).ok());
        later.extend(moved.filter_map(|at| self.receipts.get(at)).map(receipt_change));
        for change in later {
            pos = pos.next();
            entries.push(Arc::new(LogEntry { pos, change }));
        }
        Outcome { entries, appended: ranges, new_rooms }
    }
}

/// What the database says of a batch.
#[derive(Default)]
struct Answer {
    /// The log's end before it.
    base: i64,
    /// The rooms whose events were appended.
    rooms: HashMap<RoomNid, Landing>,
    /// The places of the receipts that were stored, from 1.
    receipts_moved: Vec<i32>,
}

impl Answer {
    fn read(row: &PgRow) -> Result<Self, StorageError> {
        let appended: Vec<i64> = row.try_get("appended")?;
        let shifts: Vec<i64> = row.try_get("shifts")?;
        let forked: Vec<bool> = row.try_get("forked")?;
        let landings =
            shifts.into_iter().zip(forked).map(|(shift, forked)| Landing { shift, forked });
        Ok(Self {
            base: row.try_get("base")?,
            rooms: appended.into_iter().map(RoomNid).zip(landings).collect(),
            receipts_moved: row.try_get("receipts_moved")?,
        })
    }
}

/// Where a room's events came to stand.
struct Landing {
    /// How many events came in between that notify.
    shift: i64,
    /// Others are forward extremities beside the last of them.
    forked: bool,
}

impl Landing {
    /// Make an event what is stored of it.
    fn correct(&self, event: &mut Event) {
        event.notify_ordinal += self.shift;
        if self.forked {
            event.flags = event.flags.without(EventFlags::LINEAR);
        }
    }
}

fn array(nids: impl Iterator<Item = EventNid>) -> String {
    let nids: Vec<String> = nids.map(|nid| nid.to_string()).collect();
    format!("{{{}}}", nids.join(","))
}

fn resets(append: &Append) -> Vec<Change> {
    let room_nid = append.head.room_nid;
    append
        .resets
        .iter()
        .map(|(state_key_nid, event_nid): &(_, Option<EventNid>)| Change::StateReset {
            room_nid,
            state_key_nid: *state_key_nid,
            event_nid: *event_nid,
        })
        .collect()
}

fn receipt_change(receipt: &NewReceipt) -> Change {
    Change::Receipt {
        room_nid: receipt.room_nid,
        user_id: receipt.user_id.clone(),
        receipt_type: receipt.receipt_type.clone(),
        thread_id: receipt.thread_id.clone(),
        event_id: receipt.event_id.clone(),
        event_pos: receipt.event_pos,
        ts: receipt.ts,
    }
}

fn set<T>(column: &mut [T], at: usize, value: T) {
    if let Some(place) = column.get_mut(at) {
        *place = value;
    }
}
