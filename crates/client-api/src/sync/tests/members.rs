//! Members that come only when they are needed, and answers that got lost.

use serde_json::Value;
use serde_json::json;
use sqlx::PgPool;

use super::{Story, joined, keys, said, token};

const LAZY: &str = r#"{"room":{"state":{"lazy_load_members":true},"timeline":{"limit":5}}}"#;

/// The members in a room's state.
fn members(answer: &Value, room: &str) -> Vec<String> {
    let keys = keys(&joined(answer, room)["state"]).into_iter();
    keys.filter(|(kind, _)| kind == "m.room.member").map(|(_, user)| user).collect()
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn after_a_gap_come_those_who_speak_and_those_who_changed(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let named = json!({"preset": "public_chat", "name": "named"});
    let room = story.create(alice, named).await;
    story.act(bob, &room, "join", json!({})).await;
    let mut others = Vec::new();
    for n in 0..8 {
        let user = story.server.user(&format!("user{n}")).await;
        story.act(&user, &room, "join", json!({})).await;
        others.push(user);
    }
    let talk = async |who: usize| {
        for n in 0..8 {
            story.say(&others[who], &room, &format!("m{n}")).await;
        }
    };
    talk(0).await;
    let sync = async |since: &str| {
        let answer = story.sync(bob, &[("since", since), ("filter", LAZY)]).await;
        assert_eq!(joined(&answer, &room)["timeline"]["limited"], true);
        let mut members = members(&answer, &room);
        members.sort();
        (members, token(&answer))
    };
    let since = token(&story.sync(bob, &[("filter", LAZY)]).await);
    talk(1).await;
    let (told, since) = sync(&since).await;
    assert_eq!(told, ["@user1:example.org"], "nobody changed");

    story.act(&others[2], &room, "leave", json!({})).await;
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/@user3:example.org");
    let renamed = json!({"membership": "join", "displayname": "three"});
    story.server.put(&path, Some(&others[3]), renamed).await.ok();
    let late = story.server.user("user9").await;
    story.act(&late, &room, "join", json!({})).await;
    talk(1).await;
    let (told, since) = sync(&since).await;
    let changed = ["@user2:example.org", "@user3:example.org", "@user9:example.org"];
    assert_eq!(told, changed, "who spoke was told before");
    talk(1).await;
    assert_eq!(sync(&since).await.0, Vec::<String>::new());
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn who_asks_again_is_told_again(pool: PgPool) {
    let story = Story::begin(pool).await;
    let (alice, bob) = (&story.alice, &story.bob);
    let room = story.create(alice, json!({"preset": "public_chat", "name": "named"})).await;
    let carol = story.server.user("carol").await;
    for user in [bob, &carol] {
        story.act(user, &room, "join", json!({})).await;
    }
    for n in 0..6 {
        story.say(alice, &room, &format!("m{n}")).await;
    }
    let since = token(&story.sync(bob, &[("filter", LAZY)]).await);
    story.say(&carol, &room, "hello").await;
    let query = [("since", &*since), ("filter", LAZY)];
    let first = story.sync(bob, &query).await;
    assert_eq!(members(&first, &room), [carol.user_id.as_str()]);
    // The first answer got lost.
    let second = story.sync(bob, &query).await;
    assert_eq!(members(&second, &room), [carol.user_id.as_str()]);
    assert_eq!(said(&joined(&second, &room)["timeline"]), ["hello"]);
    // The second did not.
    let since = token(&second);
    story.say(&carol, &room, "again").await;
    let third = story.sync(bob, &[("since", &since), ("filter", LAZY)]).await;
    assert_eq!(members(&third, &room), Vec::<String>::new());
}
