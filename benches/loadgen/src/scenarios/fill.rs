//! `fill`: writes so many messages and changes of members as fast as the server takes them, then stops.

use std::cell::RefCell;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};

use super::{Prepared, Ready};
use crate::{
    arguments::Plan,
    fixture::{Fixture, Size},
    load::Round,
    outcome::{Errors, Meter, Outcome},
    progress,
    target::Target,
};

pub(super) const PLAN: Plan = Plan {
    users: 50,
    rooms: 20,
    members: 10,
    messages: 100_000,
    member_changes: 1000,
    concurrency: 16,
    ..Plan::NOTHING
};

struct Fill {
    fixture: Fixture,
    plan: Plan,
}

pub(super) async fn prepare(target: &Target, plan: &Plan) -> Ready {
    let size = Size { messages: 0, ..plan.size() };
    Ok(Box::new(Fill { fixture: Fixture::make(target, size).await?, plan: *plan }))
}

#[async_trait(?Send)]
impl Prepared for Fill {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let total = self.plan.messages + self.plan.member_changes;
        let errors = RefCell::new(Errors::default());
        let bar = progress::bar(round.title.clone(), total);
        let meter = Meter::start(&round.watches);
        let latencies: Vec<_> = stream::iter(0..total)
            .map(async |number| {
                let start = std::time::Instant::now();
                let written = self.write(number, total).await;
                bar.inc(1);
                written.map(|()| start.elapsed()).map_err(|error| errors.borrow_mut().add(&error))
            })
            .buffer_unordered(self.plan.concurrency)
            .filter_map(async |latency| latency.ok())
            .collect()
            .await;
        let (elapsed, usages) = meter.stop();
        bar.finish_and_clear();
        Ok(Outcome {
            latencies: latencies.into(),
            errors: errors.into_inner(),
            elapsed,
            usages,
            ..Outcome::default()
        })
    }
}

impl Fill {
    async fn write(&self, number: usize, total: usize) -> anyhow::Result<()> {
        let room = self.fixture.any_room()?;
        let member = self.fixture.any_member(room)?;
        if is_member_change(number, total, self.plan.member_changes) {
            return self.fixture.change_member(room, member, &format!("Name {number}")).await;
        }
        let txn = format!("{}.{number}", self.fixture.run);
        self.fixture.send_message(room, member, &txn, &txn).await.map(drop)
    }
}

/// The changes are spread evenly among the messages.
fn is_member_change(number: usize, total: usize, changes: usize) -> bool {
    (number + 1) * changes / total > number * changes / total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_changes_are_made() {
        for (total, changes) in [(101_000, 1000), (10, 10), (10, 0), (7, 3)] {
            let made = (0..total).filter(|number| is_member_change(*number, total, changes));
            assert_eq!(made.count(), changes);
        }
    }
}
