//! The index of one room, in memory.

use std::collections::HashMap;

use myelin_model::EventNid;

use crate::writer::{ChainLink, ChainPlace};

/// A place in the chain cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The chain, as an index into the index's own list.
    pub(super) chain: u32,
    /// The place in the chain, from 1.
    pub(super) seq: i32,
}

/// The chain cover of a room's state events.
#[derive(Debug, Clone, Default)]
pub struct AuthChainIndex {
    chains: Vec<Chain>,
    /// Chains by the event that names them.
    by_nid: HashMap<EventNid, u32>,
    places: HashMap<EventNid, Place>,
}

#[derive(Debug, Clone, Default)]
struct Chain {
    /// The events; the first has place 1.
    events: Vec<Option<EventNid>>,
    /// Links as (source place, target), by rising source place.
    links: Vec<(i32, Place)>,
}

/// The places that a set of events reaches: the greatest in each chain that it reaches at all.
pub(super) type SparseReach = HashMap<u32, i32>;

impl AuthChainIndex {
    /// The number of events that have a place.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether no event has a place.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The places of each chain, from 1, that are known without a gap.
    pub(super) fn known_of(&self, chain_nid: EventNid) -> i32 {
        let chain = self.by_nid.get(&chain_nid).and_then(|at| self.chains.get(*at as usize));
        let known =
            chain.map_or(0, |chain| chain.events.iter().take_while(|e| e.is_some()).count());
        i32::try_from(known).unwrap_or(i32::MAX)
    }

    /// Whether the event has a place.
    pub fn contains(&self, event: EventNid) -> bool {
        self.places.contains_key(&event)
    }

    /// Add what is known of an event. The places that links lead to must have been added.
    pub fn add(&mut self, place: ChainPlace, links: &[ChainLink]) {
        let chain = self.chain(place.chain_nid);
        self.places.insert(place.event_nid, Place { chain, seq: place.seq });
        let at = usize::try_from(place.seq - 1).unwrap_or_default();
        if let Some(chain) = self.chains.get_mut(chain as usize) {
            if chain.events.len() <= at {
                chain.events.resize(at + 1, None);
            }
            if let Some(slot) = chain.events.get_mut(at) {
                *slot = Some(place.event_nid);
            }
        }
        for link in links {
            let (source, target) = (self.chain(link.chain_nid), self.chain(link.target_chain_nid));
            if let Some(chain) = self.chains.get_mut(source as usize) {
                let at = chain.links.partition_point(|(seq, _)| *seq <= link.seq);
                chain.links.insert(at, (link.seq, Place { chain: target, seq: link.target_seq }));
            }
        }
    }

    /// Whether `event` is in the auth chain of `of`, or is it.
    pub fn is_reached(&self, event: EventNid, of: EventNid) -> bool {
        let (Some(place), Some(from)) = (self.places.get(&event), self.places.get(&of)) else {
            return false;
        };
        let mut reach = SparseReach::new();
        self.walk(*from, |chain, seq| raise(reach.entry(chain).or_default(), seq));
        reach.get(&place.chain).is_some_and(|reached| *reached >= place.seq)
    }

    fn chain(&mut self, nid: EventNid) -> u32 {
        let next = u32::try_from(self.chains.len()).unwrap_or(u32::MAX);
        let chains = &mut self.chains;
        *self.by_nid.entry(nid).or_insert_with(|| {
            chains.push(Chain::default());
            next
        })
    }

    /// The place of an event.
    pub(super) fn place(&self, event: EventNid) -> Option<Place> {
        self.places.get(&event).copied()
    }

    /// The number of chains.
    pub(super) fn chains_count(&self) -> usize {
        self.chains.len()
    }

    /// The events of a chain after one place, up to another, with their places.
    pub(super) fn events_between(
        &self,
        chain: u32,
        after: i32,
        upto: i32,
    ) -> impl DoubleEndedIterator<Item = (i32, EventNid)> {
        let (from, to) = (to_index(after), to_index(upto));
        let chain = self.chains.get(chain as usize);
        let events = chain.and_then(|chain| chain.events.get(from..to.min(chain.events.len())));
        let events = events.unwrap_or_default().iter().enumerate();
        events.filter_map(move |(at, event)| {
            Some((after.saturating_add(i32::try_from(at).ok()?).saturating_add(1), (*event)?))
        })
    }

    /// The links of a chain from after one place, up to another, each as its source's place and its target.
    pub(super) fn links_between(&self, chain: u32, after: i32, upto: i32) -> &[(i32, Place)] {
        let Some(chain) = self.chains.get(chain as usize) else { return &[] };
        let from = chain.links.partition_point(|(seq, _)| *seq <= after);
        let to = chain.links.partition_point(|(seq, _)| *seq <= upto);
        chain.links.get(from..to).unwrap_or_default()
    }

    /// Go from a place to all that it reaches. `raise` notes that a chain is reached up to a place, and gives up to where it was
    /// before. `None` if it was that far already: then nothing new lies behind.
    pub(super) fn walk(&self, from: Place, mut raise: impl FnMut(u32, i32) -> Option<i32>) {
        let mut open = vec![from];
        while let Some(place) = open.pop() {
            if let Some(before) = raise(place.chain, place.seq) {
                let links = self.links_between(place.chain, before, place.seq);
                open.extend(links.iter().map(|(_, target)| *target));
            }
        }
    }
}

/// Raise what is reached of a chain, and give up to where it was before. `None` if it was that far already.
pub(super) fn raise(reached: &mut i32, seq: i32) -> Option<i32> {
    (*reached < seq).then(|| std::mem::replace(reached, seq))
}

fn to_index(seq: i32) -> usize {
    usize::try_from(seq).unwrap_or_default()
}
