//! How many statements a request costs.

use std::{cell::RefCell, sync::Once};

use tracing_subscriber::{Layer, layer::SubscriberExt as _};

thread_local! {
    static STATEMENTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The statements that the driver sends from this thread. The runtime of a test has one thread, so that is the test with all the
/// nodes it has started.
#[derive(Debug)]
pub struct Statements(usize);

impl Statements {
    /// Begin to note them.
    pub fn start() -> Self {
        static ONCE: Once = Once::new();
        // One subscriber for all threads: those that come and go with tests that run at once miss events.
        ONCE.call_once(|| {
            let subscriber = tracing_subscriber::registry().with(Recorder);
            tracing::subscriber::set_global_default(subscriber).unwrap();
        });
        Self(STATEMENTS.with_borrow(Vec::len))
    }

    /// The beginnings of the statements since the start.
    pub fn list(&self) -> Vec<String> {
        STATEMENTS.with_borrow(|statements| statements.iter().skip(self.0).cloned().collect())
    }

    /// How many there were since the start.
    pub fn count(&self) -> usize {
        self.list().len()
    }
}

/// Notes what the driver reports.
struct Recorder;

impl<S: tracing::Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            let mut summary = Summary(String::new());
            event.record(&mut summary);
            STATEMENTS.with_borrow_mut(|statements| statements.push(summary.0));
        }
    }
}

/// Reads the field in which the driver reports a statement's beginning.
struct Summary(String);

impl tracing::field::Visit for Summary {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "summary" {
            self.0 = format!("{value:?}");
        }
    }
}
