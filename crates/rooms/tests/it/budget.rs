//! How many statements a request costs.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use sqlx::PgPool;
use tracing_subscriber::{Layer, layer::SubscriberExt as _};

use crate::fixture::{join, node, public_room, say, user};

/// Counts what the driver sends.
#[derive(Clone, Default)]
struct Statements {
    all: Arc<AtomicUsize>,
    batches: Arc<AtomicUsize>,
}

struct Text(String);

impl tracing::field::Visit for Text {
    fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{value:?} "));
    }
}

impl<S: tracing::Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target() != "sqlx::query" {
            return;
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.all.fetch_add(1, Ordering::Relaxed);
        if text.0.contains("append_batch") {
            self.batches.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Statements {
    fn take(&self) -> (usize, usize) {
        (self.all.swap(0, Ordering::Relaxed), self.batches.swap(0, Ordering::Relaxed))
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_warm_send_is_one_statement(pool: PgPool) {
    let statements = Statements::default();
    // The test's runtime has one thread, so this holds for the writer too.
    let _guard =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(statements.clone()));
    let rooms = node(&pool).await;
    let (alice, bob) = (user("alice"), user("bob"));
    let room_id = public_room(&rooms, &alice).await;
    join(&rooms, &bob, &room_id).await;
    say(&rooms, &alice, &room_id, "first").await;
    say(&rooms, &bob, &room_id, "first").await;

    statements.take();
    say(&rooms, &alice, &room_id, "second").await;
    assert_eq!(statements.take(), (1, 1));
    say(&rooms, &bob, &room_id, "second").await;
    assert_eq!(statements.take(), (1, 1));
}
