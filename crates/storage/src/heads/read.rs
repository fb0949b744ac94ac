//! Reading heads from the database.

use std::{collections::HashMap, sync::Arc};

use myelin_model::{EventNid, RoomNid, StateNid, StreamPos};
use ruma::{OwnedEventId, OwnedRoomId, RoomVersionId};

use super::{Extremity, RoomHead};
use crate::{
    SnapshotChain, StateMap, StorageError,
    reads::Reads,
    state::{self, WholeStates},
};

struct Row {
    room_nid: i64,
    room_id: String,
    room_version: String,
    version: i64,
    depth: i64,
    extremities: Vec<i64>,
    state_nid: i64,
    notify_ordinal: i64,
    last_pos: i64,
    extremity_ids: Vec<String>,
    branched_pos: i64,
    is_open: bool,
}

/// Read heads. It takes two queries, however many; rooms that do not exist or cannot be read are left out.
pub(super) async fn heads(
    pool: &Reads,
    whole_states: &Arc<WholeStates>,
    nids: &[RoomNid],
) -> Result<HashMap<RoomNid, RoomHead>, StorageError> {
    let nids: Vec<i64> = nids.iter().map(|nid| nid.0).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT r.room_nid, r.room_id, r.room_version, r.version, r.depth, r.extremities, r.state_nid, r.notify_ordinal,
            r.last_pos,
            ARRAY(
                SELECT (SELECT e.event_id FROM events e WHERE e.event_nid = x.nid)
                FROM unnest(r.extremities) WITH ORDINALITY AS x (nid, ord) ORDER BY x.ord
            ) AS "extremity_ids!",
            coalesce((SELECT max(e.pos) FROM events e WHERE e.room_nid = r.room_nid AND e.flags & flag_branched() > 0), 0)
                AS "branched_pos!",
            -- The JSON is canonical: the member has no other form. What only looks like it does no harm. Asked for as a value, as
            -- `EXISTS` could be planned as a scan of the events of all rooms.
            (
                SELECT e.event_nid FROM events e WHERE e.room_nid = r.room_nid AND e.event_type = 'm.room.history_visibility'
                    AND (strpos(e.json, '"history_visibility":"invited"') > 0 OR strpos(e.json, '"history_visibility":"joined"') > 0)
                LIMIT 1
            ) IS NULL AS "is_open!"
        FROM rooms r WHERE r.room_nid = ANY ($1)
        "#,
        &nids,
    )
    .fetch_all(pool)
    .await?;
    let state_nids: Vec<StateNid> = rows.iter().map(|row| StateNid(row.state_nid)).collect();
    let mut states = state::read_each(pool, whole_states, &state_nids).await?;

    let mut heads = HashMap::with_capacity(rows.len());
    for row in rows {
        // Several rooms never share a snapshot, so it can be taken out.
        let state = states.remove(&StateNid(row.state_nid));
        if let Some(head) = pool.readable(to_head(row, state)) {
            heads.insert(head.room_nid, head);
        }
    }
    Ok(heads)
}

fn to_head(
    row: Row,
    state: Option<Result<(StateMap, SnapshotChain), StorageError>>,
) -> Result<RoomHead, StorageError> {
    let extremities = row.extremities.iter().zip(row.extremity_ids).map(|(nid, id)| {
        let event_id =
            OwnedEventId::try_from(id).map_err(StorageError::inconsistent("events.event_id"))?;
        Ok(Extremity { nid: EventNid(*nid), event_id })
    });
    let (state, chain) = match state {
        Some(state) => state?,
        // A new room's.
        None if row.state_nid == 0 => Default::default(),
        None => {
            return Err(StorageError::inconsistent("state_snapshots.state_nid")("missing"));
        }
    };
    Ok(RoomHead {
        room_nid: RoomNid(row.room_nid),
        extremities: extremities.collect::<Result<_, StorageError>>()?,
        room_id: OwnedRoomId::try_from(row.room_id)
            .map_err(StorageError::inconsistent("rooms.room_id"))?,
        room_version: RoomVersionId::try_from(row.room_version)
            .map_err(StorageError::inconsistent("rooms.room_version"))?,
        newest: (row.version != 0).then_some(EventNid(row.version)),
        depth: row.depth,
        state,
        chain,
        notify_ordinal: row.notify_ordinal,
        last_pos: StreamPos(row.last_pos),
        branched_pos: StreamPos(row.branched_pos),
        is_open: row.is_open,
    })
}
