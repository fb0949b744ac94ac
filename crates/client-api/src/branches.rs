//! Events on branches of a room are to every reader what the state at them makes them, on every path on which events are read.

use myelin_engine::{Outcome, Place, Verdict};
use myelin_testing::{Remote, TestServer, TestUser};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    foreign::{BOB, Foreign},
    test_rooms::{TestRoom, encode},
    test_server,
};

const V3: &str = "/_matrix/client/v3";

/// Words of which an answer has one if the hidden event stands in it.
const SECRET: &str = "between us";

/// A room whose history only its members of the time see, until it was shared; then Carol joined. On a branch from before that, Bob's
/// server sends a message, which answers one that Carol sees.
pub(crate) struct Story {
    alice: TestUser,
    pub(crate) carol: TestUser,
    pub(crate) room_id: String,
    /// The message that Carol sees.
    seen: String,
    /// The message that Carol does not see, though it came after she did.
    hidden: String,
    /// The token from which Carol syncs.
    pub(crate) since: String,
    /// The token from which Alice syncs.
    alice_since: String,
}

pub(crate) async fn tell(server: &TestServer, alice: TestUser, carol: TestUser) -> Story {
    let room = TestRoom::visible(server, &alice, "joined").await;
    let mut theirs = Foreign::copy(&room).await;
    let end = theirs.end();
    theirs.send(server, &Remote::member(BOB, BOB, "join", &end)).await;
    let before = theirs.end();
    let shared = json!({"history_visibility": "shared"});
    room.set_state(&alice, "m.room.history_visibility", shared).await;
    room.join(&carol).await;
    let seen = room.text(&alice, "for all").await;
    let since = next_batch(server, &carol, "").await;
    let alice_since = next_batch(server, &alice, "").await;
    let content = json!({"msgtype": "m.text", "body": format!("{SECRET}, carol"),
        "m.relates_to": {"rel_type": "m.thread", "event_id": seen}});
    let message = Remote::message(BOB, "", &before);
    let hidden = theirs.send(server, &Remote { content, ..message }.at(17)).await;
    Story { alice, carol, room_id: room.id, seen, hidden, since, alice_since }
}

async fn next_batch(server: &TestServer, user: &TestUser, since: &str) -> String {
    let path = format!("{V3}/sync?{since}");
    server.get(&path, Some(user)).await.ok()["next_batch"].as_str().unwrap().to_owned()
}

impl Story {
    /// The answers on every path.
    async fn answers(
        &self,
        server: &TestServer,
        user: &TestUser,
        since: &str,
    ) -> Vec<(String, Value)> {
        let room = format!("{V3}/rooms/{}", encode(&self.room_id));
        let (seen, hidden) = (encode(&self.seen), encode(&self.hidden));
        let v1 = format!("{}/rooms/{}", V3.replace("v3", "v1"), encode(&self.room_id));
        let paths = [
            format!("{V3}/sync"),
            format!("{V3}/sync?since={since}"),
            format!("{room}/messages?dir=b"),
            format!("{room}/messages?dir=f"),
            format!("{room}/context/{seen}"),
            format!("{room}/context/{hidden}"),
            format!("{room}/event/{hidden}"),
            format!("{room}/event/{seen}"),
            format!("{v1}/relations/{seen}"),
            format!("{v1}/threads"),
            format!("{v1}/timestamp_to_event?ts=17&dir=b"),
            format!("{room}/initialSync"),
            format!("{V3}/initialSync"),
            format!("{V3}/events?from={since}&timeout=0"),
            format!("{V3}/events/{hidden}"),
        ];
        let mut answers = Vec::new();
        for path in paths {
            let answer = server.get(&path, Some(user)).await;
            answers.push((path, answer.body));
        }
        answers
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn a_branch_from_before_a_join_is_hidden_on_every_path(pool: PgPool) {
    let server = test_server::open(pool.clone()).await;
    let (alice, carol) = (server.user("alice").await, server.user("carol").await);
    let story = tell(&server, alice, carol).await;
    for server in [&server, &test_server::open(pool).await] {
        for (path, answer) in story.answers(server, &story.carol, &story.since).await {
            assert!(!answer.to_string().contains(SECRET), "{path}: {answer}");
            let names_it = answer["event_id"] == *story.hidden;
            assert!(!names_it, "{path}: {answer}");
        }
        let counts = server.get(&format!("{V3}/sync"), Some(&story.carol)).await.ok();
        let counts = &counts["rooms"]["join"][&story.room_id]["unread_notifications"];
        assert_eq!(counts["highlight_count"], 0, "{counts}");
        // Alice was there.
        for (path, answer) in story.answers(server, &story.alice, &story.alice_since).await {
            let shows = answer.to_string().contains(SECRET) || answer["event_id"] == *story.hidden;
            assert!(shows, "{path}: {answer}");
        }
    }
}

#[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
async fn what_failed_the_checks_counts_nowhere(pool: PgPool) {
    let server = test_server::open(pool).await;
    let (alice, carol) = (server.user("alice").await, server.user("carol").await);
    let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
    let mut theirs = Foreign::copy(&room).await;
    let end = theirs.end();
    theirs.send(&server, &Remote::member(BOB, BOB, "join", &end)).await;
    let before = theirs.end();
    room.join(&carol).await;
    let root = room.text(&alice, "root").await;
    let ban = json!({"user_id": BOB});
    server.post(&room.path("ban"), Some(&alice), ban).await.ok();
    let read = async || {
        let sync = server.get(&format!("{V3}/sync?timeout=0"), Some(&carol)).await.ok();
        let threads = format!("{}/rooms/{}/threads", V3.replace("v3", "v1"), encode(&room.id));
        let threads = server.get(&threads, Some(&carol)).await.ok();
        let joined = &sync["rooms"]["join"][&room.id];
        let counts = joined["unread_notifications"].clone();
        (counts, joined["timeline"]["events"].as_array().unwrap().len(), threads)
    };
    let known = read().await;
    assert_eq!(known.0["notification_count"], 1);

    let relation = json!({"rel_type": "m.thread", "event_id": root});
    let content = json!({"msgtype": "m.text", "body": "carol", "m.relates_to": relation});
    // Bob was in, and is banned now; Eve never was in.
    for (sender, is_soft_failed) in [(BOB, true), ("@eve:two.example", false)] {
        let message = Remote { content: content.clone(), ..Remote::message(sender, "", &before) };
        let message = theirs.build(&message);
        let outcome = theirs.hand(&server, &message, Place::New, &[]).await;
        let is_hidden = match is_soft_failed {
            true => outcome == Outcome::Judged(Verdict::SoftFailed),
            false => matches!(outcome, Outcome::Judged(Verdict::Rejected(_))),
        };
        assert!(is_hidden, "{sender}: {outcome:?}");
        assert_eq!(read().await, known, "{sender}");
    }
    // Nor is it part of any thread's count.
    room.text(&alice, "after").await;
    assert_eq!(read().await.0["notification_count"], 2);
}
