//! A row that cannot be read is left out by itself, and decides nothing.

use myelin_model::Membership;
use ruma::{room_id, user_id};
use sqlx::PgPool;

use crate::fixture::{Next, new_room, next_event, node};

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn the_other_rows_are_read(pool: PgPool) {
    let db = node(&pool).await;
    let alice = user_id!("@alice:example.org");
    let key = myelin_storage::StateKey::new("org.example.test", "");
    let state_key_nid =
        *db.state_keys().get_or_add(std::slice::from_ref(&key)).await.unwrap().get(&key).unwrap();
    let mut heads = vec![];
    for room_id in [room_id!("!good:example.org"), room_id!("!bad:example.org")] {
        let head = new_room(&db, room_id).await;
        let next = Next { state_key_nid: Some(state_key_nid), state_key: Some(""), txn_id: None };
        let (append, head) = next_event(&db, &head, next).await;
        db.writer().append(append).await.unwrap();
        let insert = "INSERT INTO memberships (user_id, room_nid, membership, event_nid, pos)
                      VALUES ($1, $2, $3, $4, 1)";
        sqlx::query(insert)
            .bind(alice.as_str())
            .bind(head.room_nid.0)
            .bind(Membership::Join.to_i16())
            .bind(head.newest.unwrap().0)
            .execute(&pool)
            .await
            .unwrap();
        heads.push(head);
    }
    let (good, bad) = (&heads[0], &heads[1]);
    for damage in [
        "UPDATE memberships SET membership = 7 WHERE room_nid = $1",
        "UPDATE events SET sender = 'nobody' WHERE room_nid = $1",
        "UPDATE state_snapshots SET delta = '\\xff' WHERE room_nid = $1",
    ] {
        sqlx::query(damage).bind(bad.room_nid.0).execute(&pool).await.unwrap();
    }

    let db = node(&pool).await;

    let rows = db.hot_user(alice).await.unwrap().memberships;
    assert_eq!(rows.iter().map(|row| row.room_nid).collect::<Vec<_>>(), [good.room_nid]);
    let nids = [good.newest.unwrap(), bad.newest.unwrap()];
    let events = db.events().find_many(&nids).await.unwrap();
    assert_eq!(events.into_keys().collect::<Vec<_>>(), nids[..1]);
    // A state that cannot be read is not an empty one: the room has no head.
    let read = db.heads().find_many(&[good.room_nid, bad.room_nid]).await.unwrap();
    assert_eq!(read.into_keys().collect::<Vec<_>>(), [good.room_nid]);
    let state_nid = bad.chain.state_nid().unwrap();
    db.states().get(state_nid).await.unwrap_err();
}
