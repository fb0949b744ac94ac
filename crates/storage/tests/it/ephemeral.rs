//! Typing and presence on two nodes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use myelin_model::{Clock, RoomNid};
use myelin_storage::{Db, PresenceState, PresenceTimers, StorageSettings};
use ruma::user_id;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::fixture::node;

#[derive(Debug)]
struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..200 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("did not come true: {what}");
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn typing_reaches_the_other_node_and_ends_by_time(pool: PgPool) {
    let (one, two) = (node(&pool).await, node(&pool).await);
    let (room, alice) = (RoomNid(7), user_id!("@alice:example.org"));
    let before = two.ephemeral().stamp_now();

    one.ephemeral().set_typing(room, alice, Some(Duration::from_millis(900)));
    assert_eq!(one.ephemeral().typing(room).1, [alice]);
    until("typing on the other node", || two.ephemeral().typing(room).1 == [alice]).await;
    let changes = two.ephemeral().changed_since(before);
    assert_eq!(changes.typing, [room]);
    assert!(two.ephemeral().changed_since(changes.stamp).typing.is_empty());

    until("the end of typing", || {
        two.ephemeral().changed_since(changes.stamp).typing == [room]
            && two.ephemeral().typing(room).1.is_empty()
    })
    .await;
    let ended = two.ephemeral().changed_since(changes.stamp);
    assert!(ended.stamp > changes.stamp);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn presence_reaches_the_other_node_and_fades(pool: PgPool) {
    let clock = Arc::new(TestClock(AtomicU64::new(1_700_000_000_000)));
    let settings = StorageSettings { clock: clock.clone(), ..StorageSettings::default() };
    let open = || Db::open(pool.clone(), pool.clone(), &settings, CancellationToken::new());
    let (one, two) = (open().await.unwrap(), open().await.unwrap());
    let alice = user_id!("@alice:example.org");

    one.ephemeral().set_presence(alice, PresenceState::Online, Some("here".to_owned()));
    until("presence on the other node", || two.ephemeral().presence(alice).is_some()).await;
    let seen = two.ephemeral().presence(alice).unwrap();
    assert_eq!(
        (seen.state, seen.status_msg.as_deref(), seen.currently_active),
        (PresenceState::Online, Some("here"), true)
    );

    let syncing = one.ephemeral().begin_syncing(alice, PresenceState::Online).unwrap();
    clock.0.fetch_add(40_000, Ordering::Relaxed);
    // Anything that changes a deadline makes the node look at the clock.
    one.ephemeral().set_active(alice);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(one.ephemeral().presence(alice).unwrap().state, PresenceState::Online);

    drop(syncing);
    clock.0.fetch_add(40_000, Ordering::Relaxed);
    until("being offline", || {
        one.ephemeral().presence(alice).unwrap().state == PresenceState::Offline
    })
    .await;
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn presence_fades_as_the_timers_say(pool: PgPool) {
    let clock = Arc::new(TestClock(AtomicU64::new(1_700_000_000_000)));
    let timers = PresenceTimers { active_millis: 1_000, idle_millis: 2_000, offline_millis: 3_000 };
    let (presence, clock_of_node) = (Some(timers), clock.clone() as Arc<dyn Clock>);
    let settings = StorageSettings { presence, clock: clock_of_node, ..StorageSettings::default() };
    let node = Db::open(pool.clone(), pool, &settings, CancellationToken::new()).await.unwrap();
    let (alice, bob) = (user_id!("@alice:example.org"), user_id!("@bob:example.org"));
    let hub = node.ephemeral();
    hub.set_presence(alice, PresenceState::Online, None);

    for (state, is_active) in [
        (PresenceState::Online, false),
        (PresenceState::Unavailable, false),
        (PresenceState::Offline, false),
    ] {
        clock.0.fetch_add(1_000, Ordering::Relaxed);
        // Anything that changes a deadline makes the node look at the clock.
        hub.set_presence(bob, PresenceState::Online, None);
        until("the next state", || {
            let seen = hub.presence(alice).unwrap();
            (seen.state, seen.currently_active) == (state, is_active)
        })
        .await;
    }
}
