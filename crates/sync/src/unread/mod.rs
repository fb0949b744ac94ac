//! Counts of unread events, without a row per member per event.
//!
//! Every event carries its `notify_ordinal`: how many events of the room up to it notify under the default push rules.
//! For a user with the default rules, the difference between the newest ordinal and that of the event read last is the
//! number of unread notifications, however many there are. It holds for everybody at once and nothing is written for
//! it.
//!
//! What the difference cannot tell is told by looking at the newest unread events, at most some hundred a room. Of
//! those before them the relations tell which are in threads. Which of them highlight is told by an index of the events that say whom
//! they mention, which are few: all of them are found, however many others stand between. For those that call a user by name
//! alone, as older clients and bridges do, the texts are looked through, up to a bound for all rooms together that is told in the log
//! of the program where it is reached. Users with rules of their own have a longer look; what stands before it counts by the
//! default rules.
//!
//! A user has read up to the newest of: the unthreaded receipts, the newest own message in the main timeline, the join. A receipt in a
//! thread and an own message there read that thread only.
//!
//! Counts are made when a room is first told to a user, kept with the position that they hold at, and carried on by
//! what the log brought since: an event is judged once for each user who syncs, and events that mention nobody are
//! judged once for all users with default rules. What is evicted is made again.

mod counts;
mod load;
mod older;
mod threads;
mod verdict;

use std::sync::Arc;

use myelin_model::{EventNid, RoomNid};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use ruma::OwnedUserId;

use self::{counts::Counts, threads::Belongs};
pub(crate) use self::{
    counts::Unread,
    load::{Seen, UnreadLoad, begin, finish, want},
};

/// The number of pairs of user and room that have their counts in memory.
const COUNTS_MAX: usize = 50_000;

/// The number of events of which it is remembered whether they notify users with the default rules.
const VERDICTS_MAX: usize = 50_000;

/// The number of events of which it is remembered to which thread they belong.
const THREADS_MAX: usize = 50_000;

/// The counts in memory.
pub(crate) struct UnreadCounts {
    counts: Cache<(OwnedUserId, RoomNid), Arc<Mutex<Counts>>>,
    /// Whether an event notifies those with default rules whom it does not mention.
    class_verdicts: Cache<EventNid, bool>,
    /// The threads that events belong to: an edit of a reply by the reply, which was asked for.
    threads: Cache<EventNid, Belongs>,
}

impl std::fmt::Debug for UnreadCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnreadCounts").field("counts", &self.counts.len()).finish_non_exhaustive()
    }
}

impl Default for UnreadCounts {
    fn default() -> Self {
        Self {
            counts: Cache::new(COUNTS_MAX),
            class_verdicts: Cache::new(VERDICTS_MAX),
            threads: Cache::new(THREADS_MAX),
        }
    }
}
