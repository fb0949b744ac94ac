//! The aims of Myelin.

use super::results::{REFERENCE, Results};
use crate::summary::show;

/// One aim.
pub(super) struct Aim {
    pub(super) scenario: &'static str,
    /// The name of the figure in the results.
    pub(super) figure: &'static str,
    /// The name of the figure on the page.
    pub(super) title: &'static str,
    goal: Goal,
}

enum Goal {
    /// The figure is at least so many times the peer's.
    TimesPeer(f64),
    /// The figure is at most the peer's, divided by so much.
    PartOfPeer(f64),
    AtMost(f64),
    /// The figure is at most so many times that of another scenario.
    AtMostTimes(f64, &'static str),
    /// The figure is at least so many times that of another scenario.
    AtLeastTimes(f64, &'static str),
}

/// Whether an aim is met; unknown if something was not measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Met,
    Missed,
    Unknown,
}

const RATE: &str = "per_second";
const CPU: &str = "cpu_seconds_per_1000";
const MEMORY: &str = "server_memory_mb";

const fn aim(scenario: &'static str, figure: &'static str, title: &'static str, goal: Goal) -> Aim {
    Aim { scenario, figure, title, goal }
}

use Goal::{AtLeastTimes, AtMost, AtMostTimes, PartOfPeer, TimesPeer};

/// All aims, in the order of the page.
pub(super) const AIMS: &[Aim] = &[
    aim("send", RATE, "messages/s", TimesPeer(60.0)),
    aim("send", CPU, "CPU ms a message", PartOfPeer(40.0)),
    aim("send-one", "p50_ms", "p50 ms", AtMostTimes(2.0, "flush")),
    aim("send-one", "p50_ms", "p50 ms", PartOfPeer(40.0)),
    aim("fanout-100", "p99_ms", "delivery p99 ms", AtMost(20.0)),
    aim("fanout-100", CPU, "CPU ms a delivery", AtMost(0.1)),
    aim("fanout-100", "lost", "lost", AtMost(0.0)),
    aim("fanout-100", "doubled", "doubled", AtMost(0.0)),
    aim("fanout-100", "out_of_order", "out of order", AtMost(0.0)),
    aim("fanout-1000", "max_ms", "the last has it, ms", AtMost(1000.0)),
    aim("fanout-1000", "lost", "lost", AtMost(0.0)),
    aim("fanout-1000", "doubled", "doubled", AtMost(0.0)),
    aim("fanout-1000", "out_of_order", "out of order", AtMost(0.0)),
    aim("initial-sync", RATE, "syncs/s", TimesPeer(40.0)),
    aim("initial-sync", CPU, "CPU ms a sync", PartOfPeer(40.0)),
    aim("incremental-sync", "p50_ms", "p50 ms of the sync", PartOfPeer(60.0)),
    aim(
        "incremental-sync-1000-rooms",
        "p50_ms",
        "p50 ms",
        AtMostTimes(1.2, "incremental-sync-10-rooms"),
    ),
    aim("idle-poll", RATE, "syncs/s", TimesPeer(20.0)),
    aim("create", RATE, "rooms/s", TimesPeer(60.0)),
    aim("join", RATE, "joins/s", TimesPeer(40.0)),
    aim("messages", RATE, "pages of 100/s", TimesPeer(20.0)),
    aim("members", RATE, "lists/s", TimesPeer(20.0)),
    aim("receipts", RATE, "receipts/s", TimesPeer(20.0)),
    aim("state", RATE, "changes/s", TimesPeer(20.0)),
    aim("login", RATE, "logins/s", AtLeastTimes(0.9, "hash-rate")),
    aim("mixed-max-on-2", RATE, "requests/s on two cores", AtLeastTimes(1.7, "mixed-max-on-1")),
    aim("send-two-nodes", RATE, "messages/s", AtLeastTimes(1.0, "send")),
    aim("mixed-max-two-nodes", RATE, "requests/s", AtLeastTimes(1.0, "mixed-max-on-2")),
    aim("fanout-100-two-nodes", "lost", "lost", AtMost(0.0)),
    aim("fanout-100-two-nodes", "doubled", "doubled", AtMost(0.0)),
    aim("fanout-100-two-nodes", "out_of_order", "out of order", AtMost(0.0)),
    aim(
        "fanout-100-two-nodes",
        "across_nodes_p99_ms",
        "delivery across nodes p99 ms",
        AtMost(20.0),
    ),
    aim("fresh", MEMORY, "memory of a new server, MB", AtMost(60.0)),
    aim("idle", MEMORY, "memory with idle users, MB", AtMost(60.0)),
    aim("after-all", MEMORY, "memory after all, MB", AtMost(200.0)),
    aim("soak", MEMORY, "memory after 20 minutes, MB", AtMost(200.0)),
    aim("soak", "memory_growth", "late memory to early memory", AtMost(1.1)),
    aim("fill-100000", "database_mb", "database, MB", PartOfPeer(3.0)),
    aim("fill-100000", "state_tables_mb", "tables of state, MB", PartOfPeer(20.0)),
];

impl Aim {
    /// The value that divides met from missed; nothing if what it depends on was not measured.
    pub(super) fn limit(&self, results: &Results, subject: &str, peer: &str) -> Option<f64> {
        let median = |scenario: &str, target: &str| {
            results.find(scenario, target, self.figure).map(|spread| spread.median)
        };
        let other =
            |scenario: &str| median(scenario, subject).or_else(|| median(scenario, REFERENCE));
        match self.goal {
            TimesPeer(factor) => Some(median(self.scenario, peer)? * factor),
            PartOfPeer(factor) => Some(median(self.scenario, peer)? / factor),
            AtMost(limit) => Some(limit),
            AtMostTimes(factor, scenario) | AtLeastTimes(factor, scenario) => {
                Some(other(scenario)? * factor)
            }
        }
    }

    /// Whether the median meets it.
    pub(super) fn verdict(&self, results: &Results, subject: &str, peer: &str) -> Verdict {
        let value = results.find(self.scenario, subject, self.figure);
        let (Some(value), Some(limit)) = (value, self.limit(results, subject, peer)) else {
            return Verdict::Unknown;
        };
        // What must never happen may happen in no round; everything else counts by its median.
        let value = if limit == 0.0 { value.max } else { value.median };
        let met = match self.goal {
            TimesPeer(_) | AtLeastTimes(..) => value >= limit,
            PartOfPeer(_) | AtMost(_) | AtMostTimes(..) => value <= limit,
        };
        if met { Verdict::Met } else { Verdict::Missed }
    }

    /// The aim in words.
    pub(super) fn text(&self) -> String {
        match self.goal {
            TimesPeer(factor) => format!("{factor} × the peer's"),
            PartOfPeer(factor) => format!("1/{factor} of the peer's"),
            AtMost(limit) => format!("at most {}", show(limit)),
            AtMostTimes(factor, scenario) => format!("at most {factor} × `{scenario}`"),
            AtLeastTimes(factor, scenario) => format!("at least {factor} × `{scenario}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aims_are_met_or_missed_or_unknown() {
        let mut results = Results::default();
        for (target, scenario, figure, value) in [
            ("myelin", "send", RATE, 700.0),
            ("synapse", "send", RATE, 10.0),
            ("myelin", "send", CPU, 1.0),
            ("synapse", "send", CPU, 20.0),
            ("myelin", "login", RATE, 89.0),
            ("reference", "hash-rate", RATE, 100.0),
            ("myelin", "fanout-100", "lost", 0.0),
            ("myelin", "fanout-100", "lost", 1.0),
            ("myelin", "fanout-100", "lost", 0.0),
            ("myelin", "create", RATE, 5.0),
        ] {
            let line =
                format!(r#"{{"scenario":"{scenario}","target":"{target}","{figure}":{value}}}"#);
            results.add(&line).unwrap();
        }
        let cases = [
            ("send", RATE, Verdict::Met),
            ("send", CPU, Verdict::Missed),
            ("login", RATE, Verdict::Missed),
            ("fanout-100", "lost", Verdict::Missed),
            ("create", RATE, Verdict::Unknown),
        ];
        for (scenario, figure, expected) in cases {
            let aim = AIMS.iter().find(|aim| aim.scenario == scenario && aim.figure == figure);
            let verdict = aim.unwrap().verdict(&results, "myelin", "synapse");
            assert_eq!(verdict, expected, "{scenario} {figure}");
        }
    }
}
