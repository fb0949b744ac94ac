//! Work of several steps that ends in between, at any point: another node finishes it.

use std::{future::poll_fn, pin::pin, task::Poll};

use myelin_model::{Actor, Membership};
use myelin_rooms::{
    RoomSettings,
    alias::delete::delete,
    create::CreateRoomError,
    membership::{Action, MembershipUpdate, update},
    set_state::{NewState, set_state},
    unfinished::finish_due,
    upgrade::upgrade,
};
use ruma::{OwnedRoomId, RoomAliasId, RoomId};
use sqlx::PgPool;

use crate::fixture::{Node, create, join, node, node_with, public_room, say, user};

/// The number of polls after which a future has ended for sure.
const POLLS_MAX: usize = 500;

/// The room that tombstones name which were there before.
const GONE: &str = "!gone:example.org";

/// Look at a future so many times, and drop it then: what it is about to do next never happens.
async fn stop_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut left) = (pin!(future), polls);
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Have all time pass that a node is left alone with what it has begun.
async fn let_time_pass(pool: &PgPool) {
    let sql = "UPDATE unfinished_work SET due_ts = 0; UPDATE room_aliases SET created_ts = 0";
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

async fn successor(node: &Node, room_id: &RoomId) -> Option<OwnedRoomId> {
    let head = node.db.heads().find(room_id).await.unwrap().unwrap();
    let key = node.db.state_keys().find("m.room.tombstone", "").await.unwrap()?;
    let tombstone = node.db.events().find(*head.state.get(&key)?).await.unwrap().unwrap();
    let event: serde_json::Value = serde_json::from_str(&tombstone.json).unwrap();
    Some(event["content"]["replacement_room"].as_str().unwrap().try_into().unwrap())
}

async fn room_of(node: &Node, alias: &RoomAliasId) -> Option<OwnedRoomId> {
    node.db.aliases().find(alias).await.unwrap().map(|alias| alias.room_id)
}

async fn joined(node: &Node, actor: &Actor) -> Vec<OwnedRoomId> {
    node.db.memberships().list_room_ids(&actor.user_id, &[Membership::Join]).await.unwrap()
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn an_upgrade_that_ends_anywhere_is_finished_or_never_began(pool: PgPool) {
    let (first, other) = (node(&pool).await, node(&pool).await);
    let idle = public_room(&first, &user("idle")).await;
    let (mut finished, mut untouched, mut ended) = (0, 0, false);
    for polls in 1..POLLS_MAX {
        let alice = user(&format!("alice{polls}"));
        let body = format!(r#"{{"room_alias_name":"a{polls}"}}"#);
        let old = create(&first, &alice, &body).await.unwrap();
        let alias = old.alias.unwrap();
        let has_tombstone = polls % 3 == 0;
        if has_tombstone {
            let content = format!(r#"{{"replacement_room":"{GONE}"}}"#);
            let tombstone = NewState {
                room_id: &old.room_id,
                event_type: "m.room.tombstone",
                state_key: "",
                content: &content,
                origin_server_ts: None,
            };
            set_state(&first, alice.active().unwrap(), tombstone).await.unwrap();
        }
        let version = if polls % 2 == 0 { "12" } else { "11" };
        let upgrading =
            upgrade(&first, alice.active().unwrap(), &old.room_id, version.parse().unwrap(), &[]);
        let upgraded = stop_after(polls, upgrading).await;
        // What was queued before the end is stored before this.
        say(&first, &user("idle"), &idle, &polls.to_string()).await;

        let_time_pass(&pool).await;
        finish_due(&other).await;

        let named = room_of(&other, &alias).await.unwrap();
        let rooms = joined(&other, &alice).await;
        match successor(&other, &old.room_id).await.filter(|new| new != GONE) {
            Some(new) => {
                finished += 1;
                assert_eq!(named, new, "{polls}");
                assert_eq!(rooms, [old.room_id, new], "{polls}");
            }
            None => {
                untouched += 1;
                assert_eq!(named, old.room_id, "{polls}");
                assert_eq!(rooms, [old.room_id], "{polls}");
            }
        }
        if upgraded.is_some() {
            ended = true;
            break;
        }
    }
    assert!(ended && finished > 1 && untouched > 1, "{ended} {finished} {untouched}");
    assert_eq!(other.db.unfinished_work().list_due(u64::MAX, 10).await.unwrap(), []);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_alias_of_a_room_whose_making_ends_anywhere_names_it_or_is_free(pool: PgPool) {
    let (first, other) = (node(&pool).await, node(&pool).await);
    let idle = public_room(&first, &user("idle")).await;
    let mut ended = false;
    for polls in 1..POLLS_MAX {
        let alice = user(&format!("alice{polls}"));
        let body = format!(r#"{{"room_alias_name":"a{polls}","visibility":"public"}}"#);
        let making = create(&first, &alice, &body);
        let made = stop_after(polls, making).await;
        say(&first, &user("idle"), &idle, &polls.to_string()).await;

        let_time_pass(&pool).await;
        let bob = user("bob");
        let again = create(&other, &bob, &body).await;

        let rooms = joined(&other, &alice).await;
        let alias = format!("#a{polls}:example.org");
        let named = room_of(&other, alias.as_str().try_into().unwrap()).await;
        match again {
            Ok(room) => assert_eq!((named, rooms), (Some(room.room_id), vec![]), "{polls}"),
            Err(CreateRoomError::AliasTaken) => {
                assert_eq!((named.into_iter().collect(), rooms.len()), (rooms, 1), "{polls}");
            }
            Err(error) => panic!("{error}"),
        }
        if made.is_some() {
            ended = true;
            break;
        }
    }
    assert!(ended);
}

/// A user's membership in a room, and whether it is forgotten.
async fn membership(node: &Node, room_id: &RoomId, actor: &Actor) -> (Option<Membership>, bool) {
    let mut draft = node.engine.get_draft(room_id).await.unwrap();
    let nid = draft.room_nid();
    let is_forgotten = node.db.memberships().is_forgotten(nid, &actor.user_id).await.unwrap();
    (draft.membership(&actor.user_id).await.unwrap(), is_forgotten)
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_leaves_and_ends_anywhere_has_forgotten_or_never_left(pool: PgPool) {
    let forgetting = || RoomSettings { forget_on_leave: true, ..RoomSettings::default() };
    let first = node_with(&pool, forgetting()).await;
    let other = node_with(&pool, forgetting()).await;
    let room_id = public_room(&first, &user("idle")).await;
    let mut ended = false;
    for polls in 1..POLLS_MAX {
        let alice = user(&format!("alice{polls}"));
        join(&first, &alice, &room_id).await;
        let change = MembershipUpdate {
            room_id: &room_id,
            target: &alice.user_id,
            action: Action::Leave,
            content: serde_json::Map::new(),
            origin_server_ts: None,
        };
        let left = stop_after(polls, update(&first, &alice, change)).await;
        say(&first, &user("idle"), &room_id, &polls.to_string()).await;
        let_time_pass(&pool).await;
        finish_due(&other).await;

        let found = membership(&first, &room_id, &alice).await;
        let (stays, is_gone) = ((Some(Membership::Join), false), (Some(Membership::Leave), true));
        assert!(found == stays || found == is_gone, "{polls}: {found:?}");
        if left.is_some() {
            assert_eq!(found, is_gone);
            ended = true;
            break;
        }
    }
    assert!(ended);
    assert_eq!(other.db.unfinished_work().list_due(u64::MAX, 10).await.unwrap(), []);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_deleted_alias_is_named_nowhere_wherever_the_deletion_ends(pool: PgPool) {
    let (first, other) = (node(&pool).await, node(&pool).await);
    let idle = public_room(&first, &user("idle")).await;
    let mut ended = false;
    for polls in 1..POLLS_MAX {
        let alice = user(&format!("alice{polls}"));
        let body = format!(r#"{{"room_alias_name":"a{polls}"}}"#);
        let room = create(&first, &alice, &body).await.unwrap();
        let alias = room.alias.unwrap();
        let deleting = delete(&first, alice.active().unwrap(), &alias);
        let deleted = stop_after(polls, deleting).await;
        say(&first, &user("idle"), &idle, &polls.to_string()).await;
        let_time_pass(&pool).await;
        finish_due(&other).await;

        let mut draft = other.engine.get_draft(&room.room_id).await.unwrap();
        let event = draft.find_state("m.room.canonical_alias", "").await.unwrap().unwrap();
        let is_named = event.pdu.content().contains(alias.as_str());
        assert_eq!(room_of(&other, &alias).await.is_some(), is_named, "{polls}");
        if deleted.is_some() {
            assert!(!is_named);
            ended = true;
            break;
        }
    }
    assert!(ended);
    assert_eq!(other.db.unfinished_work().list_due(u64::MAX, 10).await.unwrap(), []);
}
