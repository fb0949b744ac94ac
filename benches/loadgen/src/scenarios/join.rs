//! `join`: users join rooms that were made before the round. The rooms take turns and grow together; a round ends
//! early when everybody is everywhere.

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Prepared, Ready};
use crate::{
    arguments::Plan,
    fixture::{Fixture, Size, create_room, join},
    load::{Round, Turn},
    outcome::Outcome,
    target::Target,
};

pub(super) const PLAN: Plan = Plan { users: 200, rooms: 40, concurrency: 8, ..Plan::NOTHING };

struct Join {
    fixture: Fixture,
    rooms: usize,
    concurrency: usize,
}

pub(super) async fn prepare(target: &Target, plan: &Plan) -> Ready {
    let size = Size { users: plan.users, rooms: 0, members: 0, messages: 0 };
    let fixture = Fixture::make(target, size).await?;
    Ok(Box::new(Join { fixture, rooms: plan.rooms, concurrency: plan.concurrency }))
}

#[async_trait(?Send)]
impl Prepared for Join {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let client = &self.fixture.client;
        let creator = self.fixture.user(0)?;
        let rooms: Vec<String> = stream::iter(0..self.rooms)
            .map(|_| create_room(client, creator))
            .buffer_unordered(self.concurrency)
            .try_collect()
            .await?;
        let outcome = round
            .run(self.concurrency, async |_, turn| {
                let turn = turn - 1;
                let Some(room) = rooms.get(turn % rooms.len().max(1)) else {
                    return Ok(Turn::Over);
                };
                // The first user made the rooms.
                let joiner = 1 + turn / rooms.len();
                let Some(user) = self.fixture.users.get(joiner) else { return Ok(Turn::Over) };
                join(client, room, user).await?;
                Ok(Turn::Whole)
            })
            .await;
        Ok(outcome)
    }
}
