//! The auth-chain difference.

use std::collections::{HashMap, HashSet};

use myelin_model::EventNid;

use super::{
    AuthChainIndex,
    index::{SparseReach, raise},
};

/// The parts of chains that are in the auth chains of some sets, not of all: the places after the first, up to the second.
type Open = HashMap<u32, (i32, i32)>;

impl AuthChainIndex {
    /// The auth-chain difference: events that are in the full auth chain (the set itself included) of some sets but not of all.
    ///
    /// `own` are the events that each set has besides the common ones, which all share. `settled` are of no interest, and left out.
    /// `near` are common events that are looked at first, and `others` the rest, looked at in turn until nothing is left for them to
    /// reach. So it costs what the own events cost where those that are near reach what these do. Events without a place count for
    /// nothing.
    pub fn difference(
        &self,
        own: &[Vec<EventNid>],
        settled: &HashSet<EventNid>,
        near: &[EventNid],
        others: impl IntoIterator<Item = EventNid>,
    ) -> HashSet<EventNid> {
        let mut reached = vec![0; self.chains_count()];
        for place in near.iter().filter_map(|event| self.place(*event)) {
            self.walk(place, |chain, seq| raise(reached.get_mut(chain as usize)?, seq));
        }
        let mut open = self.find_open(own, settled, &reached);
        for event in others {
            if open.is_empty() {
                break;
            }
            let Some(place) = self.place(event) else { continue };
            self.walk(place, |chain, seq| {
                let before = raise(reached.get_mut(chain as usize)?, seq)?;
                if let Some((after, upto)) = open.get_mut(&chain) {
                    *after = seq.max(*after);
                    if *after >= *upto {
                        open.remove(&chain);
                    }
                }
                Some(before)
            });
        }
        let events = open.into_iter().flat_map(|(chain, (after, upto))| {
            self.events_between(chain, after, upto).map(|(_, event)| event)
        });
        events.filter(|event| !settled.contains(event)).collect()
    }

    /// The parts of chains that some sets reach by their own events, and not all, beyond what is reached anyway. Each ends with an event
    /// that is not settled.
    fn find_open(
        &self,
        own: &[Vec<EventNid>],
        settled: &HashSet<EventNid>,
        reached: &[i32],
    ) -> Open {
        let anyway = |chain: u32| reached.get(chain as usize).copied().unwrap_or_default();
        // By chain: the number of sets that reach it, and how far the nearest and the farthest of them reach.
        let mut reaches: HashMap<u32, (usize, i32, i32)> = HashMap::new();
        for set in own {
            let mut reach = SparseReach::new();
            for place in set.iter().filter_map(|event| self.place(*event)) {
                self.walk(place, |chain, seq| {
                    let known = anyway(chain);
                    match seq > known {
                        true => raise(reach.entry(chain).or_insert(known), seq),
                        false => None,
                    }
                });
            }
            for (chain, seq) in reach {
                let (count, least, greatest) = reaches.entry(chain).or_insert((0, seq, seq));
                *count += 1;
                (*least, *greatest) = (seq.min(*least), seq.max(*greatest));
            }
        }
        let open = reaches.into_iter().filter_map(|(chain, (count, least, greatest))| {
            let after = if count < own.len() { anyway(chain) } else { least };
            let mut events = self.events_between(chain, after, greatest).rev();
            let (upto, _) = events.find(|(_, event)| !settled.contains(event))?;
            Some((chain, (after, upto)))
        });
        open.collect()
    }
}
