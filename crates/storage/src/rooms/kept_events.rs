//! Events that are kept beside the log, where no client hears of them: outliers, what failed the checks on receipt, and history from
//! before what the log has of a room.

use myelin_model::{Event, EventNid, Membership, RoomNid};
use ruma::OwnedEventId;

use crate::{
    Change, NewSnapshot, StorageError, Tx,
    rooms::Awaited,
    writer::{ChainLink, ChainPlace, Known, LateRedaction},
};

/// An event to be kept, with what is derived from it.
#[derive(Debug)]
pub struct KeptEvent {
    /// The event. One that has no position yet is given one here, unless it is an outlier.
    pub event: Event,
    /// Whether it has no place in the history.
    pub is_outlier: bool,
    /// The newest event of the head that it was judged by. `None` if the current state has no say.
    pub judged_by: Option<EventNid>,
    /// The form in which it is known to be stored: that is replaced.
    pub known: Known,
    /// The reason why it was rejected. `None` if it was not.
    pub rejection: Option<String>,
    /// The events that speak against it, if it was rejected.
    pub awaited: Vec<Awaited>,
    /// The snapshots that it refers to and that are not stored yet.
    pub snapshots: Vec<NewSnapshot>,
    /// The place of it in the chain cover. `None` for what takes part in no state, and where it has a place already.
    pub place: Option<ChainPlace>,
    /// The links from there.
    pub links: Vec<ChainLink>,
    /// The events before it that are not part of the history.
    pub missing: Vec<OwnedEventId>,
    /// The event that it will redact when that comes.
    pub late_redaction: Option<LateRedaction>,
    /// The time of receiving it, in milliseconds since the epoch.
    pub received_ts: u64,
}

/// Writes of events beside the log.
#[derive(Debug)]
pub struct KeptEventsTx<'tx> {
    tx: &'tx mut Tx,
}

impl Tx {
    /// Events beside the log.
    pub fn kept_events(&mut self) -> KeptEventsTx<'_> {
        KeptEventsTx { tx: self }
    }
}

impl KeptEventsTx<'_> {
    /// Keep an event, in the place of what is stored of it if that is what was known. `false` if another node was quicker to take it, or if the
    /// room has moved on since it was judged: then roll back. Takes the lock of the log: commit at once.
    #[tracing::instrument(name = "db.kept_events.add", skip_all, fields(event.id = %kept.event.event_id))]
    pub async fn add(&mut self, kept: &KeptEvent) -> Result<bool, StorageError> {
        self.tx.lock_log().await?;
        let event = &kept.event;
        if kept.judged_by.is_some() && self.head_of(event.room_nid).await? != kept.judged_by {
            return Ok(false);
        }
        if let Known::Stored { pos } = kept.known {
            sqlx::query!(
                "WITH relation AS (DELETE FROM event_relations WHERE child_nid = $1)
                 DELETE FROM events WHERE event_nid = $1 AND pos IS NOT DISTINCT FROM $2",
                event.nid.0,
                pos.map(|pos| pos.0)
            )
            .execute(&mut *self.tx.inner)
            .await?;
        }
        if !self.insert(kept).await? {
            return Ok(false);
        }
        self.add_snapshots(event.room_nid, &kept.snapshots).await?;
        if let Some(place) = &kept.place {
            self.add_place(event.room_nid, place, &kept.links).await?;
        }
        if kept.known != Known::Nothing || !kept.awaited.is_empty() {
            self.tx.retrials().set(event.nid, &kept.awaited).await?;
        }
        if !kept.is_outlier && !self.settle(event).await?
            || !self.redact(event, kept.late_redaction.as_ref()).await?
        {
            return Ok(false);
        }
        self.add_missing(event.room_nid, event.nid, &kept.missing).await?;
        let mut rewritten: Vec<EventNid> = event.redacts.into_iter().collect();
        rewritten.extend((kept.known != Known::Nothing).then_some(event.nid));
        if !rewritten.is_empty() {
            let event_nids = rewritten.into();
            self.tx.publish(Change::Rewritten { room_nid: event.room_nid, event_nids });
        }
        Ok(true)
    }

    /// The newest event of a room's head.
    async fn head_of(&mut self, room_nid: RoomNid) -> Result<Option<EventNid>, StorageError> {
        let newest =
            sqlx::query_scalar!("SELECT version FROM rooms WHERE room_nid = $1", room_nid.0)
                .fetch_one(&mut *self.tx.inner)
                .await?;
        Ok((newest != 0).then_some(EventNid(newest)))
    }

    async fn insert(&mut self, kept: &KeptEvent) -> Result<bool, StorageError> {
        let event = &kept.event;
        let to_ts = |ms| i64::try_from(ms).unwrap_or(i64::MAX);
        let inserted = sqlx::query!(
            "INSERT INTO events (event_nid, room_nid, pos, depth, origin_server_ts, state_key_nid, state_before, state_after,
                replaces, redacts, redacted_by, notify_ordinal, flags, membership, event_id, event_type, sender, json,
                received_ts, rejection)
             VALUES ($1, $2, CASE WHEN $21 THEN NULL ELSE coalesce($3, nextval('unstreamed_positions')) END, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
             ON CONFLICT (event_id) DO NOTHING",
            event.nid.0,
            event.room_nid.0,
            event.pos.map(|pos| pos.0),
            event.depth,
            event.origin_server_ts,
            event.state_key_nid.map(|nid| nid.0),
            event.state_before.map(|nid| nid.0),
            event.state_after.map(|nid| nid.0),
            event.replaces.map(|nid| nid.0),
            event.redacts.map(|nid| nid.0),
            event.redacted_by.map(|nid| nid.0),
            event.notify_ordinal,
            event.flags.0,
            event.membership.map(Membership::to_i16),
            event.event_id.as_str(),
            &*event.event_type,
            event.sender.as_str(),
            &*event.json,
            to_ts(kept.received_ts),
            kept.rejection,
            kept.is_outlier
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(inserted.rows_affected() == 1)
    }

    async fn add_snapshots(
        &mut self,
        room_nid: RoomNid,
        snapshots: &[NewSnapshot],
    ) -> Result<(), StorageError> {
        for snapshot in snapshots {
            sqlx::query!(
                "INSERT INTO state_snapshots (state_nid, room_nid, base_nid, delta) VALUES ($1, $2, $3, $4)",
                snapshot.state_nid.0,
                room_nid.0,
                snapshot.base_nid.map(|nid| nid.0),
                snapshot.delta
            )
            .execute(&mut *self.tx.inner)
            .await?;
        }
        Ok(())
    }

    async fn add_place(
        &mut self,
        room_nid: RoomNid,
        place: &ChainPlace,
        links: &[ChainLink],
    ) -> Result<(), StorageError> {
        sqlx::query!(
            "INSERT INTO auth_chains (event_nid, room_nid, chain_nid, seq) VALUES ($1, $2, $3, $4)",
            place.event_nid.0,
            room_nid.0,
            place.chain_nid.0,
            place.seq
        )
        .execute(&mut *self.tx.inner)
        .await?;
        let (target_chains, target_seqs): (Vec<i64>, Vec<i32>) =
            links.iter().map(|link| (link.target_chain_nid.0, link.target_seq)).unzip();
        sqlx::query!(
            "INSERT INTO auth_chain_links (chain_nid, seq, target_chain_nid, target_seq)
             SELECT $1, $2, * FROM unnest($3::bigint[], $4::integer[])",
            place.chain_nid.0,
            place.seq,
            &target_chains,
            &target_seqs
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    async fn add_missing(
        &mut self,
        room_nid: RoomNid,
        follower: EventNid,
        missing: &[OwnedEventId],
    ) -> Result<(), StorageError> {
        if missing.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = missing.iter().map(ToString::to_string).collect();
        sqlx::query!(
            "INSERT INTO missing_events (event_id, follower_nid, room_nid) SELECT DISTINCT id, $2::bigint, $3::bigint
             FROM unnest($1::text[]) AS m (id)
             -- Another node may have brought one meanwhile.
             WHERE NOT EXISTS (SELECT FROM events WHERE events.event_id = m.id AND pos IS NOT NULL)",
            &ids,
            follower.0,
            room_nid.0
        )
        .execute(&mut *self.tx.inner)
        .await?;
        Ok(())
    }

    /// Redact what the event redacts, or will redact. `false` if that has come meanwhile.
    async fn redact(
        &mut self,
        event: &Event,
        late: Option<&LateRedaction>,
    ) -> Result<bool, StorageError> {
        if let Some(target) = event.redacts {
            sqlx::query!(
                "UPDATE events SET redacted_by = $1 WHERE event_nid = $2 AND redacted_by IS NULL",
                event.nid.0,
                target.0
            )
            .execute(&mut *self.tx.inner)
            .await?;
        }
        if let Some(late) = late {
            let added = sqlx::query!(
                "INSERT INTO late_redactions (target_id, redaction_nid, room_nid, is_powerful) SELECT $1, $2, $3, $4
                 WHERE NOT EXISTS (SELECT FROM events WHERE event_id = $1)",
                late.target_id.as_str(),
                late.redaction.0,
                event.room_nid.0,
                late.is_powerful
            )
            .execute(&mut *self.tx.inner)
            .await?;
            return Ok(added.rows_affected() == 1);
        }
        Ok(true)
    }

    /// The event is there: it is not missing any more, and redactions wait for it no longer. `false` if one that holds came meanwhile.
    async fn settle(&mut self, event: &Event) -> Result<bool, StorageError> {
        let is_redacted = sqlx::query_scalar!(
            r#"WITH gone AS (DELETE FROM missing_events WHERE event_id = $1),
                late AS (DELETE FROM late_redactions WHERE target_id = $1 RETURNING redaction_nid, room_nid, is_powerful)
               SELECT EXISTS (
                    SELECT FROM late JOIN events AS e ON e.event_nid = late.redaction_nid
                    WHERE late.room_nid = $2 AND (late.is_powerful OR substr(e.sender, strpos(e.sender, ':') + 1) = $3)
               ) AS "is_redacted!""#,
            event.event_id.as_str(),
            event.room_nid.0,
            event.sender.server_name().as_str()
        )
        .fetch_one(&mut *self.tx.inner)
        .await?;
        if let Some(redacted_by) = event.redacted_by {
            sqlx::query!(
                "UPDATE events SET redacts = $1 WHERE event_nid = $2",
                event.nid.0,
                redacted_by.0
            )
            .execute(&mut *self.tx.inner)
            .await?;
        }
        Ok(event.redacted_by.is_some() || !is_redacted)
    }
}
