//! The policy of this server for its own users' events.

use myelin_engine::{EventError, Intent, RelationError, ShapeError};
use myelin_events::RoomVersion;
use ruma::{EventId, OwnedEventId, event_id};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::fixture::{alice, node, redact, room, send};

fn relating(rel_type: &str, parent: &EventId, key: &str) -> Value {
    json!({"body": "b", "msgtype": "m.text",
        "m.relates_to": {"rel_type": rel_type, "event_id": parent, "key": key}})
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn well_known_types_have_their_shape(pool: PgPool) {
    let engine = node(&pool).await;
    let room_id = room(&engine, RoomVersion::V11, "public").await;
    let cases: &[(&str, Option<&str>, Value, Option<ShapeError>)] = &[
        ("m.room.message", None, json!({}), Some(ShapeError::Missing("body"))),
        ("m.room.message", None, json!({"body": "b"}), Some(ShapeError::Missing("msgtype"))),
        ("m.room.message", None, json!({"body": 1}), Some(ShapeError::NotText("body"))),
        ("m.room.message", None, json!({"body": "b", "msgtype": "m.text"}), None),
        ("m.custom", None, json!({}), None),
        ("m.room.topic", Some(""), json!({"topic": 5}), Some(ShapeError::NotText("topic"))),
        ("m.room.topic", Some(""), json!({"topic": "t"}), None),
        (
            "m.room.topic",
            None,
            json!({"topic": "t"}),
            Some(ShapeError::NotState("m.room.topic".into())),
        ),
        ("m.room.name", Some(""), json!({}), Some(ShapeError::Missing("name"))),
        ("m.room.tombstone", Some(""), json!({}), Some(ShapeError::Missing("replacement_room"))),
        (
            "m.room.tombstone",
            Some(""),
            json!({"replacement_room": room_id}),
            Some(ShapeError::ReplacedByItself),
        ),
        ("m.room.retention", Some(""), json!({"max_lifetime": "1"}), Some(ShapeError::Retention)),
        (
            "m.room.retention",
            Some(""),
            json!({"min_lifetime": 2, "max_lifetime": 1}),
            Some(ShapeError::Retention),
        ),
        ("m.room.retention", Some(""), json!({"min_lifetime": 1, "max_lifetime": 2}), None),
        ("m.custom", None, json!({"m.mentions": []}), Some(ShapeError::Mentions)),
        ("m.custom", None, json!({"m.mentions": {"user_ids": [1]}}), Some(ShapeError::Mentions)),
        ("m.custom", None, json!({"m.mentions": {"room": true, "user_ids": []}}), None),
        ("m.room.server_acl", Some(""), json!({"allow": []}), Some(ShapeError::AclDeniesSelf)),
        ("m.room.server_acl", Some(""), json!({"allow": ["*"]}), None),
    ];
    for (event_type, state_key, content, expect) in cases {
        let text = content.to_string();
        let intent =
            Intent { state_key: *state_key, ..Intent::message(alice(), event_type, &text) };
        match (send(&engine, &room_id, intent).await, expect) {
            (Ok(_), None) => {}
            (Err(EventError::Shape(error)), Some(expect)) => assert_eq!(error, *expect),
            (result, _) => panic!("{event_type} {content}: {result:?}"),
        }
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn levels_are_integers_even_where_the_rules_take_texts(pool: PgPool) {
    let engine = node(&pool).await;
    let room_id = room(&engine, RoomVersion::V9, "public").await;
    let levels = |ban: Value| json!({"users": {alice().as_str(): 100}, "ban": ban}).to_string();
    let text = levels("50".into());
    let refused =
        send(&engine, &room_id, Intent::state(alice(), "m.room.power_levels", "", &text)).await;
    assert!(matches!(refused, Err(EventError::Shape(ShapeError::NotLevel(_)))), "{refused:?}");
    let number = levels(50.into());
    send(&engine, &room_id, Intent::state(alice(), "m.room.power_levels", "", &number))
        .await
        .unwrap();
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_is_said_of_other_events_holds(pool: PgPool) {
    let engine = node(&pool).await;
    let room_id = room(&engine, RoomVersion::V11, "public").await;
    let other_id = room(&engine, RoomVersion::V11, "public").await;
    let say = async |event_type: &str, content: Value| -> Result<OwnedEventId, EventError> {
        let content = content.to_string();
        send(&engine, &room_id, Intent::message(alice(), event_type, &content)).await
    };
    let refusal = |sent: Result<OwnedEventId, EventError>| match sent {
        Err(EventError::Relation(error)) => error,
        other => panic!("{other:?}"),
    };
    let text = json!({"body": "b", "msgtype": "m.text"});
    let root = say("m.room.message", text.clone()).await.unwrap();
    let elsewhere = text.to_string();
    let elsewhere = Intent::message(alice(), "m.room.message", &elsewhere);
    let elsewhere = send(&engine, &other_id, elsewhere).await.unwrap();

    let like = relating("m.annotation", &root, "+");
    let liked = say("m.reaction", like.clone()).await.unwrap();
    assert_eq!(refusal(say("m.reaction", like.clone()).await), RelationError::Duplicate);
    say("m.reaction", relating("m.annotation", &root, "-")).await.unwrap();
    redact(&engine, &room_id, &liked).await;
    say("m.reaction", like).await.unwrap();
    let long = "k".repeat(501);
    let too_long = relating("m.annotation", &root, &long);
    assert_eq!(refusal(say("m.reaction", too_long).await), RelationError::KeyTooLong);
    let silent = json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": root}});
    assert_eq!(refusal(say("m.reaction", silent).await), RelationError::NoKey);

    let reply = say("m.room.message", relating("m.thread", &root, "")).await.unwrap();
    let nested = say("m.room.message", relating("m.thread", &reply, "")).await;
    assert_eq!(refusal(nested), RelationError::ThreadOnRelation);
    let far = say("m.room.message", relating("m.reference", &elsewhere, "")).await;
    assert_eq!(refusal(far), RelationError::OtherRoom);
    let unknown = relating("m.reference", event_id!("$unknown"), "");
    assert_eq!(refusal(say("m.room.message", unknown).await), RelationError::UnknownEvent);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_room_is_created_once_and_a_redaction_names_one_event(pool: PgPool) {
    let engine = node(&pool).await;
    let room_id = room(&engine, RoomVersion::V11, "public").await;
    let again = Intent::state(alice(), "m.room.create", "", r#"{"room_version":"11"}"#);
    let again = send(&engine, &room_id, again).await;
    assert!(matches!(again, Err(EventError::CreatedAlready)), "{again:?}");

    let redacting = |content| Intent {
        redacts: Some(event_id!("$one")),
        ..Intent::message(alice(), "m.room.redaction", content)
    };
    for content in
        [r#"{"redacts":"$two"}"#, r#"{"redacts":1}"#, r#"{"redacts":1,"redacts":"$two"}"#]
    {
        let two = send(&engine, &room_id, redacting(content)).await;
        assert!(matches!(two, Err(EventError::RedactsTwo)), "{content}: {two:?}");
    }
    send(&engine, &room_id, redacting(r#"{"redacts":"$one"}"#)).await.unwrap();
    let call = send(&engine, &room_id, Intent::message(alice(), "m.call.invite", "{}")).await;
    assert!(matches!(call, Err(EventError::CallInPublicRoom)), "{call:?}");
}
