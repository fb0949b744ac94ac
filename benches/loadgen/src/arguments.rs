//! The command line of `run`, and the sizes that follow from it.

use std::path::PathBuf;

use clap::Args;

use crate::{
    fixture::Size,
    scenarios::Scenario,
    target::{NamedFile, NamedToken, NamedUrls},
    usage::Watch,
};

/// The arguments of `run`. An option that is given twice counts as it was given last.
#[derive(Args)]
#[command(args_override_self = true)]
pub(crate) struct Run {
    /// The scenario to run.
    #[arg(value_enum)]
    pub(crate) scenario: Scenario,
    /// `NAME=URL[,URL...]`: a homeserver by the URLs of its nodes, used in turn. Several targets are measured in turn.
    #[arg(long, required = true)]
    pub(crate) target: Vec<NamedUrls>,
    /// The `registration_shared_secret` of the homeservers.
    #[arg(long, default_value = "")]
    pub(crate) shared_secret: String,
    /// `[TARGET=]TOKEN`: register users as this application service, which needs no password to be hashed.
    #[arg(long)]
    pub(crate) as_token: Vec<NamedToken>,
    /// `TARGET=FILE`: use the users and rooms that an earlier run kept in this file, instead of making some; if there is
    /// no such file, keep those that are made. The target must still have them.
    #[arg(long)]
    pub(crate) keep: Vec<NamedFile>,
    /// `[TARGET:]NAME=PID[+PID...]`: measure CPU time and memory of these processes and their children.
    #[arg(long)]
    pub(crate) watch: Vec<Watch>,
    /// The number of times that each target is measured, the targets in turn; with 0 everything is made and nothing
    /// measured.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// The time for which each round measures.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// The time for which each round runs before it measures.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) warm_up_seconds: f64,
    /// Append the JSON lines to this file instead of printing them.
    #[arg(long)]
    pub(crate) output: Option<PathBuf>,
    /// The name of the scenario in the results, instead of its own.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Write memory and CPU as a JSON line of its own, each time so many seconds have passed.
    #[arg(long)]
    pub(crate) sample_seconds: Option<f64>,
    #[command(flatten)]
    pub(crate) sizes: Sizes,
}

/// The size of a run, and its load. The scenario chooses what is not given.
#[derive(Args, Clone, Copy, Default)]
pub(crate) struct Sizes {
    /// The number of users to register.
    #[arg(long)]
    pub(crate) users: Option<usize>,
    /// The number of rooms to create.
    #[arg(long)]
    pub(crate) rooms: Option<usize>,
    /// The number of members in each room.
    #[arg(long)]
    pub(crate) members: Option<usize>,
    /// Requests under way at once.
    #[arg(long)]
    pub(crate) concurrency: Option<usize>,
    /// `fanout`: how many wait in `/sync`.
    #[arg(long)]
    pub(crate) readers: Option<usize>,
    /// `fanout`: the number of messages a second.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Messages in each room before it is read; `fill`: messages to write.
    #[arg(long)]
    pub(crate) messages: Option<usize>,
    /// `fill`: changes of members to write.
    #[arg(long)]
    pub(crate) member_changes: Option<usize>,
    /// `mixed`: times as busy as an office.
    #[arg(long)]
    pub(crate) rate_factor: Option<f64>,
}

/// The sizes of one run: what was asked for, else the scenario's own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) users: usize,
    pub(crate) rooms: usize,
    pub(crate) members: usize,
    pub(crate) concurrency: usize,
    pub(crate) readers: usize,
    pub(crate) rate: f64,
    pub(crate) messages: usize,
    pub(crate) member_changes: usize,
    pub(crate) rate_factor: f64,
}

impl Plan {
    /// No users, no rooms.
    pub(crate) const NOTHING: Self = Self {
        users: 0,
        rooms: 0,
        members: 0,
        concurrency: 1,
        readers: 0,
        rate: 1.0,
        messages: 0,
        member_changes: 0,
        rate_factor: 1.0,
    };

    /// The users, rooms, members and messages to make.
    pub(crate) fn size(&self) -> Size {
        Size {
            users: self.users,
            rooms: self.rooms,
            members: self.members,
            messages: self.messages,
        }
    }

    /// The scenario's sizes, with what was asked for instead.
    pub(crate) fn with(self, asked: Sizes) -> Self {
        Self {
            users: asked.users.unwrap_or(self.users),
            rooms: asked.rooms.unwrap_or(self.rooms),
            members: asked.members.unwrap_or(self.members),
            concurrency: asked.concurrency.unwrap_or(self.concurrency).max(1),
            readers: asked.readers.unwrap_or(self.readers),
            rate: asked.rate.unwrap_or(self.rate),
            messages: asked.messages.unwrap_or(self.messages),
            member_changes: asked.member_changes.unwrap_or(self.member_changes),
            rate_factor: asked.rate_factor.unwrap_or(self.rate_factor),
        }
    }
}
