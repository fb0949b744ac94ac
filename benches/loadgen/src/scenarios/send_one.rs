//! `send-one`: one sender in one room, one message at a time. What counts is how long each takes.

use async_trait::async_trait;

use super::{Prepared, Ready};
use crate::{
    arguments::Plan,
    fixture::Fixture,
    load::{Round, Turn},
    outcome::Outcome,
    target::Target,
};

pub(super) const PLAN: Plan = Plan { users: 10, rooms: 1, members: 10, ..Plan::NOTHING };

struct SendOne {
    fixture: Fixture,
}

pub(super) async fn prepare(target: &Target, plan: &Plan) -> Ready {
    Ok(Box::new(SendOne { fixture: Fixture::make(target, plan.size()).await? }))
}

#[async_trait(?Send)]
impl Prepared for SendOne {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let fixture = &self.fixture;
        let room = fixture.room(0)?;
        let sender = fixture.member(room, 0)?;
        let outcome = round
            .run(1, async |_, turn| {
                let txn = format!("{}.{}.{turn}", fixture.run, round.number);
                fixture.send_message(room, sender, &txn, &txn).await?;
                Ok(Turn::Whole)
            })
            .await;
        Ok(outcome)
    }
}
