//! `send`: messages into the rooms by chance, from members by chance.

use async_trait::async_trait;

use super::{Prepared, Ready};
use crate::{
    arguments::Plan,
    fixture::Fixture,
    load::{Round, Turn},
    outcome::Outcome,
    target::Target,
};

pub(super) const PLAN: Plan =
    Plan { users: 50, rooms: 20, members: 10, concurrency: 16, ..Plan::NOTHING };

struct Send {
    fixture: Fixture,
    concurrency: usize,
}

pub(super) async fn prepare(target: &Target, plan: &Plan) -> Ready {
    let fixture = Fixture::make(target, plan.size()).await?;
    Ok(Box::new(Send { fixture, concurrency: plan.concurrency }))
}

#[async_trait(?Send)]
impl Prepared for Send {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let fixture = &self.fixture;
        let outcome = round
            .run(self.concurrency, async |_, turn| {
                let room = fixture.any_room()?;
                let txn = format!("{}.{}.{turn}", fixture.run, round.number);
                fixture.send_message(room, fixture.any_member(room)?, &txn, &txn).await?;
                Ok(Turn::Whole)
            })
            .await;
        Ok(outcome)
    }
}
