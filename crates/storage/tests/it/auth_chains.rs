//! The index of auth chains says what walking the graph says.

use std::collections::HashSet;

use myelin_model::EventNid;
use myelin_storage::{AuthChainIndex, ChainCover};

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn pick(&mut self, most: usize, size: usize) -> Vec<usize> {
        (0..self.below(most + 1)).map(|_| self.below(size)).collect()
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

fn nids(events: impl IntoIterator<Item = usize>) -> HashSet<EventNid> {
    events.into_iter().map(nid).collect()
}

/// A graph of so many events, and its index.
fn grow(numbers: &mut Numbers, size: usize) -> (Vec<Vec<usize>>, AuthChainIndex) {
    let mut graph: Vec<Vec<usize>> = Vec::new();
    let (mut index, mut cover) = (AuthChainIndex::default(), ChainCover::default());
    for event in 0..size {
        let most = if event == 0 { 0 } else { 1 + numbers.below(4) };
        let mut auth: Vec<usize> = (0..most).map(|_| numbers.below(event)).collect();
        auth.sort_unstable();
        auth.dedup();
        let cited: Vec<EventNid> = auth.iter().copied().map(nid).collect();
        let covered = cover.add(nid(event), &cited);
        index.add(covered.place, &covered.links);
        graph.push(auth);
    }
    (graph, index)
}

#[test]
fn differences_equal_walking_the_graph() {
    for seed in 0..500 {
        let mut numbers = Numbers(seed);
        let size = 5 + numbers.below(60);
        let (graph, index) = grow(&mut numbers, size);
        let common = numbers.pick(3, size);
        let own: Vec<Vec<usize>> =
            (0..2 + numbers.below(3)).map(|_| numbers.pick(5, size)).collect();
        let settled = nids(numbers.pick(3, size));

        let reached: Vec<HashSet<usize>> =
            own.iter().map(|set| walk(&graph, &[&common[..], set].concat())).collect();
        let expected = (0..size).filter(|event| {
            let count = reached.iter().filter(|set| set.contains(event)).count();
            count > 0 && count < reached.len() && !settled.contains(&nid(*event))
        });
        let own: Vec<Vec<EventNid>> =
            own.iter().map(|set| set.iter().copied().map(nid).collect()).collect();
        let common: Vec<EventNid> = common.into_iter().map(nid).collect();
        let (near, others) = common.split_at(numbers.below(common.len() + 1));
        let difference = index.difference(&own, &settled, near, others.iter().copied());
        assert_eq!(difference, nids(expected), "seed {seed}");

        let (a, b) = (numbers.below(size), numbers.below(size));
        let is_reached = walk(&graph, &[b]).contains(&a);
        assert_eq!(index.is_reached(nid(a), nid(b)), is_reached, "seed {seed}");
    }
}

#[test]
fn paths_equal_walking_the_graph() {
    for seed in 0..500 {
        let mut numbers = Numbers(seed);
        let size = 5 + numbers.below(60);
        let (graph, index) = grow(&mut numbers, size);
        let (from, to) = (numbers.pick(5, size), numbers.pick(5, size));

        let reached = walk(&graph, &from);
        let leads = |event: &usize| {
            let reached = walk(&graph, &[*event]);
            to.iter().any(|end| reached.contains(end))
        };
        let expected = nids(reached.into_iter().filter(leads));

        let from = from.into_iter().map(nid);
        assert_eq!(index.paths(from, to.iter().copied().map(nid)), expected, "seed {seed}");
    }
}
