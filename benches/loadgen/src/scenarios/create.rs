//! `create`: new rooms.

use async_trait::async_trait;

use super::{Prepared, Ready};
use crate::{
    arguments::Plan,
    fixture::{Fixture, create_room},
    load::{Round, Turn},
    outcome::Outcome,
    target::Target,
};

pub(super) const PLAN: Plan = Plan { users: 50, concurrency: 8, ..Plan::NOTHING };

struct Create {
    fixture: Fixture,
    concurrency: usize,
}

pub(super) async fn prepare(target: &Target, plan: &Plan) -> Ready {
    let fixture = Fixture::make(target, plan.size()).await?;
    Ok(Box::new(Create { fixture, concurrency: plan.concurrency }))
}

#[async_trait(?Send)]
impl Prepared for Create {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let outcome = round
            .run(self.concurrency, async |_, turn| {
                create_room(&self.fixture.client, self.fixture.user(turn)?).await?;
                Ok(Turn::Whole)
            })
            .await;
        Ok(outcome)
    }
}
