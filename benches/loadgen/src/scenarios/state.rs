//! `state`: members of one room change their names there; each change is an event of the room's state.

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
    Plan { users: 100, rooms: 1, members: 100, concurrency: 8, ..Plan::NOTHING };

struct State {
    fixture: Fixture,
    concurrency: usize,
}

pub(super) async fn prepare(target: &Target, plan: &Plan) -> Ready {
    let fixture = Fixture::make(target, plan.size()).await?;
    Ok(Box::new(State { fixture, concurrency: plan.concurrency }))
}

#[async_trait(?Send)]
impl Prepared for State {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let room = self.fixture.room(0)?;
        let outcome = round
            .run(self.concurrency, async |_, turn| {
                let member = self.fixture.member(room, turn)?;
                let name = format!("Name {turn} of round {}", round.number);
                self.fixture.change_member(room, member, &name).await?;
                Ok(Turn::Whole)
            })
            .await;
        Ok(outcome)
    }
}
