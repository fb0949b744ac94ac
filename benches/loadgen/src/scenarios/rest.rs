//! `rest`: nothing is asked of the server. What it needs when it is new, or after all other work.

use std::time::Instant;

use async_trait::async_trait;

use super::Prepared;
use crate::{
    load::Round,
    outcome::{Meter, Outcome},
};

pub(super) struct Rest;

#[async_trait(?Send)]
impl Prepared for Rest {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let meter = Meter::start(&round.watches);
        let end = meter.started() + round.duration;
        round.show_time(|| end.saturating_duration_since(Instant::now())).await;
        let (elapsed, usages) = meter.stop();
        Ok(Outcome { operations: Some(0), elapsed, usages, ..Outcome::default() })
    }
}
