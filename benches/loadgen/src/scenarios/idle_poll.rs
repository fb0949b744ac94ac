//! `idle-poll`: `/sync?timeout=0` from the last token, where nothing is new.

use async_trait::async_trait;

use super::{Prepared, Ready, initial_sync};
use crate::{
    arguments::Plan,
    fixture::Fixture,
    load::{Round, Turn},
    outcome::Outcome,
    readers::sync,
    target::Target,
};

pub(super) const PLAN: Plan = Plan { concurrency: 16, ..initial_sync::PLAN };

struct IdlePoll {
    fixture: Fixture,
    concurrency: usize,
}

pub(super) async fn prepare(target: &Target, plan: &Plan) -> Ready {
    let fixture = Fixture::make(target, plan.size()).await?;
    // The first `/sync` of a user is another scenario.
    for user in &fixture.users {
        user.since.replace(Some(sync(&fixture.client, &user.token, None, 0).await?));
    }
    Ok(Box::new(IdlePoll { fixture, concurrency: plan.concurrency }))
}

#[async_trait(?Send)]
impl Prepared for IdlePoll {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let outcome = round
            .run(self.concurrency, async |_, turn| {
                let user = self.fixture.user(turn)?;
                let since = user.since.borrow().clone();
                let next = sync(&self.fixture.client, &user.token, since.as_deref(), 0).await?;
                user.since.replace(Some(next));
                Ok(Turn::Whole)
            })
            .await;
        Ok(outcome)
    }
}
