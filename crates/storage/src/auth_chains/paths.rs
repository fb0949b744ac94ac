//! The paths between events of the auth graph.

use std::collections::{HashMap, HashSet};

use myelin_model::EventNid;

use super::{
    AuthChainIndex,
    index::{Place, SparseReach, raise},
};

/// The links that lead to each chain, each as its target's place and its source, by rising place.
type Sources = HashMap<u32, Vec<(i32, Place)>>;

impl AuthChainIndex {
    /// The events on the paths along `auth_events` that lead from some events to others, with the ends: who is in the auth chain of one
    /// of `from` (or is it) and has one of `to` in its own (or is it). It costs what the auth chains of `from` cost to walk, chain by
    /// chain. Events without a place count for nothing.
    pub fn paths(
        &self,
        from: impl IntoIterator<Item = EventNid>,
        to: impl IntoIterator<Item = EventNid>,
    ) -> HashSet<EventNid> {
        let mut reach = SparseReach::new();
        for place in from.into_iter().filter_map(|event| self.place(event)) {
            self.walk(place, |chain, seq| raise(reach.entry(chain).or_default(), seq));
        }
        let ends = to.into_iter().filter_map(|event| self.place(event));
        let leading = self.find_leading(&reach, ends);
        let events = leading.into_iter().flat_map(|(chain, first)| {
            let upto = reach.get(&chain).copied().unwrap_or_default();
            self.events_between(chain, first.saturating_sub(1), upto).map(|(_, event)| event)
        });
        events.collect()
    }

    /// The first place in each chain from which one of `ends` is reached, among the chains that are reached themselves.
    fn find_leading(&self, reach: &SparseReach, ends: impl Iterator<Item = Place>) -> SparseReach {
        let mut sources = self.find_sources(reach);
        let mut leading = SparseReach::new();
        let mut open: Vec<Place> = ends.collect();
        while let Some(Place { chain, seq }) = open.pop() {
            let first = leading.entry(chain).or_insert(i32::MAX);
            if *first <= seq {
                continue;
            }
            *first = seq;
            // Those that lead farther have been taken when the chain came up before.
            while let Some((_, source)) = sources
                .get_mut(&chain)
                .and_then(|sources| sources.pop_if(|(target_seq, _)| *target_seq >= seq))
            {
                open.push(source);
            }
        }
        leading
    }

    /// The links from what is reached.
    fn find_sources(&self, reach: &SparseReach) -> Sources {
        let mut sources = Sources::new();
        for (chain, upto) in reach {
            for (seq, target) in self.links_between(*chain, 0, *upto) {
                let source = Place { chain: *chain, seq: *seq };
                sources.entry(target.chain).or_default().push((target.seq, source));
            }
        }
        for links in sources.values_mut() {
            links.sort_unstable_by_key(|(seq, _)| *seq);
        }
        sources
    }
}
