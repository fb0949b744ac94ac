//! The scenarios: what each does, and how much of it.

mod create;
mod fanout;
mod fill;
mod idle;
mod idle_poll;
mod incremental_sync;
mod incremental_sync_rooms;
mod initial_sync;
mod join;
mod login;
mod members;
mod messages;
mod mixed;
mod receipts;
mod rest;
mod send;
mod send_one;
mod state;

use async_trait::async_trait;
use clap::ValueEnum;

use crate::{arguments::Plan, load::Round, outcome::Outcome, target::Target};

/// The scenarios that the load generator knows.
#[derive(Clone, Copy, ValueEnum, PartialEq, Eq, Debug)]
pub(crate) enum Scenario {
    /// Messages into all rooms, from all members.
    Send,
    /// Messages into one room from one sender, one at a time.
    SendOne,
    /// Messages into one room at a fixed rate, and everybody in it waits in `/sync`.
    Fanout,
    /// A `/sync` without a token.
    InitialSync,
    /// A message, then `/sync` of another member from the last token.
    IncrementalSync,
    /// The same, where the reader is in many rooms (`--rooms`) and only one of them is busy.
    IncrementalSyncRooms,
    /// `/sync` that does not wait, and nothing is new.
    IdlePoll,
    /// Everybody waits in `/sync`, and nothing happens.
    Idle,
    /// Nothing happens at all: memory and CPU time of the server as it is.
    Rest,
    /// Logins with a password.
    Login,
    /// Rooms are created.
    Create,
    /// Users join rooms.
    Join,
    /// Pages of 100 back through rooms with history.
    Messages,
    /// The members of a large room.
    Members,
    /// Everybody reads everything: a receipt of each member for each message.
    Receipts,
    /// Changes of members in one room.
    State,
    /// A day at an office, at its own pace.
    Mixed,
    /// The same requests, as fast as they are answered.
    MixedMax,
    /// Writes messages and changes of members, once, so that the size of the database can be measured.
    Fill,
}

/// A scenario whose users and rooms are ready.
#[async_trait(?Send)]
pub(crate) trait Prepared {
    /// Measures once.
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome>;
}

/// The data that a scenario made, ready to be measured.
pub(crate) type Ready = anyhow::Result<Box<dyn Prepared>>;

impl Scenario {
    /// The sizes that the scenario has by itself.
    pub(crate) fn plan(self) -> Plan {
        match self {
            Self::Send => send::PLAN,
            Self::SendOne => send_one::PLAN,
            Self::Fanout => fanout::PLAN,
            Self::InitialSync => initial_sync::PLAN,
            Self::IncrementalSync => incremental_sync::PLAN,
            Self::IncrementalSyncRooms => incremental_sync_rooms::PLAN,
            Self::IdlePoll => idle_poll::PLAN,
            Self::Idle => idle::PLAN,
            Self::Rest => Plan::NOTHING,
            Self::Login => login::PLAN,
            Self::Create => create::PLAN,
            Self::Join => join::PLAN,
            Self::Messages => messages::PLAN,
            Self::Members => members::PLAN,
            Self::Receipts => receipts::PLAN,
            Self::State => state::PLAN,
            Self::Mixed | Self::MixedMax => mixed::PLAN,
            Self::Fill => fill::PLAN,
        }
    }

    /// The name in the results: with the size, where the same scenario is measured in several sizes.
    pub(crate) fn name(self, plan: &Plan) -> String {
        let name = self.to_possible_value().map(|value| value.get_name().to_owned());
        let name = name.unwrap_or_default();
        match self {
            Self::Fanout => format!("{name}-{}", plan.readers),
            Self::IncrementalSyncRooms => format!("incremental-sync-{}-rooms", plan.rooms),
            Self::Fill => format!("{name}-{}", plan.messages),
            _ => name,
        }
    }

    /// Whether it runs until it is done, instead of for a time: then one round is all.
    pub(crate) fn is_once(self) -> bool {
        self == Self::Fill
    }

    /// Makes its users and rooms on the target.
    pub(crate) async fn prepare(self, target: &Target, plan: &Plan) -> Ready {
        match self {
            Self::Send => send::prepare(target, plan).await,
            Self::SendOne => send_one::prepare(target, plan).await,
            Self::Fanout => fanout::prepare(target, plan).await,
            Self::InitialSync => initial_sync::prepare(target, plan).await,
            Self::IncrementalSync => incremental_sync::prepare(target, plan).await,
            Self::IncrementalSyncRooms => incremental_sync_rooms::prepare(target, plan).await,
            Self::IdlePoll => idle_poll::prepare(target, plan).await,
            Self::Idle => idle::prepare(target, plan).await,
            Self::Rest => Ok(Box::new(rest::Rest)),
            Self::Login => login::prepare(target, plan).await,
            Self::Create => create::prepare(target, plan).await,
            Self::Join => join::prepare(target, plan).await,
            Self::Messages => messages::prepare(target, plan).await,
            Self::Members => members::prepare(target, plan).await,
            Self::Receipts => receipts::prepare(target, plan).await,
            Self::State => state::prepare(target, plan).await,
            Self::Mixed => mixed::prepare(target, plan).await,
            Self::MixedMax => mixed::prepare_max(target, plan).await,
            Self::Fill => fill::prepare(target, plan).await,
        }
    }
}
