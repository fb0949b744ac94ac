//! The index of one room, in memory.

use std::collections::{HashMap, HashSet};

use myelin_model::EventNid;

use crate::writer::{ChainLink, ChainPlace};

/// A place in the chain cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// The chain, as an index into the index's own list.
    chain: u32,
    /// The place in the chain, from 1.
    seq: i32,
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

/// The places that a set of events reaches: the greatest in each chain, 0 where it reaches nothing.
type Reach = Vec<i32>;

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

    /// The auth-chain difference: events that are in the full auth chain (the set itself included) of some sets but not of all.
    ///
    /// `common` are the events that all sets share, `own` what each has besides. Costs what the sets and the chains they reach
    /// are large, not what lies in the chains. Events without a place are left out.
    pub fn difference(&self, common: &[EventNid], own: &[Vec<EventNid>]) -> HashSet<EventNid> {
        let mut base = vec![0; self.chains.len()];
        for event in common {
            self.extend_by_event(&mut base, *event);
        }
        let (mut least, mut greatest) = (Reach::new(), Reach::new());
        for set in own {
            let mut reach = base.clone();
            for event in set {
                self.extend_by_event(&mut reach, *event);
            }
            if least.is_empty() {
                least.clone_from(&reach);
                greatest = reach;
            } else {
                for ((least, greatest), reach) in least.iter_mut().zip(&mut greatest).zip(&reach) {
                    *least = (*least).min(*reach);
                    *greatest = (*greatest).max(*reach);
                }
            }
        }
        let mut difference = HashSet::new();
        for ((chain, least), greatest) in self.chains.iter().zip(&least).zip(&greatest) {
            let (from, to) = (
                usize::try_from(*least).unwrap_or_default(),
                usize::try_from(*greatest).unwrap_or_default(),
            );
            difference
                .extend(chain.events.get(from..to).unwrap_or_default().iter().flatten().copied());
        }
        difference
    }

    /// Whether `event` is in the auth chain of `of`, or is it.
    pub fn is_reached(&self, event: EventNid, of: EventNid) -> bool {
        let Some(place) = self.places.get(&event) else { return false };
        let mut reach = Reach::new();
        self.extend_by_event(&mut reach, of);
        reach.get(place.chain as usize).is_some_and(|reached| *reached >= place.seq)
    }

    fn chain(&mut self, nid: EventNid) -> u32 {
        let next = u32::try_from(self.chains.len()).unwrap_or(u32::MAX);
        let chains = &mut self.chains;
        *self.by_nid.entry(nid).or_insert_with(|| {
            chains.push(Chain::default());
            next
        })
    }

    fn extend_by_event(&self, reach: &mut Reach, event: EventNid) {
        if let Some(place) = self.places.get(&event) {
            self.extend_reach(reach, *place);
        }
    }

    /// Add what a place reaches. Goes along a link only when that leads farther than what is reached already.
    fn extend_reach(&self, reach: &mut Reach, place: Place) {
        reach.resize(self.chains.len(), 0);
        let mut pending = vec![place];
        while let Some(place) = pending.pop() {
            let Some(reached) = reach.get_mut(place.chain as usize) else { continue };
            let before = *reached;
            if before >= place.seq {
                continue;
            }
            *reached = place.seq;
            if let Some(chain) = self.chains.get(place.chain as usize) {
                let from = chain.links.partition_point(|(seq, _)| *seq <= before);
                let to = chain.links.partition_point(|(seq, _)| *seq <= place.seq);
                pending.extend(
                    chain.links.get(from..to).unwrap_or_default().iter().map(|(_, target)| *target),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth_chains::ChainCover;

    /// Numbers that look random and are the same each time.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % end
        }
    }

    fn walk(graph: &[Vec<usize>], set: &[usize]) -> HashSet<usize> {
        let (mut seen, mut pending) = (HashSet::new(), set.to_vec());
        while let Some(event) = pending.pop() {
            if seen.insert(event) {
                pending.extend(&graph[event]);
            }
        }
        seen
    }

    fn nid(event: usize) -> EventNid {
        EventNid(i64::try_from(event).unwrap() + 100)
    }

    #[test]
    fn equals_walking_the_graph() {
        for seed in 0..200 {
            let mut numbers = Numbers(seed);
            let size = 5 + numbers.below(60);
            let mut graph: Vec<Vec<usize>> = vec![vec![]];
            let (mut index, mut cover) = (AuthChainIndex::default(), ChainCover::default());
            for event in 0..size {
                if event > 0 {
                    let mut auth: Vec<usize> =
                        (0..1 + numbers.below(4)).map(|_| numbers.below(event)).collect();
                    auth.sort_unstable();
                    auth.dedup();
                    graph.push(auth);
                }
                let auth: Vec<EventNid> = graph[event].iter().copied().map(nid).collect();
                let covered = cover.add(nid(event), &auth);
                index.add(covered.place, &covered.links);
            }
            let pick = |numbers: &mut Numbers, most: usize| -> Vec<usize> {
                (0..numbers.below(most + 1)).map(|_| numbers.below(size)).collect()
            };
            let common = pick(&mut numbers, 3);
            let own: Vec<Vec<usize>> =
                (0..2 + numbers.below(3)).map(|_| pick(&mut numbers, 5)).collect();

            let reached: Vec<HashSet<usize>> =
                own.iter().map(|set| walk(&graph, &[&common[..], set].concat())).collect();
            let expected: HashSet<EventNid> = (0..size)
                .filter(|event| {
                    let count = reached.iter().filter(|set| set.contains(event)).count();
                    count > 0 && count < reached.len()
                })
                .map(nid)
                .collect();
            let common: Vec<EventNid> = common.into_iter().map(nid).collect();
            let own: Vec<Vec<EventNid>> =
                own.into_iter().map(|set| set.into_iter().map(nid).collect()).collect();
            assert_eq!(index.difference(&common, &own), expected, "seed {seed}");

            let (a, b) = (numbers.below(size), numbers.below(size));
            assert_eq!(
                index.is_reached(nid(a), nid(b)),
                walk(&graph, &[b]).contains(&a),
                "seed {seed}"
            );
        }
    }
}
