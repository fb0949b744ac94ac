//! The numbers of members of rooms, and the members that name a room without a name.

use myelin_model::{EventNid, RoomNid, StreamPos};
use ruma::OwnedUserId;

use super::Memberships;
use crate::StorageError;

/// The number of members that a summary names.
pub const SUMMARY_MEMBERS_MAX: usize = 6;

/// The numbers of joined and invited members of a room, and the members that name it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberSummary {
    /// The number of joined members.
    pub joined: i64,
    /// The number of invited members.
    pub invited: i64,
    /// The first joined or invited members, at most [`SUMMARY_MEMBERS_MAX`], with their member events.
    pub here: Vec<(OwnedUserId, EventNid)>,
    /// The members who left or were banned, in the order in which they went, as far as `here` leaves room.
    pub gone: Vec<(OwnedUserId, EventNid)>,
}

impl Memberships<'_> {
    /// The summaries of rooms, each with the position of the newest member event in it: every one up to that is
    /// counted. It takes one query, however many.
    #[tracing::instrument(name = "db.memberships.list_summaries", skip_all)]
    pub async fn list_summaries(
        &self,
        room_nids: &[RoomNid],
    ) -> Result<Vec<(RoomNid, StreamPos, MemberSummary)>, StorageError> {
        let nids: Vec<i64> = room_nids.iter().map(|nid| nid.0).collect();
        let rows = sqlx::query!(
            r#"
            SELECT r.room_nid AS "room_nid!", n.joined AS "joined!", n.invited AS "invited!", n.upto AS "upto!",
                f.user_id AS "user_id?", f.event_nid AS "event_nid?", f.here AS "here?"
            FROM unnest($1::bigint[]) AS r (room_nid)
            CROSS JOIN LATERAL (
                SELECT count(*) FILTER (WHERE membership = membership_join()) AS joined,
                    count(*) FILTER (WHERE membership = membership_invite()) AS invited,
                    coalesce(max(pos), 0) AS upto
                FROM memberships WHERE room_nid = r.room_nid
            ) AS n
            LEFT JOIN LATERAL (
                SELECT user_id, event_nid, membership IN (membership_invite(), membership_join()) AS here, pos FROM memberships m
                WHERE m.room_nid = r.room_nid AND membership <> membership_knock()
                ORDER BY membership NOT IN (membership_invite(), membership_join()), pos LIMIT $2
            ) AS f ON true
            ORDER BY r.room_nid, f.here DESC, f.pos
            "#,
            &nids,
            i64::try_from(SUMMARY_MEMBERS_MAX).unwrap_or(i64::MAX)
        )
        .fetch_all(self.db.pool())
        .await?;
        let mut summaries: Vec<(RoomNid, StreamPos, MemberSummary)> =
            Vec::with_capacity(room_nids.len());
        for row in rows {
            let room_nid = RoomNid(row.room_nid);
            if summaries.last().is_none_or(|(last, ..)| *last != room_nid) {
                let (joined, invited) = (row.joined, row.invited);
                let summary = MemberSummary { joined, invited, ..MemberSummary::default() };
                summaries.push((room_nid, StreamPos(row.upto), summary));
            }
            if let (Some((.., summary)), Some(user_id), Some(event_nid), Some(here)) =
                (summaries.last_mut(), row.user_id, row.event_nid, row.here)
            {
                let user_id = OwnedUserId::try_from(user_id)
                    .map_err(StorageError::inconsistent("memberships.user_id"));
                let Some(user_id) = self.db.pool().readable(user_id) else { continue };
                let named = if here { &mut summary.here } else { &mut summary.gone };
                named.push((user_id, EventNid(event_nid)));
            }
        }
        Ok(summaries)
    }
}
