//! The history visibility of rooms, as it is kept in memory.

use std::sync::Arc;

use myelin_model::{HistoryVisibility, StreamPos};
use myelin_storage::{Db, RoomHead, StateKey};
use ruma::{room_id, user_id};
use sqlx::PgPool;

use crate::fixture::{Next, new_room, next_event, node};

/// Say how much of the history is shown, in an event as large as one can be.
async fn show(db: &Db, head: &RoomHead, visibility: &str) -> RoomHead {
    let key = StateKey::new("m.room.history_visibility", "");
    let nids = db.state_keys().get_or_add(std::slice::from_ref(&key)).await.unwrap();
    let next = Next { state_key_nid: nids.get(&key).copied(), state_key: Some(""), txn_id: None };
    let (mut append, head) = next_event(db, head, next).await;
    let content =
        serde_json::json!({"history_visibility": visibility, "filler": "x".repeat(60_000)});
    for event in &mut append.events {
        event.json = serde_json::json!({"content": content}).to_string().into();
    }
    db.writer().append(append).await.unwrap();
    head
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn it_is_kept_once_for_all_readers_and_without_the_events(pool: PgPool) {
    let db = node(&pool).await;
    let mut head = new_room(&db, room_id!("!a:example.org")).await;
    let mut told = Vec::new();
    for visibility in ["shared", "joined", "what", "world_readable", "invited"] {
        head = show(&db, &head, visibility).await;
        let history = db.visibility_histories().get(&head, user_id!("@a:h")).await.unwrap();
        told.push(HistoryVisibility::parse(&format!(r#"{{"history_visibility":"{visibility}"}}"#)));
        let values = history.visibilities.iter().map(|(_, visibility)| *visibility);
        assert_eq!(values.collect::<Vec<_>>(), told);
    }

    for db in [&db, &node(&pool).await] {
        let histories = db.visibility_histories();
        let one = histories.get(&head, user_id!("@a:h")).await.unwrap();
        let other = histories.get(&head, user_id!("@b:h")).await.unwrap();
        assert!(Arc::ptr_eq(&one.visibilities, &other.visibilities));
        assert_eq!(one.visibilities.iter().map(|one| one.1).collect::<Vec<_>>(), told);
        assert!(one.visibilities.is_sorted_by_key(|(pos, _)| *pos));
        assert!(size_of_val(&*one.visibilities) < 200);
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_was_before_the_changes_that_are_followed_is_closed(pool: PgPool) {
    let db = node(&pool).await;
    let head = new_room(&db, room_id!("!a:example.org")).await;
    let head = show(&db, &head, "shared").await;
    // A thousand events that replaced one another, behind the first one of the room.
    let nid = head.newest.unwrap().0;
    sqlx::query(
        "INSERT INTO events (event_nid, room_nid, pos, depth, origin_server_ts, notify_ordinal, flags, event_id, event_type,
            state_key_nid, sender, json, replaces)
        SELECT -n, room_nid, pos - n - 1000000, depth, origin_server_ts, notify_ordinal, flags, event_id || n, event_type,
            state_key_nid, sender, json, CASE WHEN n < 1000 THEN -n - 1 END
        FROM events, generate_series(1, 1000) AS n WHERE event_nid = $1",
    )
    .bind(nid)
    .execute(&pool)
    .await
    .unwrap();
    sqlx::query("UPDATE events SET replaces = -1 WHERE event_nid = $1")
        .bind(nid)
        .execute(&pool)
        .await
        .unwrap();

    let db = node(&pool).await;

    let history = db.visibility_histories().get(&head, user_id!("@a:h")).await.unwrap();
    assert_eq!(history.visibilities.len(), 1_000);
    assert_eq!(history.visibilities[0], (Some(StreamPos(i64::MIN)), HistoryVisibility::Joined));
    assert_eq!(history.visibilities[1].1, HistoryVisibility::Shared);
}
