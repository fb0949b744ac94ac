//! The subscriber that notes what tests look at of the log.

use std::sync::Once;

use tracing::Level;
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
};

use crate::{complaints, statements};

/// Begin to note. One subscriber for all threads: those that come and go with tests that run at once miss events.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(Recorder);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

struct Recorder;

impl<S: tracing::Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if metadata.target() == "sqlx::query" {
            statements::note(event);
        } else if *metadata.level() <= Level::WARN {
            complaints::note(event);
        }
    }
}
