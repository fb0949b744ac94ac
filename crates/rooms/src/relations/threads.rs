//! The threads of a room (client-server API, "Querying threads in a room").

use std::sync::Arc;

use myelin_events::redact::prune;
use myelin_model::{Event, EventNid, StreamPos};
use myelin_storage::ThreadsPage;
use ruma::{RoomId, UserId};

use super::RelationsPage;
use crate::{
    Rooms,
    history::{Place, RoomView, ViewError},
};

/// The number of threads that a page has at most, whatever is asked for.
const PAGE_THREADS_MAX: u64 = 100;

/// The page of threads that is asked for.
#[derive(Debug, Clone, Default)]
pub struct ThreadsQuery {
    /// Only threads that the user took part in are wanted.
    pub participated: bool,
    /// The place to begin at. `None`: with the thread that has the newest event.
    pub from: Option<Place>,
    /// The number of threads at most. At least one is given, and at most `PAGE_THREADS_MAX`.
    pub limit: u64,
}

/// The roots of a room's threads, those with the newest events first.
pub async fn threads(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
    query: &ThreadsQuery,
) -> Result<RelationsPage, ViewError> {
    let mut view = RoomView::get(rooms.engine(), room_id, user_id).await?;
    let limit = usize::try_from(query.limit.clamp(1, PAGE_THREADS_MAX)).unwrap_or(usize::MAX);
    let ignored: Vec<String> = view.sight.ignored().iter().map(ToString::to_string).collect();
    let page = ThreadsPage {
        room_nid: view.head.room_nid,
        upto: query.from.map_or(StreamPos(i64::MAX), |from| from.0),
        seen_upto: view.upto(),
        participant: query.participated.then_some(user_id),
        ignored: &ignored,
        limit: limit.saturating_add(1),
    };
    let mut found = rooms.db().relations().list_threads(&page).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|(_, last)| Place::before(*last));
    let nids: Vec<EventNid> = found.into_iter().map(|(nid, _)| nid).collect();
    let roots = rooms.db().events().list(&nids).await?;
    view.look_up(rooms.engine(), &roots).await?;
    let sight = &view.sight;
    let roots = roots.into_iter().filter_map(|root| {
        if sight.may_see(&root) {
            Some(root)
        } else if sight.would_see(&root) {
            // What others said in a thread is seen, though the user ignores who began it.
            Some(Arc::new(prune(&root, view.version)))
        } else {
            None
        }
    });
    let roots: Vec<Arc<Event>> = roots.collect();
    let (mut chunk, _) = rooms.show_with(&mut view, roots, &[]).await?;
    rooms.aggregate(&mut view, &mut chunk).await?;
    Ok(RelationsPage { chunk, next, prev: query.from, depth: None })
}
