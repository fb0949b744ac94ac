//! The errors and warnings that are logged.

use std::{cell::RefCell, fmt::Write as _};

use tracing::field::{Field, Visit};

use crate::recorder;

thread_local! {
    static COMPLAINTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The errors and warnings that are logged from this thread. The runtime of a test has one thread, so that is the test with all the
/// nodes it has started.
#[derive(Debug)]
pub struct Complaints(usize);

impl Complaints {
    /// Begin to note them.
    pub fn start() -> Self {
        recorder::install();
        Self(COMPLAINTS.with_borrow(Vec::len))
    }

    /// The complaints since the start, each with all its fields, the causes of errors included.
    pub fn list(&self) -> Vec<String> {
        COMPLAINTS.with_borrow(|complaints| complaints.iter().skip(self.0).cloned().collect())
    }
}

pub(crate) fn note(event: &tracing::Event<'_>) {
    let mut line = Line(event.metadata().level().to_string());
    event.record(&mut line);
    COMPLAINTS.with_borrow_mut(|complaints| complaints.push(line.0));
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        write!(self.0, " {field}={value}").unwrap();
        let mut source = value.source();
        while let Some(cause) = source {
            write!(self.0, ": {cause}").unwrap();
            source = cause.source();
        }
    }
}
