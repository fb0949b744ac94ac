//! The unread events of one user in one room.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use myelin_model::{EventNid, StreamPos};

use crate::view::Personal;

/// The number of unread events that are kept one by one. Older ones are only counted, unless they highlight.
const ITEMS_MAX: usize = 500;

/// Unread events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// The number of events that notify.
    pub(crate) notifications: u64,
    /// The number of those among them that are highlighted.
    pub(crate) highlights: u64,
}

/// The counts of a user's unread events in a room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unread {
    /// The count of the main timeline.
    pub(crate) main: Count,
    /// The counts of threads, by their roots.
    pub(crate) threads: Vec<(Box<str>, Count)>,
}

impl Unread {
    /// All together.
    pub(crate) fn all(&self) -> Count {
        self.threads.iter().fold(self.main, |sum, (_, count)| Count {
            notifications: sum.notifications + count.notifications,
            highlights: sum.highlights + count.highlights,
        })
    }
}

/// Unread events that are only counted.
#[derive(Debug, Default)]
pub(super) struct Older {
    /// None of them stands after this position.
    pub(super) upto: StreamPos,
    /// The number of events in the main timeline.
    pub(super) main: u64,
    /// The numbers of events in threads, by their roots.
    pub(super) threads: HashMap<Box<str>, u64>,
}

impl Older {
    fn count_of(&self, thread: &str) -> u64 {
        match thread {
            "" => self.threads.values().sum::<u64>() + self.main,
            "main" => self.main,
            root => self.threads.get(root).copied().unwrap_or_default(),
        }
    }

    fn add(&mut self, item: Item) {
        self.upto = self.upto.max(item.pos);
        match item.thread {
            None => self.main += 1,
            Some(root) => *self.threads.entry(root).or_default() += 1,
        }
    }

    /// Forget those of a thread, or of all.
    fn clear(&mut self, thread: &str) {
        match thread {
            "" => *self = Self::default(),
            "main" => self.main = 0,
            root => drop(self.threads.remove(root)),
        }
    }

    /// One of them is kept by itself.
    pub(super) fn take_out(&mut self, thread: Option<&str>) {
        let count = match thread {
            None => Some(&mut self.main),
            Some(root) => self.threads.get_mut(root),
        };
        if let Some(count) = count {
            *count = count.saturating_sub(1);
        }
    }
}

/// An unread event that notifies.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) nid: EventNid,
    pub(super) pos: StreamPos,
    /// The thread's root; `None` in the main timeline.
    pub(super) thread: Option<Box<str>>,
    pub(super) highlight: bool,
}

/// The unread events of one user in one room.
#[derive(Debug)]
pub(crate) struct Counts {
    /// They hold at this position.
    pub(super) upto: StreamPos,
    /// The rules they were judged by.
    pub(super) personal: Arc<Personal>,
    /// The position up to which everything is read.
    read: StreamPos,
    /// The positions up to which threads are read, `main` among them.
    threads_read: HashMap<Box<str>, StreamPos>,
    /// Unread events that are not among the items, by the default rules.
    older: Older,
    items: VecDeque<Item>,
}

impl Counts {
    /// Begin with no unread events after `read`.
    pub(super) fn new(
        upto: StreamPos,
        personal: Arc<Personal>,
        read: StreamPos,
        threads_read: HashMap<Box<str>, StreamPos>,
    ) -> Self {
        let (older, items) = (Older::default(), VecDeque::new());
        Self { upto, personal, read, threads_read, older, items }
    }

    /// These are unread besides the items.
    pub(super) fn set_older(&mut self, older: Older) {
        self.older = older;
    }

    /// Whether the user has not read an event yet.
    pub(super) fn is_unread(&self, item: &Item) -> bool {
        let thread = item.thread.as_deref().unwrap_or("main");
        let read = self.threads_read.get(thread).copied().unwrap_or_default();
        item.pos > read.max(self.read)
    }

    /// An event notifies.
    pub(super) fn add(&mut self, item: Item) {
        if !self.is_unread(&item) {
            return;
        }
        self.items.push_back(item);
        if self.items.len() > ITEMS_MAX {
            let plain = self.items.iter().position(|item| !item.highlight).unwrap_or_default();
            if let Some(item) = self.items.remove(plain) {
                self.older.add(item);
            }
        }
    }

    /// An event was redacted.
    pub(super) fn delete(&mut self, nid: EventNid) {
        self.items.retain(|item| item.nid != nid);
    }

    /// Whether an event may be one of those that are only counted: then the counts must be made again when it is redacted.
    pub(super) fn may_count(&self, nid: EventNid) -> bool {
        self.older.count_of("") > 0 && self.items.iter().all(|item| item.nid != nid)
    }

    /// Whether a receipt is for what is only counted: then the counts must be made again.
    pub(super) fn is_unclear(&self, thread: &str, pos: StreamPos) -> bool {
        pos < self.older.upto && self.older.count_of(thread) > 0
    }

    /// The user has read up to a position: everything if `thread` is empty, else only there.
    pub(super) fn read(&mut self, thread: &str, pos: StreamPos) {
        if pos >= self.older.upto {
            self.older.clear(thread);
        }
        if thread.is_empty() {
            if pos > self.read {
                self.read = pos;
                self.items.retain(|item| item.pos > pos);
            }
            return;
        }
        let read = self.threads_read.entry(thread.into()).or_default();
        *read = pos.max(*read);
        self.items
            .retain(|item| item.pos > pos || item.thread.as_deref().unwrap_or("main") != thread);
    }

    /// The sums.
    pub(super) fn sum(&self) -> Unread {
        let mut unread = Unread::default();
        unread.main.notifications = self.older.main;
        let threads = self.older.threads.iter().filter(|(_, count)| **count > 0);
        unread.threads.extend(
            threads.map(|(root, count)| {
                (root.clone(), Count { notifications: *count, highlights: 0 })
            }),
        );
        for item in &self.items {
            let count = match &item.thread {
                None => &mut unread.main,
                Some(thread) => {
                    let known = unread.threads.iter().position(|(known, _)| known == thread);
                    let at = known.unwrap_or_else(|| {
                        unread.threads.push((thread.clone(), Count::default()));
                        unread.threads.len() - 1
                    });
                    match unread.threads.get_mut(at) {
                        Some((_, count)) => count,
                        None => continue,
                    }
                }
            };
            count.notifications += 1;
            count.highlights += u64::from(item.highlight);
        }
        unread
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ruma::push::Ruleset;

    use super::*;

    fn counts() -> Counts {
        let personal = Personal {
            ignored: HashSet::new(),
            rules: Ruleset::new(),
            rules_are_default: true,
            blocks_invites: false,
        };
        Counts::new(StreamPos(10), Arc::new(personal), StreamPos(1), HashMap::new())
    }

    fn item(pos: i64, thread: Option<&str>, highlight: bool) -> Item {
        Item { nid: EventNid(pos), pos: StreamPos(pos), thread: thread.map(Into::into), highlight }
    }

    #[test]
    fn receipts_read_the_room_or_a_thread() {
        let mut counts = counts();
        for (pos, thread, highlight) in
            [(2, None, false), (3, Some("$a"), false), (4, Some("$a"), true), (5, None, true)]
        {
            counts.add(item(pos, thread, highlight));
        }
        let all = Count { notifications: 4, highlights: 2 };
        assert_eq!(counts.sum().all(), all);
        counts.read("main", StreamPos(2));
        assert_eq!(counts.sum().main, Count { notifications: 1, highlights: 1 });
        counts.read("$a", StreamPos(3));
        assert_eq!(counts.sum().all(), Count { notifications: 2, highlights: 2 });
        counts.delete(EventNid(5));
        assert_eq!(counts.sum().main, Count::default());
        counts.add(item(1, None, true));
        assert_eq!(counts.sum().main, Count::default(), "it is read already");
        counts.read("", StreamPos(9));
        assert_eq!(counts.sum(), Unread::default());
    }

    #[test]
    fn what_is_only_counted_cannot_be_read_in_part() {
        let mut counts = counts();
        let threads = HashMap::from([("$a".into(), 4)]);
        counts.set_older(Older { upto: StreamPos(7), main: 3, threads });
        counts.add(item(8, None, false));
        assert_eq!(counts.sum().all().notifications, 8);
        for (thread, pos, unclear) in [
            ("", 3, true),
            ("", 8, false),
            ("main", 3, true),
            ("main", 8, false),
            ("$a", 3, true),
            ("$a", 7, false),
            ("$b", 3, false),
        ] {
            assert_eq!(counts.is_unclear(thread, StreamPos(pos)), unclear, "{thread} {pos}");
        }
        counts.read("$a", StreamPos(7));
        assert_eq!(counts.sum().all().notifications, 4);
        counts.read("main", StreamPos(8));
        assert_eq!(counts.sum(), Unread::default());
    }

    #[test]
    fn highlights_outlast_the_others() {
        let mut counts = counts();
        counts.add(item(2, None, true));
        for pos in 3..1_003 {
            counts.add(item(pos, (pos % 2 == 0).then_some("$a"), false));
        }
        assert_eq!(counts.sum().main, Count { notifications: 501, highlights: 1 });
        assert_eq!(counts.sum().all(), Count { notifications: 1_001, highlights: 1 });
        counts.read("$a", StreamPos(1_002));
        assert_eq!(counts.sum().all(), Count { notifications: 501, highlights: 1 });
    }
}
