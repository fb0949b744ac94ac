//! A write on one node arrives at all, in order, once.

use std::time::Duration;

use myelin_model::{EventNid, StreamPos};
use myelin_storage::{Change, Db};
use ruma::{room_id, user_id};
use sqlx::PgPool;

use crate::fixture::{Next, new_room, next_event, node, record};

const PATIENCE: Duration = Duration::from_secs(10);

/// Publish a change on a node.
async fn publish(db: &Db) -> StreamPos {
    let mut tx = db.begin().await.unwrap();
    tx.publish(Change::Profile { user_id: user_id!("@alice:example.org").to_owned() });
    tx.commit().await.unwrap()
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_has_written_has_it_applied(pool: PgPool) {
    let db = node(&pool).await;
    let recorder = record(&db);

    let pos = publish(&db).await;

    assert_eq!(db.log().applied(), pos);
    assert_eq!(recorder.0.lock().len(), 1);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_transaction_that_rolls_back_leaves_no_gap(pool: PgPool) {
    let db = node(&pool).await;
    let first = publish(&db).await;
    let mut tx = db.begin().await.unwrap();
    tx.publish(Change::Profile { user_id: user_id!("@alice:example.org").to_owned() });
    drop(tx);

    assert_eq!(publish(&db).await, first.next());
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn two_nodes_see_one_order_without_gaps(pool: PgPool) {
    const WRITES_EACH: usize = 60;
    let nodes = [node(&pool).await, node(&pool).await];
    let recorders = [record(&nodes[0]), record(&nodes[1])];

    let mut tasks = Vec::new();
    for (number, db) in nodes.iter().cloned().enumerate() {
        for task in 0..4 {
            let db = db.clone();
            tasks.push(tokio::spawn(async move {
                let room_id = format!("!room{number}{task}:example.org");
                let mut head = new_room(&db, room_id.as_str().try_into().unwrap()).await;
                for _ in 0..WRITES_EACH / 4 {
                    let (append, next) = next_event(&db, &head, Next::default()).await;
                    db.writer().append(append).await.unwrap();
                    head = next;
                    publish(&db).await;
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }

    let end = StreamPos(i64::try_from(WRITES_EACH * 4).unwrap());
    for (db, recorder) in nodes.iter().zip(&recorders) {
        assert!(db.log().wait_for(end, PATIENCE).await);
        let entries = recorder.0.lock();
        let positions: Vec<i64> = entries.iter().map(|entry| entry.pos.0).collect();
        assert_eq!(positions, (1..=end.0).collect::<Vec<_>>());
    }
    let kinds = |recorder: usize| -> Vec<bool> {
        recorders[recorder]
            .0
            .lock()
            .iter()
            .map(|entry| matches!(entry.change, Change::Event(_)))
            .collect()
    };
    assert_eq!(kinds(0), kinds(1));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn every_kind_of_change_survives_the_way_to_another_node(pool: PgPool) {
    let (here, there) = (node(&pool).await, node(&pool).await);
    let recorder = record(&there);
    let alice = user_id!("@alice:example.org").to_owned();
    let room = new_room(&here, room_id!("!r:example.org")).await;
    let content =
        serde_json::from_str::<Box<serde_json::value::RawValue>>(r#"{"a":[1,2]}"#).unwrap();
    let mut tx = here.begin().await.unwrap();
    let changes = [
        Change::AccountData {
            user_id: alice.clone(),
            room_nid: Some(room.room_nid),
            data_type: "m.tag".into(),
            content: content.into(),
        },
        Change::Sessions { user_id: alice.clone() },
        Change::Account { user_id: alice.clone() },
        Change::DeviceList { user_id: alice.clone() },
        Change::ToDevice {
            user_id: alice.clone(),
            device_ids: vec!["PHONE".into(), "DESK".into()],
        },
        Change::KeyCounts { user_id: alice.clone() },
        Change::Signatures {
            user_id: alice.clone(),
            signed: [alice.clone(), user_id!("@bob:example.org").to_owned()].into(),
        },
        Change::Rewritten { room_nid: room.room_nid, event_nids: [EventNid(7)].into() },
        Change::Forgotten { user_id: alice, room_nid: room.room_nid },
    ];
    for change in &changes {
        tx.publish(change.clone());
    }
    let pos = tx.commit().await.unwrap();

    assert!(there.log().wait_for(pos, PATIENCE).await);
    let entries = recorder.0.lock();
    for (entry, change) in entries.iter().zip(&changes) {
        assert_eq!(format!("{:?}", entry.change), format!("{change:?}"));
    }
    assert_eq!(entries.len(), changes.len());
}

/// Write an entry as a newer version of the server may, and tell of it.
async fn write_entry(pool: &PgPool, kind: i16, room_nid: i64, user_id: &str, payload: &str) {
    sqlx::query(
        "WITH head AS (UPDATE log_head SET pos = pos + 1 RETURNING pos), entry AS (
             INSERT INTO log (pos, kind, room_nid, user_id, payload) SELECT pos, $1, $2, $3, $4 FROM head RETURNING pos
         )
         SELECT pg_notify('myelin_log', pos::text) FROM entry",
    )
    .bind(kind)
    .bind(room_nid)
    .bind(user_id)
    .bind(payload)
    .execute(pool)
    .await
    .unwrap();
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_a_node_cannot_read_stops_nothing_and_drops_what_it_may_concern(pool: PgPool) {
    const RECEIPT: i16 = 2;
    let db = node(&pool).await;
    let recorder = record(&db);
    let head = new_room(&db, room_id!("!r:example.org")).await;
    let (append, head) = next_event(&db, &head, Next::default()).await;
    db.writer().append(append).await.unwrap();
    let room_nid = head.room_nid;
    assert!(db.heads().find_ready(room_nid).is_some());

    write_entry(&pool, 30_000, room_nid.0, "@alice:example.org", "what?").await;
    write_entry(&pool, RECEIPT, room_nid.0, "@alice:example.org", r#"{"new":1}"#).await;
    write_entry(&pool, RECEIPT, room_nid.0, "no user", "{}").await;
    assert!(db.log().wait_for(StreamPos(4), PATIENCE).await);
    assert!(db.heads().find_ready(room_nid).is_none(), "its head is read anew");

    sqlx::query("UPDATE events SET sender = 'nobody', pos = 5").execute(&pool).await.unwrap();
    sqlx::query("UPDATE log_head SET pos = 5").execute(&pool).await.unwrap();
    sqlx::query("SELECT pg_notify('myelin_log', '5')").execute(&pool).await.unwrap();
    assert!(db.log().wait_for(StreamPos(5), PATIENCE).await);
    assert_eq!(publish(&db).await, StreamPos(6));

    let alice = Some(user_id!("@alice:example.org").to_owned());
    let others: Vec<_> = recorder
        .0
        .lock()
        .iter()
        .filter_map(|entry| match &entry.change {
            Change::Other { room_nid, user_id } => Some((*room_nid, user_id.clone())),
            _ => None,
        })
        .collect();
    let room = Some(room_nid);
    assert_eq!(others, [(room, alice.clone()), (room, alice), (room, None), (room, None)]);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn events_are_read_anew_after_what_is_not_known_of_their_room(pool: PgPool) {
    let db = node(&pool).await;
    let mut heads = vec![];
    for room_id in [room_id!("!changed:example.org"), room_id!("!other:example.org")] {
        let head = new_room(&db, room_id).await;
        let (append, head) = next_event(&db, &head, Next::default()).await;
        db.writer().append(append).await.unwrap();
        heads.push(head);
    }
    let nids: Vec<_> = heads.iter().map(|head| head.newest.unwrap()).collect();
    let redactions = db.event_cache().state_redactions();
    // A newer version redacts in a way of its own.
    sqlx::query("UPDATE events SET json = '{}'").execute(&pool).await.unwrap();

    write_entry(&pool, 30_000, heads[0].room_nid.0, "@alice:example.org", "{}").await;
    assert!(db.log().wait_for(StreamPos(3), PATIENCE).await);

    let events = db.events().list(&nids).await.unwrap();
    assert_eq!(&*events[0].json, "{}");
    assert_ne!(&*events[1].json, "{}");
    assert!(db.event_cache().state_redactions() > redactions, "state in memory is read anew");
}
