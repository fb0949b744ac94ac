//! `initial-sync`: `/sync` without a token, for all users in turn, each in 20 rooms of 20.

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
    Plan { users: 20, rooms: 20, members: 20, messages: 10, concurrency: 4, ..Plan::NOTHING };

struct InitialSync {
    fixture: Fixture,
    concurrency: usize,
}

pub(super) async fn prepare(target: &Target, plan: &Plan) -> Ready {
    let fixture = Fixture::make(target, plan.size()).await?;
    Ok(Box::new(InitialSync { fixture, concurrency: plan.concurrency }))
}

#[async_trait(?Send)]
impl Prepared for InitialSync {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let outcome = round
            .run(self.concurrency, async |_, turn| {
                let token = &self.fixture.user(turn)?.token;
                self.fixture.client.get("/_matrix/client/v3/sync?timeout=0", token).await?;
                Ok(Turn::Whole)
            })
            .await;
        Ok(outcome)
    }
}
