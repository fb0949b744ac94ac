//! `mixed`: a day at an office. Everybody waits in `/sync`; messages, receipts, typing, presence, history and logins
//! come when they come, whether or not the server keeps up.

mod actions;
mod max;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures_util::future::{join, join_all};

use self::actions::{Kind, Office};
pub(super) use self::max::prepare_max;
use super::{Prepared, Ready};
use crate::{
    arguments::Plan,
    delivery::Board,
    fixture::Fixture,
    load::Round,
    open_loop,
    outcome::{Errors, Latencies, Meter, Outcome},
    readers::Readers,
    target::Target,
};

pub(super) const PLAN: Plan =
    Plan { users: 1000, rooms: 100, members: 20, concurrency: 32, ..Plan::NOTHING };

/// The number of users who have a password and log in now and then.
const LOGGING_IN: usize = 8;

/// A server that is so far behind is not asked for more: what would come is an error.
const UNDER_WAY_MAX: usize = 2000;

/// The time that we wait for what is still under way at the end.
const LATEST_ANSWER: Duration = Duration::from_secs(10);

struct Mixed {
    office: Rc<Office>,
    rate_factor: f64,
}

/// The requests of one kind in a round.
struct Tally {
    kind: Kind,
    latencies: RefCell<Vec<Duration>>,
}

/// The common part of all requests of a round.
struct Day {
    board: Rc<Board>,
    number: usize,
    measuring: Cell<bool>,
    turns: Cell<usize>,
    under_way: Cell<usize>,
    errors: RefCell<Errors>,
}

pub(super) async fn prepare(target: &Target, plan: &Plan) -> Ready {
    let office = Rc::new(make_office(target, plan).await?);
    Ok(Box::new(Mixed { office, rate_factor: plan.rate_factor }))
}

async fn make_office(target: &Target, plan: &Plan) -> anyhow::Result<Office> {
    let fixture = Fixture::make(target, plan.size()).await?;
    let logging_in = fixture.register_with_password(target, LOGGING_IN).await?;
    Ok(Office::new(fixture, logging_in))
}

#[async_trait(?Send)]
impl Prepared for Mixed {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let fixture = &self.office.fixture;
        let board = Rc::new(Board::new(&format!("{}.{}", fixture.run, round.number)));
        let readers = Readers::start(fixture, fixture.users.iter(), &board).await?;
        let day = Rc::new(Day::new(&board, round.number));
        let tallies =
            Kind::PACED.map(|kind| Rc::new(Tally { kind, latencies: RefCell::default() }));

        let end = Instant::now() + round.warm_up + round.duration;
        let work = join_all(tallies.iter().map(|tally| self.work(tally, &day, end)));
        let clock = async {
            tokio::time::sleep(round.warm_up).await;
            readers.measure_from(board.count());
            day.measuring.set(true);
            let meter = Meter::start(&round.watches);
            round.show_time(|| end.saturating_duration_since(Instant::now())).await;
            meter.stop()
        };
        let (_, (elapsed, usages)) = join(work, clock).await;
        day.wait_for_answers().await;
        readers.stop();

        let deliveries: Latencies = readers.latencies(|_| true).into();
        let mut figures = list_figures("delivery", &deliveries);
        let mut all = vec![];
        for tally in &tallies {
            let latencies = tally.latencies.take();
            all.extend(latencies.iter().copied());
            figures.extend(list_figures(tally.kind.name(), &latencies.into()));
        }
        let mut errors = day.errors.take();
        errors.merge(readers.errors());
        Ok(Outcome { latencies: all.into(), errors, elapsed, usages, figures, operations: None })
    }
}

impl Mixed {
    /// Does one kind of thing until the end, by chance, as often as all users together do it.
    async fn work(&self, tally: &Rc<Tally>, day: &Rc<Day>, end: Instant) {
        #[expect(clippy::cast_precision_loss, reason = "users stay far below 2^52")]
        let users = self.office.fixture.users.len() as f64;
        let rate = users / tally.kind.interval_seconds() * self.rate_factor;
        open_loop::by_chance(rate, end, |due| {
            let (office, tally, day) = (Rc::clone(&self.office), Rc::clone(tally), Rc::clone(day));
            tokio::task::spawn_local(async move { day.act(&office, &tally, due).await });
        })
        .await;
    }
}

impl Day {
    fn new(board: &Rc<Board>, number: usize) -> Self {
        Self {
            board: Rc::clone(board),
            number,
            measuring: Cell::default(),
            turns: Cell::default(),
            under_way: Cell::default(),
            errors: RefCell::default(),
        }
    }

    /// Does one thing. Its latency counts from the time when it was due, so that a server that falls behind shows it.
    async fn act(&self, office: &Office, tally: &Tally, due: Instant) {
        if self.under_way.get() >= UNDER_WAY_MAX {
            let error = anyhow::anyhow!("{UNDER_WAY_MAX} requests are under way already");
            return self.errors.borrow_mut().add(&error);
        }
        self.under_way.set(self.under_way.get() + 1);
        self.turns.set(self.turns.get() + 1);
        let (counts, turn) = (self.measuring.get(), self.turns.get());
        let turn = format!("{}.{}.{turn}", office.fixture.run, self.number);
        let answer = office.act(tally.kind, Some(&self.board), &turn).await;
        self.under_way.set(self.under_way.get() - 1);
        match answer {
            Ok(()) if counts => tally.latencies.borrow_mut().push(due.elapsed()),
            Ok(()) => {}
            Err(error) => self.errors.borrow_mut().add(&error),
        }
    }

    async fn wait_for_answers(&self) {
        let end = Instant::now() + LATEST_ANSWER;
        while self.under_way.get() > 0 && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Median and 99th percentile, if there were any.
fn list_figures(name: &str, latencies: &Latencies) -> Vec<(String, f64)> {
    [50, 99]
        .into_iter()
        .filter_map(|percent| {
            Some((format!("{name}_p{percent}_ms"), latencies.percentile_ms(percent)?))
        })
        .collect()
}
