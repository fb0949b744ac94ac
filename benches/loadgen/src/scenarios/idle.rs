//! `idle`: everybody waits in `/sync`, and nothing happens: what it costs to be connected.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use async_trait::async_trait;

use super::{Prepared, Ready};
use crate::{
    arguments::Plan,
    delivery::Board,
    fixture::Fixture,
    load::Round,
    outcome::{Meter, Outcome},
    readers::Readers,
    target::Target,
};

pub(super) const PLAN: Plan = Plan { users: 200, rooms: 20, members: 20, ..Plan::NOTHING };

struct Idle {
    fixture: Fixture,
}

pub(super) async fn prepare(target: &Target, plan: &Plan) -> Ready {
    Ok(Box::new(Idle { fixture: Fixture::make(target, plan.size()).await? }))
}

#[async_trait(?Send)]
impl Prepared for Idle {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let board = Rc::new(Board::new("nothing"));
        let readers = Readers::start(&self.fixture, self.fixture.users.iter(), &board).await?;
        // Presence may tell everybody of everybody at first.
        tokio::time::sleep(round.warm_up.max(Duration::from_secs(1))).await;
        let answers = || readers.list.iter().map(|reader| reader.answers.get()).sum::<usize>();
        let (before, meter) = (answers(), Meter::start(&round.watches));
        let end = meter.started() + round.duration;
        round.show_time(|| end.saturating_duration_since(Instant::now())).await;
        let (elapsed, usages) = meter.stop();
        readers.stop();
        let operations = Some(answers() - before);
        Ok(Outcome { operations, errors: readers.errors(), elapsed, usages, ..Outcome::default() })
    }
}
