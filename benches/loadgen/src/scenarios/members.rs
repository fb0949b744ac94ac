//! `members`: all members of a large room.

use async_trait::async_trait;

use super::{Prepared, Ready};
use crate::{
    arguments::Plan,
    fixture::{Fixture, Size},
    load::{Round, Turn},
    outcome::Outcome,
    target::Target,
};

pub(super) const PLAN: Plan = Plan { members: 10_000, concurrency: 4, ..Plan::NOTHING };

struct Members {
    fixture: Fixture,
    concurrency: usize,
}

pub(super) async fn prepare(target: &Target, plan: &Plan) -> Ready {
    let size = Size { users: plan.members, rooms: 1, members: plan.members, messages: 0 };
    let fixture = Fixture::make(target, size).await?;
    Ok(Box::new(Members { fixture, concurrency: plan.concurrency }))
}

#[async_trait(?Send)]
impl Prepared for Members {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let room = self.fixture.room(0)?;
        let path = format!("/_matrix/client/v3/rooms/{}/members", room.path);
        let outcome = round
            .run(self.concurrency, async |_, _| {
                self.fixture.client.get(&path, &self.fixture.any_member(room)?.token).await?;
                Ok(Turn::Whole)
            })
            .await;
        Ok(outcome)
    }
}
