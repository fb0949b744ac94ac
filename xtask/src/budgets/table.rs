//! The table of instructions and allocations.

use std::collections::BTreeMap;

/// The percentage by which instructions may differ: hash maps are seeded by chance, and processors have different
/// instructions for copying.
const INSTRUCTIONS_TOLERANCE_PERCENT: u64 = 3;
/// The percentage by which allocations may differ: the shape of a tree follows the order in which a hash map gives its
/// entries.
const ALLOCATIONS_TOLERANCE_PERCENT: u64 = 2;
const HEAD: &str = "case\tinstructions\tallocations\n";

/// The cost of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) instructions: u64,
    pub(super) allocations: u64,
}

pub(super) type Costs = BTreeMap<String, Cost>;

pub(super) fn read(text: &str) -> Costs {
    let line = |line: &str| {
        let mut columns = line.split('\t');
        let name = columns.next()?.to_owned();
        let (instructions, allocations) =
            (columns.next()?.parse().ok()?, columns.next()?.parse().ok()?);
        Some((name, Cost { instructions, allocations }))
    };
    text.lines().filter_map(line).collect()
}

pub(super) fn write(costs: &Costs) -> String {
    let lines = costs
        .iter()
        .map(|(name, cost)| format!("{name}\t{}\t{}\n", cost.instructions, cost.allocations));
    HEAD.to_owned() + &lines.collect::<String>()
}

/// The costs to be written down: the new where they differ, so that an update changes only the lines that it has to.
pub(super) fn settle(written: &Costs, counted: Costs) -> Costs {
    let settle = |(name, cost): (String, Cost)| match written.get(&name) {
        Some(was) if compare_one(&name, *was, cost).is_empty() => (name, *was),
        _ => (name, cost),
    };
    counted.into_iter().map(settle).collect()
}

/// One line for each number that is out of its bounds.
pub(super) fn compare(written: &Costs, counted: &Costs) -> Vec<String> {
    let mut errors = vec![];
    for (name, cost) in counted {
        match written.get(name) {
            Some(was) => errors.extend(compare_one(name, *was, *cost)),
            None => errors.push(format!("{name} is new and not written down")),
        }
    }
    let gone = written.keys().filter(|name| !counted.contains_key(*name));
    errors.extend(gone.map(|name| format!("{name} is written down but there is no such case")));
    errors
}

fn compare_one(name: &str, was: Cost, is: Cost) -> Vec<String> {
    [
        ("instructions", was.instructions, is.instructions, INSTRUCTIONS_TOLERANCE_PERCENT),
        ("allocations", was.allocations, is.allocations, ALLOCATIONS_TOLERANCE_PERCENT),
    ]
    .into_iter()
    .filter(|(_, was, is, tolerance)| was.abs_diff(*is) * 100 > was * tolerance)
    .map(|(what, was, is, _)| {
        let verdict = if is > was { "WORSE" } else { "better" };
        let percent = (was.abs_diff(is) * 100).checked_div(was);
        let by = percent.map(|percent| format!(" by {percent} %")).unwrap_or_default();
        format!("{name}: {is} {what}, written down are {was}: {verdict}{by}")
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(lines: &[(&str, u64, u64)]) -> Costs {
        let cost = |(name, instructions, allocations): &(&str, u64, u64)| {
            let (instructions, allocations) = (*instructions, *allocations);
            ((*name).to_owned(), Cost { instructions, allocations })
        };
        lines.iter().map(cost).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let table = costs(&[("a", 1000, 3), ("b", 7, 0)]);
        assert_eq!(read(&write(&table)), table);
    }

    #[test]
    fn what_is_out_of_bounds_is_told() {
        let written = costs(&[("a", 1000, 10), ("b", 1000, 10), ("c", 1000, 0), ("gone", 1, 1)]);
        let counted = costs(&[("a", 1030, 10), ("b", 1500, 9), ("c", 1000, 1), ("new", 1, 1)]);
        assert_eq!(
            compare(&written, &counted),
            [
                "b: 1500 instructions, written down are 1000: WORSE by 50 %",
                "b: 9 allocations, written down are 10: better by 10 %",
                "c: 1 allocations, written down are 0: WORSE",
                "new is new and not written down",
                "gone is written down but there is no such case",
            ]
        );
    }

    #[test]
    fn an_update_changes_only_what_differs() {
        let written = costs(&[("a", 1000, 10), ("b", 1000, 10)]);
        let counted = costs(&[("a", 1010, 10), ("b", 1500, 10)]);
        assert_eq!(settle(&written, counted), costs(&[("a", 1000, 10), ("b", 1500, 10)]));
    }
}
