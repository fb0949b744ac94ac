//! `fanout`: one sends at a fixed rate, and many wait in `/sync`. How long until each has each message, and whether
//! everybody gets everything, once, in order.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use async_trait::async_trait;

use super::{Prepared, Ready};
use crate::{
    arguments::Plan,
    delivery::Board,
    fixture::{Fixture, Size, send_message},
    load::Round,
    open_loop,
    outcome::{Errors, Latencies, Meter, Outcome},
    readers::{Reader, Readers},
    target::Target,
};

pub(super) const PLAN: Plan = Plan { readers: 100, rate: 10.0, ..Plan::NOTHING };

/// The time that we wait for what is still under way at the end.
const LATEST_DELIVERY: Duration = Duration::from_secs(10);

struct Fanout {
    fixture: Rc<Fixture>,
    rate: f64,
}

pub(super) async fn prepare(target: &Target, plan: &Plan) -> Ready {
    // The first member sends, all others read.
    let members = plan.readers + 1;
    let size = Size { users: members, rooms: 1, members, messages: 0 };
    let fixture = Fixture::make(target, size).await?;
    Ok(Box::new(Fanout { fixture: Rc::new(fixture), rate: plan.rate }))
}

#[async_trait(?Send)]
impl Prepared for Fanout {
    async fn measure(&self, round: &Round) -> anyhow::Result<Outcome> {
        let board = Rc::new(Board::new(&format!("{}.{}", self.fixture.run, round.number)));
        let users = self.fixture.users.iter().skip(1);
        let readers = Readers::start(&self.fixture, users, &board).await?;
        // Everybody shall be waiting when the first message comes.
        tokio::time::sleep(Duration::from_millis(300)).await;

        let errors = Rc::new(RefCell::new(Errors::default()));
        self.send_for(round.warm_up, &board, &errors).await;
        readers.measure_from(board.count());
        let (warm_up_messages, meter) = (board.count(), Meter::start(&round.watches));
        let end = meter.started() + round.duration;
        tokio::join!(
            self.send_for(round.duration, &board, &errors),
            round.show_time(|| end.saturating_duration_since(Instant::now())),
        );
        wait_for_all(&readers, &board).await;
        let (elapsed, usages) = meter.stop();
        readers.stop();

        let latencies: Latencies = readers.latencies(|_| true).into();
        let mut figures = check(&readers, &board);
        figures.push(("messages".to_owned(), count(board.count() - warm_up_messages)));
        figures.extend(across_nodes(&self.fixture, &readers));
        let mut errors = errors.take();
        errors.merge(readers.errors());
        Ok(Outcome { latencies, errors, elapsed, usages, figures, operations: None })
    }
}

impl Fanout {
    async fn send_for(&self, duration: Duration, board: &Rc<Board>, errors: &Rc<RefCell<Errors>>) {
        open_loop::at_fixed_rate(self.rate, Instant::now() + duration, |_| {
            let (fixture, board, errors) =
                (Rc::clone(&self.fixture), Rc::clone(board), Rc::clone(errors));
            tokio::task::spawn_local(async move {
                if let Err(error) = send(&fixture, &board).await {
                    errors.borrow_mut().add(&error);
                }
            });
        })
        .await;
    }
}

async fn send(fixture: &Fixture, board: &Board) -> anyhow::Result<()> {
    let room = fixture.room(0)?;
    let (number, mark) = board.announce();
    let client = fixture.client.pinned(0);
    send_message(&client, room, fixture.member(room, 0)?, &mark, &mark).await?;
    board.acknowledge(number);
    Ok(())
}

/// Waits until everybody has everything, or it takes too long.
async fn wait_for_all(readers: &Readers, board: &Board) {
    let end = Instant::now() + LATEST_DELIVERY;
    while Instant::now() < end
        && (board.list_acknowledged().len() < board.count()
            || readers.count_deliveries() < board.count() * readers.list.len())
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn check(readers: &Readers, board: &Board) -> Vec<(String, f64)> {
    let expected = board.list_acknowledged();
    let sum = |what: &dyn Fn(&Reader) -> usize| -> f64 {
        count(readers.list.iter().map(|reader| what(reader)).sum())
    };
    let missing = |reader: &Reader| reader.seen.borrow().count_missing(&expected);
    vec![
        // What a cut timeline left out can be had by `/messages`: a client with it has lost nothing.
        (
            "lost".to_owned(),
            sum(&|reader| if reader.limited.get() == 0 { missing(reader) } else { 0 }),
        ),
        (
            "cut_off".to_owned(),
            sum(&|reader| if reader.limited.get() == 0 { 0 } else { missing(reader) }),
        ),
        ("doubled".to_owned(), sum(&|reader| reader.seen.borrow().doubled)),
        ("out_of_order".to_owned(), sum(&|reader| reader.seen.borrow().out_of_order)),
    ]
}

/// All messages come in through the first node: how long they take to readers who wait on another one.
fn across_nodes(fixture: &Fixture, readers: &Readers) -> Vec<(String, f64)> {
    if fixture.client.nodes() < 2 {
        return vec![];
    }
    let across: Latencies = readers.latencies(|reader| reader.node != 0).into();
    [50, 99]
        .into_iter()
        .filter_map(|percent| {
            Some((format!("across_nodes_p{percent}_ms"), across.percentile_ms(percent)?))
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn count(count: usize) -> f64 {
    count as f64
}
