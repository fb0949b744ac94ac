//! A redaction stays: content that it took away does not come back through an upgrade.

use myelin_model::{Actor, Membership};
use myelin_rooms::{
    Rooms,
    history::find_state,
    membership::{Action, MembershipUpdate, update},
    redact::redact,
    set_state::{NewState, set_state},
    unfinished::finish,
    upgrade::{UpgradeError, upgrade},
};
use myelin_storage::WorkKind;
use ruma::{OwnedEventId, RoomId};
use serde_json::{Map, Value, json};
use sqlx::PgPool;

use crate::fixture::{create, node, user};

async fn set(
    rooms: &Rooms,
    actor: &Actor,
    room_id: &RoomId,
    event_type: &str,
    content: &str,
) -> OwnedEventId {
    let new = NewState { room_id, event_type, state_key: "", content, origin_server_ts: None };
    set_state(rooms, actor.active().unwrap(), new).await.unwrap()
}

async fn content(
    rooms: &Rooms,
    actor: &Actor,
    room_id: &RoomId,
    event_type: &str,
    state_key: &str,
) -> Option<Value> {
    let found = find_state(rooms, &actor.user_id, room_id, event_type, state_key).await.ok()?;
    serde_json::from_str(&found.content()).ok()
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn an_upgrade_copies_no_redacted_topic(pool: PgPool) {
    let (rooms, alice) = (node(&pool).await, user("alice"));
    let old = create(&rooms, &alice, r#"{"room_alias_name":"x","name":"n"}"#).await.unwrap();
    let topic = set(&rooms, &alice, &old.room_id, "m.room.topic", r#"{"topic":"secret"}"#).await;
    redact(&rooms, &alice, &old.room_id, &topic, "{}", None).await.unwrap();
    let new = upgrade(&rooms, alice.active().unwrap(), &old.room_id, "11".parse().unwrap(), &[])
        .await
        .unwrap();
    assert_eq!(content(&rooms, &alice, &new, "m.room.topic", "").await, None);
    assert_eq!(content(&rooms, &alice, &new, "m.room.name", "").await, Some(json!({"name": "n"})));
    // The alias has moved, and the tombstone names the room that is there.
    let alias = content(&rooms, &alice, &new, "m.room.canonical_alias", "").await;
    assert_eq!(alias, Some(json!({"alias": "#x:example.org"})));
    let tombstone = content(&rooms, &alice, &old.room_id, "m.room.tombstone", "").await.unwrap();
    assert_eq!(tombstone["replacement_room"], new.as_str());
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_new_profile_brings_no_redacted_member_fields_back(pool: PgPool) {
    let (rooms, alice) = (node(&pool).await, user("alice"));
    let room_id = create(&rooms, &alice, "{}").await.unwrap().room_id;
    let change = MembershipUpdate {
        room_id: &room_id,
        target: &alice.user_id,
        action: Action::of_membership(Membership::Join),
        content: Map::from_iter([("x.secret".to_owned(), "s".into())]),
        origin_server_ts: None,
    };
    let member = update(&rooms, &alice, change).await.unwrap();
    redact(&rooms, &alice, &room_id, &member, "{}", None).await.unwrap();
    let mut tx = rooms.db.begin().await.unwrap();
    let user_id = alice.user_id.as_str();
    let work = tx.unfinished_work().add(WorkKind::UpdateProfile, user_id, 0).await.unwrap();
    tx.commit().await.unwrap();
    finish(&rooms, &work).await;
    let member = content(&rooms, &alice, &room_id, "m.room.member", alice.user_id.as_str()).await;
    assert_eq!(member.unwrap().get("x.secret"), None);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_room_is_replaced_once_however_often_it_is_asked_for(pool: PgPool) {
    let (here, there) = (node(&pool).await, node(&pool).await);
    let version = || "11".parse().unwrap();
    for number in 0..8 {
        let alice = user(&format!("alice{number}"));
        let bob = user("bob");
        let levels = json!({&alice.user_id: 100, &bob.user_id: 100});
        let body = json!({"room_version": "11", "power_level_content_override": {"users": levels}});
        let old = create(&here, &alice, &body.to_string()).await.unwrap().room_id;
        // The other node has heard of the room.
        while there.db.heads().find(&old).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        let again = |node| upgrade(node, alice.active().unwrap(), &old, version(), &[]);
        let (one, two, three) = tokio::join!(again(&*here), again(&*there), again(&*here));
        let new = one.unwrap();
        assert_eq!((two.unwrap(), three.unwrap()), (new.clone(), new.clone()), "{number}");
        assert_eq!(again(&*there).await.unwrap(), new, "an answer was lost");
        let memberships = here.db.memberships();
        let joined = memberships.list_room_ids(&alice.user_id, &[Membership::Join]).await.unwrap();
        assert_eq!(joined, [old.clone(), new]);
        let refused = upgrade(&here, bob.active().unwrap(), &old, version(), &[]).await;
        assert!(matches!(refused, Err(UpgradeError::InProgress)), "{refused:?}");
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_is_banned_meanwhile_is_banned_in_the_new_room(pool: PgPool) {
    let (here, there) = (node(&pool).await, node(&pool).await);
    for number in 0..6 {
        let alice = user(&format!("alice{number}"));
        let old = create(&here, &alice, r#"{"room_version": "11"}"#).await.unwrap().room_id;
        while there.db.heads().find(&old).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        let victims: Vec<Actor> = (0..5).map(|n| user(&format!("victim{n}"))).collect();
        let ban_all = async {
            for victim in &victims {
                let ban = MembershipUpdate {
                    room_id: &old,
                    target: &victim.user_id,
                    action: Action::Ban,
                    content: Map::new(),
                    origin_server_ts: None,
                };
                update(&there, &alice, ban).await.unwrap();
            }
        };
        let version = "11".parse().unwrap();
        let upgraded = upgrade(&here, alice.active().unwrap(), &old, version, &[]);
        let (new, ()) = tokio::join!(upgraded, ban_all);
        let new = new.unwrap();
        let tombstone =
            find_state(&here, &alice.user_id, &old, "m.room.tombstone", "").await.unwrap();
        for victim in &victims {
            let user_id = victim.user_id.as_str();
            let ban = find_state(&there, &alice.user_id, &old, "m.room.member", user_id).await;
            if ban.unwrap().event.pos < tombstone.event.pos {
                let in_new = content(&here, &alice, &new, "m.room.member", user_id).await;
                assert_eq!(in_new.unwrap()["membership"], "ban", "{number} {user_id}");
            }
        }
    }
}
