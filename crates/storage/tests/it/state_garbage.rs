//! Snapshots that nothing refers to go, all others stay, while nodes append.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use myelin_model::{EventFlags, StateKeyNid, StateNid};
use myelin_storage::{
    Append, Db, RoomHead, StateKey, StateMap,
    upkeep::{Look, STATE_GARBAGE_KEPT_MS, StateGarbage},
};
use ruma::room_id;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Next, new_room, next_event, node};

const NOW_MS: u64 = 1_700_000_000_000;

/// The states that the test has made, by their snapshots.
type States = HashMap<StateNid, StateMap>;

async fn key(db: &Db, number: usize) -> StateKeyNid {
    let key = StateKey::new("org.example.test", &number.to_string());
    *db.state_keys().get_or_add(std::slice::from_ref(&key)).await.unwrap().get(&key).unwrap()
}

/// A state event of a room, written.
async fn set_state(db: &Db, head: &RoomHead, key: StateKeyNid, states: &mut States) -> RoomHead {
    let next = Next { state_key_nid: Some(key), state_key: Some("x"), ..Next::default() };
    let (append, head) = next_event(db, head, next).await;
    db.writer().append(append).await.unwrap();
    states.insert(head.chain.state_nid().unwrap(), head.state.clone());
    head
}

/// A state event after which the room's state is another one, as state resolution makes it: nothing but the room refers to
/// its snapshot. Returns the head to go on with, which is not built upon that.
async fn resolve(db: &Db, head: &RoomHead, key: StateKeyNid, states: &mut States) -> RoomHead {
    let next = Next { state_key_nid: Some(key), state_key: Some("x"), ..Next::default() };
    let (mut append, head) = next_event(db, head, next).await;
    states.insert(head.chain.state_nid().unwrap(), head.state.clone());
    let mut resolved = head.clone();
    let event = append.events.first_mut().unwrap();
    event.flags = EventFlags::NONE;
    let nid = event.nid;
    let other = StateKeyNid(key.0 + 1);
    resolved.state.insert(other, nid);
    let state_nid = db.nids().next_state().await.unwrap();
    append.snapshots.push(resolved.chain.extend(state_nid, &[(other, Some(nid))], &resolved.state));
    db.writer().append(Append { head: Arc::new(resolved), ..append }).await.unwrap();
    head
}

async fn count(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM state_snapshots").fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_a_room_has_moved_on_from_goes_after_an_hour(pool: PgPool) {
    let (db, mut states) = (node(&pool).await, States::new());
    let garbage = StateGarbage::new(pool.clone());
    let (one, two) = (key(&db, 1).await, key(&db, 2).await);
    let head = new_room(&db, room_id!("!r:example.org")).await;
    let room_nid = head.room_nid.0;
    let head = set_state(&db, &head, one, &mut states).await;
    let head = resolve(&db, &head, one, &mut states).await;
    // The room itself refers to the resolved state.
    assert_eq!(garbage.look(room_nid, NOW_MS).await.unwrap(), Look::default());

    set_state(&db, &head, two, &mut states).await;

    let before = count(&pool).await;
    let noted = Look { deleted: 0, noted: 1 };
    assert_eq!(garbage.look(room_nid, NOW_MS).await.unwrap(), noted);
    assert_eq!(garbage.look(room_nid, NOW_MS + STATE_GARBAGE_KEPT_MS - 1).await.unwrap(), noted);
    let deleted = Look { deleted: 1, noted: 0 };
    assert_eq!(garbage.look(room_nid, NOW_MS + STATE_GARBAGE_KEPT_MS).await.unwrap(), deleted);
    assert_eq!(count(&pool).await, before - 1);
    for (nid, state) in &states {
        assert_eq!(&db.states().get(*nid).await.unwrap(), state);
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_is_stored_before_it_is_current_is_spared(pool: PgPool) {
    let garbage = StateGarbage::new(pool.clone());
    let (db, mut states) = (node(&pool).await, States::new());
    let head = new_room(&db, room_id!("!r:example.org")).await;
    let room_nid = head.room_nid.0;
    let insert = "INSERT INTO state_snapshots (state_nid, room_nid, delta) SELECT -1, $1, ''";
    sqlx::query(insert).bind(room_nid).execute(&pool).await.unwrap();
    let noted = Look { deleted: 0, noted: 1 };
    assert_eq!(garbage.look(room_nid, NOW_MS).await.unwrap(), noted);

    set_state(&db, &head, key(&db, 1).await, &mut states).await;
    let refer = "UPDATE events SET state_before = -1 WHERE room_nid = $1";
    sqlx::query(refer).bind(room_nid).execute(&pool).await.unwrap();

    let late = NOW_MS + 2 * STATE_GARBAGE_KEPT_MS;
    assert_eq!(garbage.look(room_nid, late).await.unwrap(), Look::default());
    // When the event goes, the hour begins anew.
    sqlx::query("UPDATE events SET state_before = NULL").execute(&pool).await.unwrap();
    assert_eq!(garbage.look(room_nid, late).await.unwrap(), noted);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_walk_looks_at_rooms_that_are_due(pool: PgPool) {
    let (db, mut states) = (node(&pool).await, States::new());
    let mut heads = Vec::new();
    for room in 0..3 {
        let room_id = format!("!r{room}:example.org");
        let head = new_room(&db, room_id.as_str().try_into().unwrap()).await;
        heads.push(set_state(&db, &head, key(&db, 1).await, &mut states).await);
    }
    let mut garbage = StateGarbage::new(pool.clone());
    let mut walk = async |now_ms| {
        let mut looks = 0;
        while garbage.step(now_ms).await.unwrap() {
            looks += 1;
        }
        looks
    };
    assert_eq!(walk(NOW_MS).await, 3);

    let day_ms = 24 * 60 * 60 * 1000;
    resolve(&db, &heads[0], key(&db, 2).await, &mut states).await;
    assert_eq!(walk(NOW_MS).await, 0);
    assert_eq!(walk(NOW_MS + day_ms).await, 1);
    assert_eq!(walk(NOW_MS + 2 * day_ms).await, 0);
}

/// A task that appends to a room, now through one node and now through the other.
async fn append_for_a_while(nodes: [Db; 2], room: usize, stop: CancellationToken) -> States {
    let mut states = States::new();
    let room_id = format!("!r{room}:example.org");
    let mut keys = Vec::new();
    for number in 0..20 {
        // Every other one: `resolve` changes the next.
        keys.push(key(&nodes[0], 2 * number).await);
        key(&nodes[0], 2 * number + 1).await;
    }
    let mut head = new_room(&nodes[0], room_id.as_str().try_into().unwrap()).await;
    for step in 0.. {
        if stop.is_cancelled() {
            break;
        }
        let db = nodes.get(step % 2).unwrap();
        let key = *keys.get(step * 7 % keys.len()).unwrap();
        head = match step % 3 {
            0 => resolve(db, &head, key, &mut states).await,
            _ => set_state(db, &head, key, &mut states).await,
        };
    }
    states
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn nothing_that_is_referred_to_goes_while_nodes_append(pool: PgPool) {
    let nodes = [node(&pool).await, node(&pool).await];
    let stop = CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();
    for room in 0..4 {
        tasks.spawn(append_for_a_while(nodes.clone(), room, stop.clone()));
    }

    // Nothing is kept for any time: what guards must hold by itself. Two at once, as after a lease was lost.
    let mut collectors = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (pool, stop) = (pool.clone(), stop.clone());
        collectors.spawn(async move {
            let garbage = StateGarbage::new(pool.clone()).kept_for(0);
            let mut deleted = 0;
            while !stop.is_cancelled() {
                let rooms: Vec<i64> = sqlx::query_scalar("SELECT room_nid FROM rooms")
                    .fetch_all(&pool)
                    .await
                    .unwrap();
                for room_nid in rooms {
                    deleted += garbage.look(room_nid, NOW_MS).await.unwrap().deleted;
                }
            }
            deleted
        });
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    stop.cancel();
    let deleted: usize = collectors.join_all().await.into_iter().sum();
    assert!(deleted > 20, "only {deleted} were deleted meanwhile");

    let mut states = States::new();
    for of_room in tasks.join_all().await {
        states.extend(of_room);
    }
    let nids: Vec<StateNid> = states.keys().copied().collect();
    let read = nodes[0].states().list(&nids).await.unwrap();
    for (nid, state) in &states {
        assert_eq!(read.get(nid), Some(state), "{nid}");
    }
    // What is left are the states of events, what they are based on, and what the rooms have now.
    let garbage = StateGarbage::new(pool.clone()).kept_for(0);
    let rooms: Vec<(i64, i64)> =
        sqlx::query_as("SELECT room_nid, state_nid FROM rooms").fetch_all(&pool).await.unwrap();
    for (room_nid, _) in &rooms {
        garbage.look(*room_nid, NOW_MS).await.unwrap();
        garbage.look(*room_nid, NOW_MS).await.unwrap();
    }
    let left: Vec<(i64, Option<i64>)> =
        sqlx::query_as("SELECT state_nid, base_nid FROM state_snapshots")
            .fetch_all(&pool)
            .await
            .unwrap();
    let mut needed: HashSet<i64> = nids.iter().map(|nid| nid.0).collect();
    needed.extend(rooms.iter().map(|(_, state_nid)| *state_nid));
    needed.extend(left.iter().filter_map(|(_, base)| *base));
    assert!(left.iter().all(|(nid, _)| needed.contains(nid)));
}
