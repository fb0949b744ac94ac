//! CPU time and memory of a process and its children, from `/proc`.

use std::{collections::HashMap, fs, str::FromStr};

use anyhow::Context as _;

/// Clock ticks a second in `/proc/PID/stat`; fixed on every Linux in use.
const TICKS_PER_SECOND: f64 = 100.0;

/// `[TARGET:]NAME=PID[+PID...]`.
#[derive(Clone)]
pub(crate) struct Watch {
    /// The only target that these processes serve, if they do not serve all.
    target: Option<String>,
    pub(crate) name: String,
    pids: Vec<u32>,
}

impl FromStr for Watch {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, pids) = text.split_once('=').context("give NAME=PID")?;
        let (target, name) = match name.split_once(':') {
            Some((target, name)) => (Some(target.to_owned()), name),
            None => (None, name),
        };
        let pids = pids.split('+').map(str::parse).collect::<Result<_, _>>();
        Ok(Self { target, name: name.to_owned(), pids: pids.context("a PID is not a number")? })
    }
}

/// CPU seconds so far.
pub(crate) struct Sample {
    cpu_seconds: f64,
}

/// The resources that a watched process used while we measured.
pub(crate) struct Usage {
    pub(crate) name: String,
    pub(crate) cpu_seconds: f64,
    /// Proportional set size at the end: shared pages are counted once.
    pub(crate) memory_mb: f64,
}

struct Process {
    parent: u32,
    ticks: u64,
    /// The CPU time of children that ended and were waited for.
    ended_children_ticks: u64,
}

impl Watch {
    /// Whether the processes serve this target.
    pub(crate) fn is_of(&self, target: &str) -> bool {
        self.target.as_deref().is_none_or(|only| only == target)
    }

    /// CPU seconds so far.
    pub(crate) fn sample(&self) -> Sample {
        Sample { cpu_seconds: self.cpu_seconds() }
    }

    /// The resources that were used since `before`.
    pub(crate) fn usage_since(&self, before: &Sample) -> Usage {
        Usage {
            name: self.name.clone(),
            cpu_seconds: self.cpu_seconds() - before.cpu_seconds,
            memory_mb: self.memory_mb(),
        }
    }

    /// The resources that were used since the processes began.
    pub(crate) fn usage(&self) -> Usage {
        self.usage_since(&Sample { cpu_seconds: 0.0 })
    }

    #[expect(clippy::cast_precision_loss, reason = "ticks stay far below 2^52")]
    fn cpu_seconds(&self) -> f64 {
        let processes = list_processes();
        let family = list_family(&processes, &self.pids);
        let ticks: u64 = family
            .iter()
            .filter_map(|pid| processes.get(pid))
            .map(|p| p.ticks + p.ended_children_ticks)
            .sum();
        ticks as f64 / TICKS_PER_SECOND
    }

    #[expect(clippy::cast_precision_loss, reason = "kilobytes stay far below 2^52")]
    fn memory_mb(&self) -> f64 {
        let kilobytes: u64 =
            list_family(&list_processes(), &self.pids).into_iter().map(memory_kb).sum();
        kilobytes as f64 / 1024.0
    }
}

fn memory_kb(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

fn list_processes() -> HashMap<u32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return HashMap::new() };
    let pids =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        Some((pid, parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))
    })
    .collect()
}

/// The fields after the command, which stands in brackets and may hold anything.
fn parse_stat(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Process {
        parent: u32::try_from(number(1)?).ok()?,
        ticks: number(11)? + number(12)?,
        ended_children_ticks: number(13)? + number(14)?,
    })
}

/// The processes and everything below them.
fn list_family(processes: &HashMap<u32, Process>, roots: &[u32]) -> Vec<u32> {
    let mut family = roots.to_vec();
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(
            processes.iter().filter(|(_, process)| process.parent == parent).map(|(pid, _)| *pid),
        );
        next += 1;
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_brackets_is_skipped() {
        let stat = "7 (a (b) c) S 3 7 7 0 -1 4194560 1 2 3 4 50 60 70 80 20 0";
        let process = parse_stat(stat).expect("the line is well formed");
        assert_eq!((process.parent, process.ticks, process.ended_children_ticks), (3, 110, 150));
    }
}
