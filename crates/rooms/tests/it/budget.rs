//! How many statements a request costs.

use std::sync::{Arc, Mutex};

use sqlx::PgPool;
use tracing_subscriber::{Layer, layer::SubscriberExt as _};

use crate::fixture::{join, node, public_room, say, user};

/// Notes what the driver sends.
#[derive(Clone, Default)]
struct Statements(Arc<Mutex<Vec<String>>>);

struct Summary(String);

impl tracing::field::Visit for Summary {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "summary" {
            self.0 = format!("{value:?}");
        }
    }
}

impl<S: tracing::Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            let mut summary = Summary(String::new());
            event.record(&mut summary);
            self.0.lock().unwrap().push(summary.0);
        }
    }
}

impl Statements {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
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

    for (session, txn_id) in [(&alice, "second"), (&bob, "second"), (&alice, "third")] {
        statements.take();
        say(&rooms, session, &room_id, txn_id).await;
        let sent = statements.take();
        assert_eq!(sent.len(), 1, "{sent:#?}");
        assert!(sent[0].contains("SELECT base, appended"), "{sent:#?}");
    }
}
