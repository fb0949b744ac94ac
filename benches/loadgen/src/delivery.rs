//! Numbered messages: when each was sent, and whether each reader got all of them, once, in their order.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    time::{Duration, Instant},
};

use memchr::memmem;

/// The messages of one round.
pub(crate) struct Board {
    mark: String,
    finder: memmem::Finder<'static>,
    sent: RefCell<Vec<Sent>>,
}

#[derive(Clone, Copy)]
struct Sent {
    start: Instant,
    acknowledged: Option<Instant>,
}

impl Board {
    /// A board whose messages differ from those of every other `run`.
    pub(crate) fn new(run: &str) -> Self {
        let mark = format!("~{run}.");
        let finder = memmem::Finder::new(mark.as_bytes()).into_owned();
        Self { mark, finder, sent: RefCell::default() }
    }

    /// Notes that a message starts now; gives its number and what must stand in its text.
    pub(crate) fn announce(&self) -> (usize, String) {
        let mut sent = self.sent.borrow_mut();
        sent.push(Sent { start: Instant::now(), acknowledged: None });
        let number = sent.len() - 1;
        (number, format!("{}{number}~", self.mark))
    }

    /// Notes that the server has answered.
    pub(crate) fn acknowledge(&self, number: usize) {
        if let Some(sent) = self.sent.borrow_mut().get_mut(number) {
            sent.acknowledged = Some(Instant::now());
        }
    }

    /// The number of messages that were announced.
    pub(crate) fn count(&self) -> usize {
        self.sent.borrow().len()
    }

    /// The messages that the server has taken.
    pub(crate) fn list_acknowledged(&self) -> Vec<usize> {
        let sent = self.sent.borrow();
        let taken = sent.iter().enumerate().filter(|(_, sent)| sent.acknowledged.is_some());
        taken.map(|(number, _)| number).collect()
    }

    /// The time since a message was started.
    pub(crate) fn age(&self, number: usize) -> Option<Duration> {
        self.sent.borrow().get(number).map(|sent| sent.start.elapsed())
    }

    /// The numbers of the messages in an answer, as they stand there.
    pub(crate) fn list_numbers(&self, answer: &[u8]) -> Vec<usize> {
        let places = self.finder.find_iter(answer);
        places.filter_map(|place| read_number(answer.get(place + self.mark.len()..)?)).collect()
    }

    /// Whether `earlier` must stand before `later`: it was answered before the other was sent.
    fn is_before(&self, earlier: usize, later: usize) -> bool {
        let sent = self.sent.borrow();
        let acknowledged = sent.get(earlier).and_then(|sent| sent.acknowledged);
        let start = sent.get(later).map(|sent| sent.start);
        matches!((acknowledged, start), (Some(acknowledged), Some(start)) if acknowledged < start)
    }
}

/// The digits up to the closing `~`.
fn read_number(text: &[u8]) -> Option<usize> {
    let digits = text.get(..memchr::memchr(b'~', text)?)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The messages that one reader has seen of a board.
#[derive(Default)]
pub(crate) struct Seen {
    numbers: BTreeSet<usize>,
    pub(crate) doubled: usize,
    pub(crate) out_of_order: usize,
}

impl Seen {
    /// Notes a message; whether it is new.
    pub(crate) fn add(&mut self, board: &Board, number: usize) -> bool {
        let newest = self.numbers.last().copied();
        if !self.numbers.insert(number) {
            self.doubled += 1;
            return false;
        }
        if newest.is_some_and(|newest| newest > number && board.is_before(number, newest)) {
            self.out_of_order += 1;
        }
        true
    }

    /// The number of messages that were seen.
    pub(crate) fn count(&self) -> usize {
        self.numbers.len()
    }

    /// The number of those among `expected` that were not seen.
    pub(crate) fn count_missing(&self, expected: &[usize]) -> usize {
        expected.iter().filter(|number| !self.numbers.contains(number)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A board on which each message was answered before the next was sent.
    fn board(messages: usize) -> Board {
        let board = Board::new("run");
        for _ in 0..messages {
            let (number, _) = board.announce();
            board.acknowledge(number);
            // Instants may be equal otherwise.
            std::thread::sleep(Duration::from_micros(10));
        }
        board
    }

    #[test]
    fn marks_are_found_in_answers() {
        let board = Board::new("run");
        let text = [board.announce().1, board.announce().1].join(" and ");
        let answer = format!(r#"{{"body":"{text} ~run.x~ ~other.5~ ~run.3"}}"#);
        assert_eq!(board.list_numbers(answer.as_bytes()), [0, 1]);
    }

    #[test]
    fn lost_doubled_and_disordered_messages_are_counted() {
        // Seen, then: missing, doubled, out of order.
        let cases: [(&[usize], [usize; 3]); 5] = [
            (&[0, 1, 2, 3], [0, 0, 0]),
            (&[0, 1, 3], [1, 0, 0]),
            (&[0, 1, 1, 2, 3], [0, 1, 0]),
            (&[0, 2, 1, 3], [0, 0, 1]),
            (&[3, 0, 0], [2, 1, 1]),
        ];
        for (numbers, expected) in cases {
            let (board, mut seen) = (board(4), Seen::default());
            for number in numbers {
                seen.add(&board, *number);
            }
            let missing = seen.count_missing(&board.list_acknowledged());
            assert_eq!([missing, seen.doubled, seen.out_of_order], expected, "{numbers:?}");
        }
    }

    #[test]
    fn messages_under_way_at_once_have_no_order() {
        let (board, mut seen) = (Board::new("run"), Seen::default());
        let (first, _) = board.announce();
        let (second, _) = board.announce();
        board.acknowledge(second);
        board.acknowledge(first);
        seen.add(&board, second);
        seen.add(&board, first);
        assert_eq!(seen.out_of_order, 0);
    }
}
