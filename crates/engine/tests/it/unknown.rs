//! State that is not in memory is not taken for absent.

use std::time::Duration;

use myelin_engine::{EventError, Intent};
use myelin_events::RoomVersion;
use myelin_model::Membership;
use sqlx::PgPool;

use crate::fixture::{alice, bob, eventually, hold_writes, node, room, send, set};

const JOIN: &str = r#"{"membership":"join"}"#;
const BAN: &str = r#"{"membership":"ban"}"#;

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_ban_holds_before_it_is_stored(pool: PgPool) {
    let engine = node(&pool).await;
    let room_id = room(&engine, RoomVersion::V11, "public").await;
    let held = hold_writes(&pool).await;
    let banning = tokio::spawn({
        let (engine, room_id) = (engine.clone(), room_id.clone());
        async move { set(&engine, &room_id, "m.room.member", bob().as_str(), BAN).await }
    });
    eventually(async || {
        let mut draft = engine.get_draft(&room_id).await.unwrap();
        draft.membership(bob()).await.unwrap() == Some(Membership::Ban)
    })
    .await;

    // More than a tip keeps is asked for, as by requests that are refused.
    let keys: Vec<String> = (0..2_000).map(|number| number.to_string()).collect();
    let keys: Vec<(&str, &str)> = keys.iter().map(|key| ("m.none", key.as_str())).collect();
    engine.get_draft(&room_id).await.unwrap().load(&keys).await.unwrap();

    let join = send(&engine, &room_id, Intent::state(bob(), "m.room.member", bob().as_str(), JOIN));
    let joined = tokio::time::timeout(Duration::from_secs(5), join).await;
    let joined = joined.expect("the join waits to be stored instead of being refused");
    assert!(matches!(joined, Err(EventError::Forbidden(_))), "{joined:?}");
    held.rollback().await.unwrap();
    banning.await.unwrap();
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn an_event_that_cannot_be_found_decides_nothing(pool: PgPool) {
    let engine = node(&pool).await;
    let room_id = room(&engine, RoomVersion::V11, "public").await;
    let ban = set(&engine, &room_id, "m.room.member", bob().as_str(), BAN).await;
    let text = r#"{"msgtype":"m.text","body":"on"}"#;
    let say = || Intent::message(alice(), "m.room.message", text);
    send(&engine, &room_id, say()).await.unwrap();
    sqlx::query("DELETE FROM events WHERE event_id = $1")
        .bind(ban.as_str())
        .execute(&pool)
        .await
        .unwrap();

    let other = node(&pool).await;
    let join = Intent::state(bob(), "m.room.member", bob().as_str(), JOIN);
    let joined = send(&other, &room_id, join).await;
    assert!(matches!(joined, Err(EventError::NotLoaded)), "{joined:?}");
    // What does not ask for it goes on.
    send(&other, &room_id, say()).await.unwrap();
}
