//! `receipts`: everybody reads everything. In each room a message is sent, then each other member tells that it was
//! read, then comes the next message. Receipts count; CPU time has the messages in it.

use std::{
    cell::{Cell, RefCell},
    time::Instant,
};

use async_trait::async_trait;

use super::{Prepared, Ready, send};
use crate::{
    arguments::Plan,
    client::escape,
    fixture::{Fixture, Room},
    load::{Round, Turn},
    outcome::Outcome,
    scan,
    target::Target,
};

/// The plan of `send`.
pub(super) const PLAN: Plan = send::PLAN;

struct Receipts {
    fixture: Fixture,
    concurrency: usize,
}

/// The messages that are read in a room at the moment.
#[derive(Default)]
struct Newest {
    event: RefCell<String>,
    readers: Cell<usize>,
}

pub(super) async fn prepare(target: &Target, plan: &Plan) -> Ready {
    let fixture = Fixture::make(target, plan.size()).await?;
    Ok(Box::new(Receipts { fixture, concurrency: plan.concurrency }))
}

#[async_trait(?Send)]
impl Prepared for Receipts {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let newest: Vec<Newest> = self.fixture.rooms.iter().map(|_| Newest::default()).collect();
        // Each worker has a room of its own, so no receipt comes for a message that is not there yet.
        let workers = self.concurrency.min(self.fixture.rooms.len());
        let outcome = round
            .run(workers, async |worker, turn| {
                let Some(newest) = newest.get(worker) else { return Ok(Turn::Over) };
                let txn = format!("{}.{}.{turn}", self.fixture.run, round.number);
                self.read(self.fixture.room(worker)?, newest, &txn).await
            })
            .await;
        Ok(outcome)
    }
}

impl Receipts {
    /// The next member reads; when all have read, the next message comes first.
    async fn read(&self, room: &Room, newest: &Newest, txn: &str) -> anyhow::Result<Turn> {
        // The first member sends.
        let reader = newest.readers.get() % room.members.len().saturating_sub(1).max(1) + 1;
        if reader == 1 {
            let sender = self.fixture.member(room, 0)?;
            let answer = self.fixture.send_message(room, sender, txn, txn).await?;
            newest.event.replace(escape(&scan::get_text(&answer, "event_id")?));
        }
        let event = newest.event.borrow().clone();
        let start = Instant::now();
        self.fixture.send_receipt(room, self.fixture.member(room, reader)?, &event).await?;
        newest.readers.set(newest.readers.get() + 1);
        Ok(Turn::Part(start.elapsed()))
    }
}
