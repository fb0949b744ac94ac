//! A redacted event is redacted wherever the engine decides.

use myelin_engine::{EventError, Intent, Unchanged};
use myelin_events::{RoomVersion, SigningKey, canonical::to_canonical};
use serde_json::json;
use sqlx::PgPool;

use crate::fixture::{alice, bob, content, eventually, hold_writes, node, redact, room, send, set};

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_same_state_is_set_again_after_its_redaction(pool: PgPool) {
    let engine = node(&pool).await;
    let room_id = room(&engine, RoomVersion::V11, "invite").await;
    let topic = set(&engine, &room_id, "m.room.topic", "", r#"{"topic":"x"}"#).await;
    let same = Intent::state(alice(), "m.room.topic", "", r#"{"topic":"x"}"#);
    let mut draft = engine.get_draft(&room_id).await.unwrap();
    let unchanged = draft.find_unchanged(&same).await.unwrap();
    assert!(matches!(unchanged, Unchanged::Stored(event_id) if event_id == topic));
    drop(draft);

    redact(&engine, &room_id, &topic).await;
    let mut draft = engine.get_draft(&room_id).await.unwrap();
    assert!(matches!(draft.find_unchanged(&same).await.unwrap(), Unchanged::No));
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_redaction_counts_before_it_is_stored(pool: PgPool) {
    let engine = node(&pool).await;
    let room_id = room(&engine, RoomVersion::V11, "invite").await;
    let topic = set(&engine, &room_id, "m.room.topic", "", r#"{"topic":"x"}"#).await;
    let held = hold_writes(&pool).await;
    let redacting = tokio::spawn({
        let (engine, room_id, topic) = (engine.clone(), room_id.clone(), topic.clone());
        async move { redact(&engine, &room_id, &topic).await }
    });
    let is_redacted =
        async || content(&engine, &room_id, "m.room.topic").await.as_deref() == Some("{}");
    eventually(is_redacted).await;

    // Even when the tip has forgotten what can be read again.
    let keys: Vec<String> = (0..2_000).map(|number| number.to_string()).collect();
    let keys: Vec<(&str, &str)> = keys.iter().map(|key| ("m.none", key.as_str())).collect();
    engine.get_draft(&room_id).await.unwrap().load(&keys).await.unwrap();
    assert!(is_redacted().await);
    held.rollback().await.unwrap();
    redacting.await.unwrap();
    assert!(is_redacted().await);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_another_node_redacted_is_redacted_here(pool: PgPool) {
    let (here, there) = (node(&pool).await, node(&pool).await);
    let room_id = room(&here, RoomVersion::V11, "invite").await;
    let topic = set(&here, &room_id, "m.room.topic", "", r#"{"topic":"x"}"#).await;
    assert_eq!(content(&here, &room_id, "m.room.topic").await.unwrap(), r#"{"topic":"x"}"#);
    eventually(async || there.db().heads().find(&room_id).await.unwrap().is_some()).await;
    redact(&there, &room_id, &topic).await;
    eventually(async || content(&here, &room_id, "m.room.topic").await.as_deref() == Some("{}"))
        .await;
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_head_is_not_newer_than_the_events_by_which_it_is_read(pool: PgPool) {
    let (here, there) = (node(&pool).await, node(&pool).await);
    let room_id = room(&here, RoomVersion::V11, "invite").await;
    for n in 0..20 {
        let text = format!(r#"{{"topic":"{n}"}}"#);
        let topic = set(&here, &room_id, "m.room.topic", "", &text).await;
        assert_eq!(content(&here, &room_id, "m.room.topic").await.unwrap(), text);
        let knows =
            async || content(&there, &room_id, "m.room.topic").await.as_deref() == Some(&*text);
        eventually(knows).await;
        redact(&there, &room_id, &topic).await;
        // As after a conflict: the head comes from the database, which has the redaction.
        let nid = here.db().heads().find_nid(&room_id).await.unwrap().unwrap();
        here.db().heads().forget(nid);
        assert_eq!(content(&here, &room_id, "m.room.topic").await.as_deref(), Some("{}"), "{n}");
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_redacted_third_party_invite_admits_nobody(pool: PgPool) {
    let engine = node(&pool).await;
    let identity = SigningKey::from_seed(&[9; 32], "0");
    for is_redacted in [false, true] {
        let room_id = room(&engine, RoomVersion::V11, "invite").await;
        let keys = json!({"display_name": "b", "public_key": identity.public_key().to_base64()});
        let invitation =
            set(&engine, &room_id, "m.room.third_party_invite", "token", &keys.to_string()).await;
        if is_redacted {
            redact(&engine, &room_id, &invitation).await;
        }
        let mut signed = json!({"mxid": bob(), "sender": alice(), "token": "token"});
        let text = to_canonical(&signed.to_string(), true).unwrap();
        signed["signatures"] = json!({"id.example": {"ed25519:0": identity.sign(text.as_bytes())}});
        let member = json!({
            "membership": "invite",
            "third_party_invite": {"display_name": "b", "signed": signed}
        })
        .to_string();
        let invite = Intent::state(alice(), "m.room.member", bob().as_str(), &member);
        match send(&engine, &room_id, invite).await {
            Ok(_) => assert!(!is_redacted),
            Err(EventError::Forbidden(_)) => assert!(is_redacted),
            Err(error) => panic!("{error}"),
        }
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn redacted_power_levels_have_what_a_redaction_leaves(pool: PgPool) {
    let engine = node(&pool).await;
    let room_id = room(&engine, RoomVersion::V10, "public").await;
    let join = Intent::state(bob(), "m.room.member", bob().as_str(), r#"{"membership":"join"}"#);
    send(&engine, &room_id, join).await.unwrap();
    let levels = json!({"users": {alice().as_str(): 100}, "invite": 77}).to_string();
    let levels = set(&engine, &room_id, "m.room.power_levels", "", &levels).await;
    let invite = || {
        Intent::state(bob(), "m.room.member", "@carol:example.org", r#"{"membership":"invite"}"#)
    };
    let invited = send(&engine, &room_id, invite()).await;
    assert!(matches!(invited, Err(EventError::Forbidden(_))), "{invited:?}");

    // Before version 11 a redaction takes `invite` away, and its default is 0.
    redact(&engine, &room_id, &levels).await;
    send(&engine, &room_id, invite()).await.unwrap();
}
