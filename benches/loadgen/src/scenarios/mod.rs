//! The scenarios, and how many users and rooms each needs.

mod fan_out;
mod read;
mod sync;
mod write;

use clap::ValueEnum;

use crate::{
    fixture::{Fixture, Size},
    load::{Load, Outcome},
};

/// What the load generator can do.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Scenario {
    /// Messages into all rooms, from all members.
    Send,
    /// Messages into one room.
    SendOne,
    /// One message after the other; measured until every member's `/sync` has it.
    Fanout,
    /// `/sync` without a token.
    InitialSync,
    /// A message, then `/sync` of another member from the last token.
    IncrementalSync,
    /// Logins with a password.
    Login,
    /// A new room, and one who joins it.
    CreateJoin,
    /// Pages of 50 back through a room.
    Messages,
    /// The members of a room.
    Members,
    /// Read receipts.
    Receipts,
    /// The state of a room.
    State,
    /// Everybody waits in `/sync`, and nothing happens.
    Idle,
}

impl Scenario {
    /// What the scenario needs at least or at most of what was asked for.
    pub(crate) fn size(self, asked: Size) -> Size {
        match self {
            Self::SendOne | Self::Fanout => Size { rooms: 1, members: asked.users, ..asked },
            Self::Login => Size { rooms: 0, ..asked },
            Self::CreateJoin => Size { rooms: 0, users: asked.users.max(2), ..asked },
            _ => asked,
        }
    }

    /// Runs it.
    pub(crate) async fn run(self, fixture: &Fixture<'_>, load: &Load) -> anyhow::Result<Outcome> {
        match self {
            Self::Send | Self::SendOne => write::send(fixture, load).await,
            Self::Receipts => write::receipts(fixture, load).await,
            Self::Login => write::login(fixture, load).await,
            Self::CreateJoin => write::create_join(fixture, load).await,
            Self::Fanout => fan_out::fan_out(fixture, load).await,
            Self::InitialSync => sync::initial(fixture, load).await,
            Self::IncrementalSync => sync::incremental(fixture, load).await,
            Self::Idle => sync::idle(fixture, load).await,
            Self::Messages => read::messages(fixture, load).await,
            Self::Members => read::members(fixture, load).await,
            Self::State => read::state(fixture, load).await,
        }
    }
}
