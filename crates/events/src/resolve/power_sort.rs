//! The reverse topological power ordering.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use ruma::OwnedEventId;

use crate::auth::Power;

/// The rank of an event among those that could come next.
#[derive(PartialEq, Eq)]
pub(super) struct Rank {
    pub(super) power: Power,
    pub(super) origin_server_ts: i64,
    pub(super) event_id: OwnedEventId,
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        // The more powerful come first.
        other
            .power
            .cmp(&self.power)
            .then_with(|| self.origin_server_ts.cmp(&other.origin_server_ts))
            .then_with(|| self.event_id.as_str().cmp(other.event_id.as_str()))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// An event to be ordered.
pub(super) struct Node {
    pub(super) rank: Rank,
    /// The nodes that are its auth events, by their place in the list, each once.
    pub(super) after: Vec<usize>,
}

/// The places of the nodes in order: auth events before the events that cite them, and the smallest rank first among those that can come
/// next (Kahn's algorithm). Nodes in a circle, which honest events cannot form, are left out.
pub(super) fn sort(nodes: Vec<Node>) -> Vec<usize> {
    let mut waiting: Vec<usize> = nodes.iter().map(|node| node.after.len()).collect();
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    let mut ranks: Vec<Option<Rank>> = Vec::with_capacity(nodes.len());
    for (place, node) in nodes.into_iter().enumerate() {
        for after in node.after {
            if let Some(followers) = before.get_mut(after) {
                followers.push(place);
            }
        }
        ranks.push(Some(node.rank));
    }
    let mut ready = BinaryHeap::new();
    for (place, open) in waiting.iter().enumerate() {
        if *open == 0
            && let Some(rank) = ranks.get_mut(place).and_then(Option::take)
        {
            ready.push(Reverse((rank, place)));
        }
    }
    let mut sorted = Vec::with_capacity(ranks.len());
    while let Some(Reverse((_, place))) = ready.pop() {
        sorted.push(place);
        for follower in before.get(place).into_iter().flatten() {
            let Some(open) = waiting.get_mut(*follower) else { continue };
            *open -= 1;
            if *open == 0
                && let Some(rank) = ranks.get_mut(*follower).and_then(Option::take)
            {
                ready.push(Reverse((rank, *follower)));
            }
        }
    }
    sorted
}
