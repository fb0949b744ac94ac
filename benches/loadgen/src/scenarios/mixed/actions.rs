//! The actions of people at an office, their frequency, and the requests that each is made of.

use std::cell::RefCell;

use anyhow::Context as _;
use http::Method;
use serde_json::json;

use crate::{
    client::escape,
    delivery::Board,
    fixture::{Fixture, User},
    readers::sync,
    scan,
    scenarios::{login::log_in, messages::read_page},
};

/// One kind of request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Send,
    Receipt,
    Typing,
    History,
    Presence,
    Login,
    Sync,
}

impl Kind {
    /// The kinds that happen at a pace of their own. `Sync` is not among them: everybody waits in it all the time.
    pub(super) const PACED: [Self; 6] =
        [Self::Send, Self::Receipt, Self::Typing, Self::History, Self::Presence, Self::Login];

    /// The name of the kind in the results.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Receipt => "receipt",
            Self::Typing => "typing",
            Self::History => "history",
            Self::Presence => "presence",
            Self::Login => "login",
            Self::Sync => "sync",
        }
    }

    /// The mean number of seconds between two of one user.
    pub(super) fn interval_seconds(self) -> f64 {
        match self {
            Self::Send | Self::Receipt => 300.0,
            Self::Typing => 600.0,
            Self::Presence => 900.0,
            Self::History => 1800.0,
            Self::Login => 3600.0,
            // Where nobody waits: as often as something came for the user.
            Self::Sync => 30.0,
        }
    }
}

/// The office: its people, and what they talk about.
pub(super) struct Office {
    pub(super) fixture: Fixture,
    /// The users who log in: they have a password.
    pub(super) logging_in: Vec<User>,
    /// The newest event of each room, escaped for paths; empty before the first.
    newest: Vec<RefCell<String>>,
}

impl Office {
    pub(super) fn new(fixture: Fixture, logging_in: Vec<User>) -> Self {
        let newest = fixture.rooms.iter().map(|_| RefCell::default()).collect();
        Self { fixture, logging_in, newest }
    }

    /// Does one thing somewhere by chance. A message is told to the board, if there is one; `turn` must be new.
    pub(super) async fn act(
        &self,
        kind: Kind,
        board: Option<&Board>,
        turn: &str,
    ) -> anyhow::Result<()> {
        let fixture = &self.fixture;
        let place = rand::random_range(0..fixture.rooms.len().max(1));
        let room = fixture.room(place)?;
        let user = fixture.any_member(room)?;
        match kind {
            Kind::Send => self.send(place, user, board, turn).await,
            Kind::Receipt => {
                let newest = self.newest.get(place).map(|event| event.borrow().clone());
                match newest.filter(|event| !event.is_empty()) {
                    Some(event) => fixture.send_receipt(room, user, &event).await,
                    // Nothing to read yet: the first message comes instead.
                    None => self.send(place, user, board, turn).await,
                }
            }
            Kind::Typing => {
                let path = format!("/_matrix/client/v3/rooms/{}/typing/{}", room.path, user.path);
                self.put(&path, user, &json!({"typing": true, "timeout": 5000})).await
            }
            Kind::Presence => {
                let path = format!("/_matrix/client/v3/presence/{}/status", user.path);
                let status = json!({"presence": "online", "status_msg": format!("at {turn}")});
                self.put(&path, user, &status).await
            }
            Kind::History => read_page(fixture, room, user, None).await.map(drop),
            Kind::Login => {
                let number = rand::random_range(0..self.logging_in.len().max(1));
                let user = self.logging_in.get(number).context("nobody has a password")?;
                log_in(fixture, user, 0).await
            }
            Kind::Sync => {
                let since = user.since.borrow().clone();
                let next = sync(&fixture.client, &user.token, since.as_deref(), 0).await?;
                user.since.replace(Some(next));
                Ok(())
            }
        }
    }

    async fn send(
        &self,
        place: usize,
        user: &User,
        board: Option<&Board>,
        turn: &str,
    ) -> anyhow::Result<()> {
        let announced = board.map(Board::announce);
        let mark = announced.as_ref().map_or("nobody counts it", |(_, mark)| mark.as_str());
        let answer = self.fixture.send_message(self.fixture.room(place)?, user, turn, mark).await?;
        if let (Some(board), Some((number, _))) = (board, announced) {
            board.acknowledge(number);
        }
        if let Some(newest) = self.newest.get(place) {
            newest.replace(escape(&scan::get_text(&answer, "event_id")?));
        }
        Ok(())
    }

    async fn put(&self, path: &str, user: &User, body: &serde_json::Value) -> anyhow::Result<()> {
        self.fixture.client.send(Method::PUT, path, Some(&user.token), Some(body)).await.map(drop)
    }
}
