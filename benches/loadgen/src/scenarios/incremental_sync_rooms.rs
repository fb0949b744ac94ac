//! `incremental-sync-rooms`: like `incremental-sync`, for one user who is in many rooms, of which one is busy. What it
//! costs should not depend on how many rooms there are.

use async_trait::async_trait;

use super::{Prepared, Ready, incremental_sync::send_and_sync};
use crate::{
    arguments::Plan,
    fixture::{Fixture, Size},
    load::Round,
    outcome::Outcome,
    target::Target,
};

pub(super) const PLAN: Plan = Plan { rooms: 1000, ..Plan::NOTHING };

struct IncrementalSyncRooms {
    fixture: Fixture,
}

pub(super) async fn prepare(target: &Target, plan: &Plan) -> Ready {
    let size = Size { users: 2, rooms: plan.rooms, members: 2, messages: 0 };
    Ok(Box::new(IncrementalSyncRooms { fixture: Fixture::make(target, size).await? }))
}

#[async_trait(?Send)]
impl Prepared for IncrementalSyncRooms {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let (fixture, busy) = (&self.fixture, self.fixture.room(0)?);
        let (reader, writer) = (fixture.user(0)?, fixture.user(1)?);
        let outcome = round
            .run(1, async |_, turn| {
                let txn = format!("{}.{}.{turn}", fixture.run, round.number);
                send_and_sync(fixture, busy, writer, reader, &txn).await
            })
            .await;
        Ok(outcome)
    }
}
