//! `login`: logins with a password, of all users in turn.

use async_trait::async_trait;
use http::Method;
use serde_json::json;

use super::{Prepared, Ready};
use crate::{
    arguments::Plan,
    fixture::{Fixture, PASSWORD, Size, User},
    load::{Round, Turn},
    outcome::Outcome,
    target::Target,
};

pub(super) const PLAN: Plan = Plan { users: 16, concurrency: 8, ..Plan::NOTHING };

struct Login {
    fixture: Fixture,
    users: Vec<User>,
    concurrency: usize,
}

pub(super) async fn prepare(target: &Target, plan: &Plan) -> Ready {
    let fixture = Fixture::make(target, Size { users: 0, ..plan.size() }).await?;
    let users = fixture.register_with_password(target, plan.users).await?;
    Ok(Box::new(Login { fixture, users, concurrency: plan.concurrency }))
}

#[async_trait(?Send)]
impl Prepared for Login {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let outcome = round
            .run(self.concurrency, async |worker, turn| {
                if let Some(user) = self.users.get(turn % self.users.len().max(1)) {
                    log_in(&self.fixture, user, worker).await?;
                }
                Ok(Turn::Whole)
            })
            .await;
        Ok(outcome)
    }
}

/// Logs in on a device that has a number. The same devices come again: nobody has thousands.
pub(super) async fn log_in(fixture: &Fixture, user: &User, device: usize) -> anyhow::Result<()> {
    let body = json!({
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user.name},
        "password": PASSWORD,
        "device_id": format!("LOAD{device}"),
    });
    fixture.client.send(Method::POST, "/_matrix/client/v3/login", None, Some(&body)).await.map(drop)
}
