//! `messages`: pages of 100 back through rooms with history, from the end of a room to its start, again and again.

use std::cell::{Cell, RefCell};

use async_trait::async_trait;

use super::{Prepared, Ready};
use crate::{
    arguments::Plan,
    fixture::{Fixture, Room, User},
    load::{Round, Turn},
    outcome::Outcome,
    scan,
    target::Target,
};

pub(super) const PLAN: Plan =
    Plan { users: 10, rooms: 10, members: 5, messages: 300, concurrency: 8, ..Plan::NOTHING };

struct Messages {
    fixture: Fixture,
    concurrency: usize,
}

pub(super) async fn prepare(target: &Target, plan: &Plan) -> Ready {
    let fixture = Fixture::make(target, plan.size()).await?;
    Ok(Box::new(Messages { fixture, concurrency: plan.concurrency }))
}

#[async_trait(?Send)]
impl Prepared for Messages {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let places: Vec<RefCell<Option<String>>> =
            (0..self.concurrency).map(|_| RefCell::default()).collect();
        let events = Cell::new(0_u32);
        let mut outcome = round
            .run(self.concurrency, async |worker, _| {
                let room = self.fixture.room(worker)?;
                let reader = self.fixture.member(room, worker)?;
                let Some(place) = places.get(worker) else { return Ok(Turn::Over) };
                let from = place.take();
                let page = read_page(&self.fixture, room, reader, from.as_deref()).await?;
                events.set(events.get() + page.events);
                place.replace(page.end);
                Ok(Turn::Whole)
            })
            .await;
        // Events are counted in the warm-up as well, pages are not.
        let all = (round.warm_up + outcome.elapsed).as_secs_f64();
        outcome.figures.push(("events_per_second".to_owned(), f64::from(events.get()) / all));
        Ok(outcome)
    }
}

/// A page of a room's history.
pub(super) struct Page {
    pub(super) events: u32,
    /// The place where the next page begins. `None` at the start of the room.
    pub(super) end: Option<String>,
}

/// One page of 100 back from a place, or from the end of the room.
pub(super) async fn read_page(
    fixture: &Fixture,
    room: &Room,
    reader: &User,
    from: Option<&str>,
) -> anyhow::Result<Page> {
    let from = from.map(|from| format!("&from={from}")).unwrap_or_default();
    let path = format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=100{from}", room.path);
    let answer = fixture.client.get(&path, &reader.token).await?;
    // Each event has this key once.
    let events = u32::try_from(scan::count_key(&answer, "origin_server_ts"))?;
    let end = scan::find_text(&answer, "end").map(str::to_owned).filter(|_| events > 0);
    Ok(Page { events, end })
}
