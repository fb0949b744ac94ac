//! The chain cover of the auth graph, carried on with every state event.
//!
//! A new event goes to the end of a chain that one of its auth events ends, else it begins a chain. From its place it has links to
//! the places of its other auth events, unless its chain has a link that reaches as far already.

use std::collections::HashMap;

use myelin_model::EventNid;

use super::ChainPosition;
use crate::writer::{ChainLink, ChainPlace};

/// The number of places of one room that are kept in memory.
const PLACES_MAX: usize = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    chain: EventNid,
    seq: i32,
}

/// A part of a room's chain cover: what who appends needs to carry it on.
#[derive(Debug, Default)]
pub struct ChainCover {
    places: HashMap<EventNid, Place>,
    ends: HashMap<EventNid, i32>,
    /// The place in the second chain that the links from the first one reach, as far as known.
    reach: HashMap<(EventNid, EventNid), i32>,
}

/// A new event in the chain cover.
#[derive(Debug)]
pub struct Covered {
    pub place: ChainPlace,
    /// The new links from its place.
    pub links: Vec<ChainLink>,
}

impl ChainCover {
    /// The events among these whose places are not in memory.
    pub fn missing(&self, nids: &[EventNid]) -> Vec<EventNid> {
        nids.iter().copied().filter(|nid| !self.places.contains_key(nid)).collect()
    }

    /// Take up a place that was read.
    pub fn insert_read(&mut self, nid: EventNid, position: ChainPosition) {
        self.places.insert(nid, Place { chain: position.chain_nid, seq: position.seq });
        // What this node has queued reaches further than what is stored.
        let end = self.ends.entry(position.chain_nid).or_insert(position.end);
        *end = position.end.max(*end);
    }

    /// Give a new event its place.
    pub fn add(&mut self, nid: EventNid, auth_nids: &[EventNid]) -> Covered {
        let auth: Vec<Place> =
            auth_nids.iter().filter_map(|nid| self.places.get(nid).copied()).collect();
        let follows = auth.iter().find(|place| self.ends.get(&place.chain) == Some(&place.seq));
        let place = match follows {
            Some(end) => Place { chain: end.chain, seq: end.seq.saturating_add(1) },
            None => Place { chain: nid, seq: 1 },
        };
        self.places.insert(nid, place);
        self.ends.insert(place.chain, place.seq);

        let mut targets: HashMap<EventNid, i32> = HashMap::new();
        for target in auth.iter().filter(|target| target.chain != place.chain) {
            let seq = targets.entry(target.chain).or_insert(target.seq);
            *seq = target.seq.max(*seq);
        }
        let mut links: Vec<ChainLink> = Vec::with_capacity(targets.len());
        for (target_chain_nid, target_seq) in targets {
            let reach = self.reach.entry((place.chain, target_chain_nid)).or_insert(0);
            if *reach < target_seq {
                *reach = target_seq;
                links.push(ChainLink {
                    chain_nid: place.chain,
                    seq: place.seq,
                    target_chain_nid,
                    target_seq,
                });
            }
        }
        let place = ChainPlace { event_nid: nid, chain_nid: place.chain, seq: place.seq };
        Covered { place, links }
    }

    /// Forget everything when there is too much. Only while nothing is queued.
    pub fn bound(&mut self) {
        if self.places.len() > PLACES_MAX {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (chain, seq) and links as (target chain, target seq).
    fn check(cover: &mut ChainCover, nid: i64, auth: &[i64], expect: (i64, i32, &[(i64, i32)])) {
        let auth: Vec<EventNid> = auth.iter().copied().map(EventNid).collect();
        let covered = cover.add(EventNid(nid), &auth);
        let mut links: Vec<(i64, i32)> =
            covered.links.iter().map(|link| (link.target_chain_nid.0, link.target_seq)).collect();
        links.sort_unstable();
        assert_eq!(
            (covered.place.chain_nid.0, covered.place.seq, &links[..]),
            expect,
            "event {nid}"
        );
    }

    #[test]
    fn events_follow_chains_and_link_the_others() {
        let mut cover = ChainCover::default();
        check(&mut cover, 1, &[], (1, 1, &[]));
        check(&mut cover, 2, &[1], (1, 2, &[]));
        check(&mut cover, 3, &[1, 2], (1, 3, &[]));
        check(&mut cover, 4, &[1, 2, 3], (1, 4, &[]));
        // Nobody's end: a chain of its own, with the furthest link only.
        check(&mut cover, 5, &[1, 3], (5, 1, &[(1, 3)]));
        check(&mut cover, 6, &[1, 3, 5], (5, 2, &[]));
        check(&mut cover, 7, &[4, 6], (1, 5, &[(5, 2)]));
        check(&mut cover, 8, &[4, 6], (5, 3, &[(1, 4)]));
    }

    #[test]
    fn what_was_read_does_not_shorten_a_chain() {
        let mut cover = ChainCover::default();
        check(&mut cover, 1, &[], (1, 1, &[]));
        check(&mut cover, 2, &[1], (1, 2, &[]));
        let position = ChainPosition { chain_nid: EventNid(1), seq: 1, end: 1 };
        cover.insert_read(EventNid(1), position);
        check(&mut cover, 3, &[1], (3, 1, &[(1, 1)]));
    }
}
