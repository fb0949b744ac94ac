//! The group-commit writer.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use myelin_model::{Event, EventFlags, EventNid, StateKeyNid, StreamPos};
use myelin_storage::{
    Append, AppendError, Change, Db, RoomHead, StateKey,
    writer::{NewReceipt, Queued},
};
use ruma::{room_id, user_id};
use sqlx::PgPool;

use crate::fixture::{Next, new_room, next_event, node, record};

/// Append one event and return the head after it.
async fn append(db: &Db, head: &RoomHead, next: Next<'_>) -> RoomHead {
    let (append, next) = next_event(db, head, next).await;
    db.writer().append(append).await.unwrap();
    next
}

/// A state event.
async fn state<'a>(db: &Db, state_key: &'a str) -> Next<'a> {
    let key = StateKey::new("org.example.test", state_key);
    let mut nids = db.state_keys().get_or_add(std::slice::from_ref(&key)).await.unwrap();
    Next { state_key_nid: nids.remove(&key), state_key: Some(state_key), ..Next::default() }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn appends_built_on_each_other_go_in_one_batch(pool: PgPool) {
    let db = node(&pool).await;
    let mut head = new_room(&db, room_id!("!r:example.org")).await;
    let mut queued: Vec<Queued> = Vec::new();
    for _ in 0..50 {
        let (append, next) = next_event(&db, &head, Next::default()).await;
        queued.push(db.writer().queue(append).await.unwrap());
        head = next;
    }
    for (number, queued) in (1..).zip(queued) {
        assert_eq!(queued.wait().await.unwrap().pos, StreamPos(number));
    }

    let stored = node(&pool).await.heads().find(&head.room_id).await.unwrap().unwrap();
    assert_eq!((stored.newest, &stored.extremities), (head.newest, &head.extremities));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_builds_on_an_outdated_head_is_refused_and_others_are_not(pool: PgPool) {
    let (here, there) = (node(&pool).await, node(&pool).await);
    let room =
        append(&here, &new_room(&here, room_id!("!r:example.org")).await, Next::default()).await;
    let other = new_room(&there, room_id!("!other:example.org")).await;
    append(&here, &room, state(&here, "x").await).await;

    let (outdated, _) = next_event(&there, &room, Next::default()).await;
    let (sound, _) = next_event(&there, &other, Next::default()).await;
    let outdated = there.writer().queue(outdated).await.unwrap();
    let sound = there.writer().queue(sound).await.unwrap();

    assert!(matches!(outdated.wait().await, Err(AppendError::Conflict)));
    assert_eq!(sound.wait().await.unwrap().events.len(), 1);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_transaction_is_taken_once(pool: PgPool) {
    let db = node(&pool).await;
    let head = new_room(&db, room_id!("!r:example.org")).await;
    let head = append(&db, &head, Next { txn_id: Some("m1"), ..Next::default() }).await;

    let (again, _) = next_event(&db, &head, Next { txn_id: Some("m1"), ..Next::default() }).await;

    assert!(matches!(db.writer().append(again).await, Err(AppendError::Conflict)));
    assert_eq!(db.log().applied(), StreamPos(1));
}

/// The contents of the tables that a message's append writes to.
async fn rows(pool: &PgPool) -> Vec<(String, i64)> {
    sqlx::query_as(
        "SELECT 'pos', pos FROM log_head UNION ALL SELECT 'events', count(*) FROM events
         UNION ALL SELECT 'transactions', count(*) FROM transactions
         UNION ALL SELECT 'version', version FROM rooms",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_refused_message_leaves_nothing_behind(pool: PgPool) {
    let db = node(&pool).await;
    let with = |txn_id| Next { txn_id: Some(txn_id), ..Next::default() };
    let first = append(&db, &new_room(&db, room_id!("!r:example.org")).await, with("m1")).await;
    let head = append(&db, &first, state(&db, "x").await).await;
    let head = append(&db, &head, with("m2")).await;
    let before = rows(&pool).await;

    for (head, txn_id) in [(&first, "m3"), (&first, "m1"), (&head, "m1"), (&head, "m2")] {
        let (refused, _) = next_event(&db, head, with(txn_id)).await;
        assert!(matches!(db.writer().append(refused).await, Err(AppendError::Conflict)));
        assert_eq!(rows(&pool).await, before, "{txn_id}");
    }
    append(&db, &head, with("m3")).await;
    assert_eq!(db.log().applied(), StreamPos(4), "no gap in the log");
}

/// Messages one after the other, as one append.
async fn several(db: &Db, head: &RoomHead, txn_ids: &[&str]) -> (Append, RoomHead) {
    let (mut all, mut head) = (None::<Append>, head.clone());
    for txn_id in txn_ids {
        let (next, after) =
            next_event(db, &head, Next { txn_id: Some(*txn_id), ..Next::default() }).await;
        head = after;
        all = Some(match all {
            None => next,
            Some(mut all) => {
                all.events.extend(next.events);
                Append { head: next.head, ..all }
            }
        });
    }
    (all.unwrap(), head)
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn messages_of_two_nodes_stand_beside_each_other_until_one_joins_them(pool: PgPool) {
    let (here, there) = (node(&pool).await, node(&pool).await);
    let room =
        append(&here, &new_room(&here, room_id!("!r:example.org")).await, state(&here, "x").await)
            .await;
    assert!(there.log().wait_for(StreamPos(1), Duration::from_secs(10)).await);
    there.heads().find(&room.room_id).await.unwrap().unwrap();
    let ordinal = room.notify_ordinal;

    // One by itself and one of several, each upon a head that the other node has left behind.
    let (first, first_head) = several(&here, &room, &["a1"]).await;
    let (second, second_head) = several(&there, &room, &["b1", "b2"]).await;
    let (third, third_head) = several(&here, &first_head, &["a2"]).await;
    let mut ends = Vec::new();
    for (db, append) in [(&here, first), (&there, second), (&here, third)] {
        ends.extend(db.writer().append(append).await.unwrap().events);
    }
    let ordinals: Vec<i64> = ends.iter().map(|event| event.notify_ordinal - ordinal).collect();
    assert_eq!(ordinals, [1, 2, 3, 4]);
    let linear: Vec<bool> =
        ends.iter().map(|event| event.flags.contains(EventFlags::LINEAR)).collect();
    assert_eq!(linear, [true, false, false, false]);

    let extremities: Vec<EventNid> =
        [&second_head, &third_head].map(|head| head.newest.unwrap()).into();
    for db in [&here, &there, &node(&pool).await] {
        assert!(db.log().wait_for(StreamPos(5), Duration::from_secs(10)).await);
        let head = db.heads().find(&room.room_id).await.unwrap().unwrap();
        let known: Vec<EventNid> = head.extremities.iter().map(|one| one.nid).collect();
        assert_eq!(known, extremities);
        assert_eq!((head.newest, head.notify_ordinal), (third_head.newest, ordinal + 4));
        assert_eq!(head.last_pos, StreamPos(5));
    }

    let head = here.heads().find(&room.room_id).await.unwrap().unwrap();
    let (outdated, _) = next_event(&here, &third_head, state(&here, "y").await).await;
    assert!(
        matches!(here.writer().append(outdated).await, Err(AppendError::Conflict)),
        "a state event needs the whole head"
    );
    let joined = append(&here, &head, Next::default()).await;
    let stored = node(&pool).await.heads().find(&room.room_id).await.unwrap().unwrap();
    assert_eq!(stored.extremities, joined.extremities);
    append(&here, &stored, state(&here, "y").await).await;
}

/// The same append, as after a lost answer.
fn repeat(append: &Append) -> Append {
    let event = |event: &Event| Event {
        event_id: event.event_id.clone(),
        event_type: event.event_type.clone(),
        json: event.json.clone(),
        room_id: event.room_id.clone(),
        sender: event.sender.clone(),
        transaction: event.transaction.clone(),
        client_json: OnceLock::new(),
        state_key: None,
        ..*event
    };
    Append {
        built_on: append.built_on.clone(),
        head: Arc::clone(&append.head),
        events: append.events.iter().map(event).collect(),
        snapshots: vec![],
        memberships: vec![],
        departures: vec![],
        arrivals: vec![],
        late_redactions: vec![],
        missing: vec![],
        outside: vec![],
        resets: vec![],
        places: vec![],
        links: vec![],
        now_ms: append.now_ms,
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_is_repeated_after_a_lost_answer_is_refused(pool: PgPool) {
    let db = node(&pool).await;
    let room = append(&db, &new_room(&db, room_id!("!r:example.org")).await, Next::default()).await;
    let with_and_without =
        [(&["m1"][..], true), (&["m2", "m3"], true), (&["m4"], false), (&["m5", "m6"], false)];
    for (txn_ids, has_transactions) in with_and_without {
        let (mut append, _) = several(&db, &room, txn_ids).await;
        if !has_transactions {
            append.events.iter_mut().for_each(|event| event.transaction = None);
        }
        let again = repeat(&append);
        db.writer().append(append).await.unwrap();
        let before = rows(&pool).await;
        assert!(matches!(db.writer().append(again).await, Err(AppendError::Conflict)));
        assert_eq!(rows(&pool).await, before);
    }
}

/// The rows of a room, without what is different in every room.
async fn stored(pool: &PgPool, room: &RoomHead) -> Vec<(String,)> {
    let own = "{event_nid,event_id,json,room_nid,room_id,pos,version,extremities,last_pos}";
    sqlx::query_as(
        "SELECT (to_jsonb(e) - $2::text[])::text FROM events e WHERE room_nid = $1
         UNION ALL SELECT (to_jsonb(t) - $2::text[])::text FROM transactions t WHERE room_nid = $1
         UNION ALL SELECT (to_jsonb(r) - $2::text[])::text FROM rooms r WHERE room_nid = $1 ORDER BY 1",
    )
    .bind(room.room_nid.0)
    .bind(own)
    .fetch_all(pool)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_message_alone_is_stored_as_in_a_batch(pool: PgPool) {
    let db = node(&pool).await;
    let with = |txn_id| Next { txn_id: Some(txn_id), ..Next::default() };
    let mut alone = new_room(&db, room_id!("!alone:example.org")).await;
    for txn_id in ["m1", "m2", "m3"] {
        alone = append(&db, &alone, with(txn_id)).await;
    }
    let together = new_room(&db, room_id!("!together:example.org")).await;
    let first = append(&db, &together, with("m1")).await;
    let (both, together) = several(&db, &first, &["m2", "m3"]).await;
    db.writer().append(both).await.unwrap();

    let rows = stored(&pool, &alone).await;
    assert_eq!(rows.len(), 7);
    assert_eq!(rows, stored(&pool, &together).await);
    for head in [alone, together] {
        let stored = node(&pool).await.heads().find(&head.room_id).await.unwrap().unwrap();
        assert_eq!((stored.newest, &stored.extremities), (head.newest, &head.extremities));
        assert_eq!(
            stored.last_pos,
            db.heads().find(&head.room_id).await.unwrap().unwrap().last_pos
        );
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn heads_follow_the_log_and_equal_what_is_stored(pool: PgPool) {
    let (here, there) = (node(&pool).await, node(&pool).await);
    let mut head = new_room(&here, room_id!("!r:example.org")).await;
    for step in 0..40_u8 {
        let state_key = (step % 5).to_string();
        let next = match step % 3 {
            0 => Next::default(),
            _ => state(&here, &state_key).await,
        };
        head = append(&here, &head, next).await;
        // The other node has the head from the first event on, and must carry it on.
        assert!(there.log().wait_for(here.log().applied(), Duration::from_secs(10)).await);
        let followed = there.heads().find(&head.room_id).await.unwrap().unwrap();
        assert_eq!(
            (followed.newest, &followed.state, &followed.extremities),
            (head.newest, &head.state, &head.extremities)
        );
        assert_eq!(followed.chain.state_nid(), head.chain.state_nid());
    }
    let read = node(&pool).await.heads().find(&head.room_id).await.unwrap().unwrap();
    assert_eq!((read.newest, &read.state), (head.newest, &head.state));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_room_made_here_is_known_without_reading(pool: PgPool) {
    let db = node(&pool).await;
    let mut head = new_room(&db, room_id!("!r:example.org")).await;
    let room_nid = head.room_nid;
    let mut queued: Vec<Queued> = Vec::new();
    for _ in 0..3 {
        let (append, next) = next_event(&db, &head, Next::default()).await;
        queued.push(db.writer().queue(append).await.unwrap());
        head = next;
    }
    for queued in queued {
        queued.wait().await.unwrap();
    }

    let known = db.heads().find_ready(room_nid).unwrap();
    let stored = node(&pool).await.heads().find(&head.room_id).await.unwrap().unwrap();
    assert_eq!((known.newest, &known.extremities), (stored.newest, &stored.extremities));
    assert_eq!((known.last_pos, known.notify_ordinal), (stored.last_pos, stored.notify_ordinal));

    let head = append(&db, &head, Next::default()).await;
    assert_eq!(db.heads().find_ready(room_nid).unwrap().newest, head.newest);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn one_bad_item_harms_no_other(pool: PgPool) {
    let db = node(&pool).await;
    let (good_room, bad_room) = (
        new_room(&db, room_id!("!good:example.org")).await,
        new_room(&db, room_id!("!bad:example.org")).await,
    );
    let (good, _) = next_event(&db, &good_room, Next::default()).await;
    let (mut bad, _) = next_event(&db, &bad_room, Next::default()).await;
    // PostgreSQL takes no NUL in text.
    bad.events[0].json = "\0".into();
    let bad = db.writer().queue(bad).await.unwrap();
    let good = db.writer().queue(good).await.unwrap();

    assert!(matches!(bad.wait().await, Err(AppendError::Storage(_))));
    assert_eq!(good.wait().await.unwrap().events.len(), 1);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn receipts_only_move_forward(pool: PgPool) {
    let db = node(&pool).await;
    let recorder = record(&db);
    let (first, head) =
        next_event(&db, &new_room(&db, room_id!("!r:example.org")).await, Next::default()).await;
    let first = db.writer().append(first).await.unwrap();
    let (second, _) = next_event(&db, &head, Next::default()).await;
    let second = db.writer().append(second).await.unwrap();
    let receipt = |event: &Arc<myelin_model::Event>| NewReceipt {
        room_nid: event.room_nid,
        user_id: user_id!("@bob:example.org").to_owned(),
        receipt_type: "m.read".into(),
        thread_id: "".into(),
        event_nid: event.nid,
        event_id: event.event_id.clone(),
        event_pos: event.pos.unwrap(),
        ts: 5,
    };

    db.writer().set_receipt(receipt(&second.events[0])).await.unwrap();
    db.writer().set_receipt(receipt(&first.events[0])).await.unwrap();

    let entries = recorder.0.lock();
    let read: Vec<_> = entries
        .iter()
        .filter_map(|entry| match &entry.change {
            Change::Receipt { event_id, .. } => Some(event_id.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(read, [second.events[0].event_id.clone()]);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_reads_a_whole_state_shares_it_with_the_room_that_wrote_it(pool: PgPool) {
    let db = node(&pool).await;
    let mut head = new_room(&db, room_id!("!r:example.org")).await;
    head.state = (1..2_000).map(|n| (StateKeyNid(n), EventNid(n))).collect();
    let next = state(&db, "x").await;

    let head = append(&db, &head, next).await;

    let read = db.states().get(head.chain.state_nid().unwrap()).await.unwrap();
    assert!(read.ptr_eq(&head.state));
}
