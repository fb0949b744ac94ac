//! `mixed-max`: the requests of `mixed`, with `/sync` that does not wait among them, as fast as they are answered: how
//! much a server can do at most.

use async_trait::async_trait;

use super::{
    actions::{Kind, Office},
    make_office,
};
use crate::{
    arguments::Plan,
    load::{Round, Turn},
    outcome::Outcome,
    scenarios::{Prepared, Ready},
    target::Target,
};

struct MixedMax {
    office: Office,
    concurrency: usize,
}

pub(in crate::scenarios) async fn prepare_max(target: &Target, plan: &Plan) -> Ready {
    let office = make_office(target, plan).await?;
    // The first `/sync` of everybody is another scenario.
    for user in &office.fixture.users {
        let next = crate::readers::sync(&office.fixture.client, &user.token, None, 0).await?;
        user.since.replace(Some(next));
    }
    Ok(Box::new(MixedMax { office, concurrency: plan.concurrency }))
}

#[async_trait(?Send)]
impl Prepared for MixedMax {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let outcome = round
            .run(self.concurrency, async |_, turn| {
                let turn = format!("{}.{}.{turn}", self.office.fixture.run, round.number);
                self.office.act(choose(rand::random_range(0.0..1.0)), None, &turn).await?;
                Ok(Turn::Whole)
            })
            .await;
        Ok(outcome)
    }
}

/// The kind at this place between 0 and 1; each has as much room as it is frequent.
fn choose(place: f64) -> Kind {
    let kinds = Kind::PACED.into_iter().chain([Kind::Sync]);
    let frequency = |kind: Kind| 1.0 / kind.interval_seconds();
    let mut left = place * kinds.clone().map(frequency).sum::<f64>();
    for kind in kinds {
        left -= frequency(kind);
        if left <= 0.0 {
            return kind;
        }
    }
    Kind::Sync
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_kinds_come_often() {
        let kinds: Vec<Kind> = (0..10_000).map(|n| choose(f64::from(n) / 10_000.0)).collect();
        let count = |wanted: Kind| kinds.iter().filter(|kind| **kind == wanted).count();
        assert!(count(Kind::Sync) > count(Kind::Send) * 5);
        assert!(count(Kind::Send) > count(Kind::History) * 4);
        assert!(count(Kind::Login) > 0);
    }
}
