//! The number of statements that requests cost.

use myelin_testing::Statements;
use sqlx::PgPool;

use crate::fixture::{join, node, public_room, say, user};

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_warm_send_is_one_statement(pool: PgPool) {
    let rooms = node(&pool).await;
    let (alice, bob) = (user("alice"), user("bob"));
    let room_id = public_room(&rooms, &alice).await;
    join(&rooms, &bob, &room_id).await;
    say(&rooms, &alice, &room_id, "first").await;
    say(&rooms, &bob, &room_id, "first").await;

    for (actor, txn_id) in [(&alice, "second"), (&bob, "second"), (&alice, "third")] {
        let statements = Statements::start();
        say(&rooms, actor, &room_id, txn_id).await;
        let sent = statements.list();
        assert_eq!(sent.len(), 1, "{sent:#?}");
        assert!(sent[0].contains("FROM append_message_"), "{sent:#?}");
    }
}
