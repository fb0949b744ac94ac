//! `incremental-sync`: a message, then `/sync` of another member from the last token. The latency is that of the
//! `/sync` alone; CPU time is that of both.

use std::time::Instant;

use async_trait::async_trait;

use super::{Prepared, Ready, initial_sync};
use crate::{
    arguments::Plan,
    fixture::{Fixture, Room, User},
    load::{Round, Turn},
    outcome::Outcome,
    readers::sync,
    target::Target,
};

/// The plan of `initial-sync`.
pub(super) const PLAN: Plan = initial_sync::PLAN;

struct IncrementalSync {
    fixture: Fixture,
    concurrency: usize,
}

pub(super) async fn prepare(target: &Target, plan: &Plan) -> Ready {
    let fixture = Fixture::make(target, plan.size()).await?;
    Ok(Box::new(IncrementalSync { fixture, concurrency: plan.concurrency }))
}

#[async_trait(?Send)]
impl Prepared for IncrementalSync {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let outcome = round
            .run(self.concurrency, async |worker, turn| {
                let room = self.fixture.room(worker)?;
                let reader = self.fixture.member(room, worker)?;
                let writer = self.fixture.member(room, worker + 1)?;
                let txn = format!("{}.{}.{turn}", self.fixture.run, round.number);
                send_and_sync(&self.fixture, room, writer, reader, &txn).await
            })
            .await;
        Ok(outcome)
    }
}

/// The writer sends, the reader syncs from where the last `/sync` ended.
pub(super) async fn send_and_sync(
    fixture: &Fixture,
    room: &Room,
    writer: &User,
    reader: &User,
    txn: &str,
) -> anyhow::Result<Turn> {
    let since = reader.since.borrow().clone();
    fixture.send_message(room, writer, txn, txn).await?;
    let start = Instant::now();
    let next = sync(&fixture.client, &reader.token, since.as_deref(), 0).await?;
    let latency = start.elapsed();
    reader.since.replace(Some(next));
    Ok(Turn::Part(latency))
}
