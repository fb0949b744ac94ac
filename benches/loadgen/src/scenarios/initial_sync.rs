//! `initial-sync`: `/sync` without a token, for all users in turn, each in 20 rooms of 20.
//!
//! Synapse keeps the answers of `/sync` for two minutes and gives them again to a client that asks for the same. No user starts anew
//! twice in two minutes, so every request has a timeout of its own, which changes nothing else: the first answer has news.

use std::sync::atomic::{AtomicUsize, Ordering};

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
    /// The next request's timeout, in milliseconds.
    timeout_ms: AtomicUsize,
}

pub(super) async fn prepare(target: &Target, plan: &Plan) -> Ready {
    let fixture = Fixture::make(target, plan.size()).await?;
    Ok(Box::new(InitialSync {
        fixture,
        concurrency: plan.concurrency,
        timeout_ms: AtomicUsize::new(0),
    }))
}

#[async_trait(?Send)]
impl Prepared for InitialSync {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let outcome = round
            .run(self.concurrency, async |_, turn| {
                let token = &self.fixture.user(turn)?.token;
                let timeout_ms = self.timeout_ms.fetch_add(1, Ordering::Relaxed);
                let path = format!("/_matrix/client/v3/sync?timeout={timeout_ms}");
                self.fixture.client.get(&path, token).await?;
                Ok(Turn::Whole)
            })
            .await;
        Ok(outcome)
    }
}
