//! Making rooms.

use myelin_model::{Actor, Membership};
use myelin_rooms::{EventError, create::CreateRoomError};
use sqlx::PgPool;

use crate::fixture::{Node, create, node, user};

async fn joined_rooms(node: &Node, actor: &Actor) -> usize {
    let memberships = node.db.memberships();
    memberships.list_room_ids(&actor.user_id, &[Membership::Join]).await.unwrap().len()
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_asks_for_an_alias_too_late_is_in_no_room(pool: PgPool) {
    let nodes = [node(&pool).await, node(&pool).await];
    let users = [user("alice"), user("bob")];
    let mut made = 0;
    for number in 0..8 {
        let body = format!(r#"{{"room_alias_name":"room{number}"}}"#);
        let (one, other) =
            tokio::join!(create(&nodes[0], &users[0], &body), create(&nodes[1], &users[1], &body));
        for result in [one, other] {
            match result {
                Ok(_) => made += 1,
                Err(CreateRoomError::AliasTaken) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert_eq!(made, 8);
    let joined =
        joined_rooms(&nodes[0], &users[0]).await + joined_rooms(&nodes[0], &users[1]).await;
    assert_eq!(joined, 8);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_alias_of_a_room_that_is_not_made_stays_free(pool: PgPool) {
    let (rooms, alice) = (node(&pool).await, user("alice"));
    let bad = r#"{"room_alias_name":"x","initial_state":[{"type":"m.room.topic","content":{"topic":5}}]}"#;
    let refused = create(&rooms, &alice, bad).await;
    assert!(matches!(refused, Err(CreateRoomError::Event(EventError::Shape(_)))), "{refused:?}");
    let room = create(&rooms, &alice, r##"{"room_alias_name":"x"}"##).await.unwrap();
    assert_eq!(room.alias.unwrap(), "#x:example.org");
    assert_eq!(joined_rooms(&rooms, &alice).await, 1);
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_first_state_is_held_to_what_all_state_is(pool: PgPool) {
    let (rooms, alice) = (node(&pool).await, user("alice"));
    create(&rooms, &alice, r#"{"room_alias_name":"x"}"#).await.unwrap();
    let with = |event_type: &str, content: &str| {
        format!(r#"{{"initial_state":[{{"type":"{event_type}","content":{content}}}]}}"#)
    };
    let acl = with("m.room.server_acl", r#"{"deny":["*"]}"#);
    let refused = create(&rooms, &alice, &acl).await;
    assert!(matches!(refused, Err(CreateRoomError::Event(EventError::Shape(_)))));
    let alias = with("m.room.canonical_alias", r##"{"alias":"#x:example.org"}"##);
    let refused = create(&rooms, &alice, &alias).await;
    assert!(matches!(refused, Err(CreateRoomError::Event(EventError::AliasOfOtherRoom(_)))));
    assert_eq!(joined_rooms(&rooms, &alice).await, 1);
}
