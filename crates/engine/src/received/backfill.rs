//! Pages of history from before what this server has of a room: from before it came in, or from a gap.
//!
//! Their events stand beside the log, with positions of their own before all that are there, so that nobody's stream tells of them;
//! who reads the room backwards comes to them after its oldest event. Pages come from the newest back.

use std::collections::{BTreeSet, HashMap, HashSet};

use myelin_events::received::Received;
use myelin_storage::StorageError;
use ruma::{EventId, OwnedEventId};

use super::{Outcome, Place, ReceiveError, StateAt};
use crate::Engine;

/// The number of events of a page that are taken in: the newest. What is before them can be asked for again.
const PAGE_EVENTS_MAX: usize = 1_000;

impl Engine {
    /// Take in a page of a room's history, in whatever order it came. Gives the outcome of each event that was looked at, in the order of
    /// history. What neither is known nor missing before what is known has no place there, and is not looked at.
    ///
    /// `states` stand for events before the page, as for [`Engine::receive`]. Whatever is not stored when this fails may be handed over
    /// again.
    pub async fn backfill(
        &self,
        page: &[Received],
        states: &[StateAt],
    ) -> Result<Vec<(OwnedEventId, Outcome)>, ReceiveError> {
        let page = in_order(page);
        let page = self.connected(page).await?;
        let positions = self.db().nids().unstreamed(page.len()).await?;
        let mut outcomes = Vec::with_capacity(page.len());
        for (received, pos) in page.into_iter().zip(positions.into_iter().rev()) {
            let outcome = self.receive(received, Place::History(pos), states).await?;
            outcomes.push((received.pdu.event_id.clone(), outcome));
        }
        Ok(outcomes)
    }

    /// The events of a page that the known history follows: those that are known or missing, those that these follow, and so on.
    async fn connected<'r>(
        &self,
        page: Vec<&'r Received>,
    ) -> Result<Vec<&'r Received>, StorageError> {
        let ids: Vec<&EventId> = page.iter().map(|received| &*received.pdu.event_id).collect();
        let mut followed = self.db().graph().find_followed(&ids).await?;
        let mut connected = Vec::with_capacity(page.len());
        for received in page.into_iter().rev() {
            if connected.len() < PAGE_EVENTS_MAX && followed.contains(&received.pdu.event_id) {
                followed.extend(received.pdu.prev_events.iter().cloned());
                connected.push(received);
            }
        }
        connected.reverse();
        Ok(connected)
    }
}

/// The events of a page, each after those before it. Where the graph leaves it open, lower depths and older events come first. Events
/// in a circle, which old event formats do not rule out, are left out.
fn in_order(page: &[Received]) -> Vec<&Received> {
    let by_id: HashMap<&EventId, &Received> =
        page.iter().map(|received| (&*received.pdu.event_id, received)).collect();
    let mut waiting: HashMap<&EventId, usize> = HashMap::new();
    let mut followers: HashMap<&EventId, Vec<&Received>> = HashMap::new();
    for (id, received) in &by_id {
        let before: HashSet<&EventId> = received.pdu.prev_events.iter().map(|id| &**id).collect();
        let before: Vec<&EventId> =
            before.into_iter().filter(|id| by_id.contains_key(id)).collect();
        waiting.insert(*id, before.len());
        for id in before {
            followers.entry(id).or_default().push(*received);
        }
    }
    let rank = |received: &Received| {
        let pdu = &received.pdu;
        (pdu.depth, pdu.origin_server_ts, pdu.event_id.clone())
    };
    let is_first = |received: &&&Received| waiting.get(&*received.pdu.event_id) == Some(&0);
    let mut ready: BTreeSet<_> = by_id.values().filter(is_first).map(|one| rank(one)).collect();
    let mut ordered = Vec::with_capacity(by_id.len());
    while let Some((_, _, id)) = ready.pop_first() {
        ordered.extend(by_id.get(&*id));
        for follower in followers.get(&*id).into_iter().flatten() {
            if let Some(left) = waiting.get_mut(&*follower.pdu.event_id) {
                *left -= 1;
                if *left == 0 {
                    ready.insert(rank(follower));
                }
            }
        }
    }
    ordered
}
