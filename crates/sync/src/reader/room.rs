//! The wish of a protocol for one room.

use std::sync::Arc;

use myelin_model::{EventNid, Membership, RoomNid, StreamPos};
use myelin_storage::{LogEntry, MembershipRow};

use super::OwnHistory;
use crate::view::is_join;

/// A room to be read: which part of it, and what is known of it already.
#[derive(Debug, Clone)]
pub(crate) struct RoomRead {
    pub(crate) room_nid: RoomNid,
    /// The user's membership in it. `None`: the user looks in from outside, as everybody may.
    pub(crate) row: Option<MembershipRow>,
    /// The position after which the user sees nothing: the reader's position, or that of the leave event.
    pub(crate) end: StreamPos,
    /// Events after this position are told. `None`: the newest events, however old.
    pub(crate) since: Option<StreamPos>,
    /// The number of events that the timeline has at most.
    pub(crate) timeline_limit: usize,
    /// The whole state is told.
    pub(crate) full: bool,
    /// The user joined after `since`.
    pub(crate) newly_joined: bool,
    /// The user was never in the room: nothing is told but the own member event.
    pub(crate) bare: bool,
    /// The member event that ended the user's being in the room, where others of the user's came after it (a ban that was lifted):
    /// the user knows the state of then, and those.
    pub(crate) departure: Option<EventNid>,
    /// The log's entries since, as far as they were in memory or in the log's table.
    pub(crate) entries: Vec<Arc<LogEntry>>,
    /// `entries` has all events; else they must be read.
    pub(crate) has_events: bool,
    /// The course of the user's membership since.
    pub(crate) own: OwnHistory,
}

impl RoomRead {
    /// A room that is told from scratch.
    pub(crate) fn whole(row: &MembershipRow, end: StreamPos, timeline_limit: usize) -> Self {
        Self {
            row: Some(*row),
            own: OwnHistory::unchanged(row.membership),
            ..Self::peeked(row.room_nid, end, timeline_limit)
        }
    }

    /// A room that everybody may look into, told from scratch to a user who is not in it.
    pub(crate) fn peeked(room_nid: RoomNid, end: StreamPos, timeline_limit: usize) -> Self {
        Self {
            room_nid,
            row: None,
            end,
            since: None,
            timeline_limit,
            full: true,
            newly_joined: false,
            bare: false,
            departure: None,
            entries: Vec::new(),
            has_events: false,
            own: OwnHistory::default(),
        }
    }

    /// A joined room without news: what is told of it stands outside of its events.
    pub(crate) fn quiet(row: &MembershipRow, since: StreamPos, end: StreamPos) -> Self {
        let whole = Self::whole(row, end, 0);
        Self { since: Some(since), full: false, has_events: true, ..whole }
    }

    /// The user's membership.
    pub(crate) fn membership(&self) -> Option<Membership> {
        self.row.map(|row| row.membership)
    }

    /// The user's member event.
    pub(crate) fn member_event(&self) -> Option<EventNid> {
        self.row.map(|row| row.event_nid)
    }

    /// The member event by which the user left. `None`: is in the room, or looks in from outside.
    pub(crate) fn leave_event(&self) -> Option<EventNid> {
        self.row.filter(|row| !is_join(row)).map(|row| row.event_nid)
    }

    /// Whether the user is in the room.
    pub(crate) fn is_joined(&self) -> bool {
        self.row.as_ref().is_some_and(is_join)
    }
}
