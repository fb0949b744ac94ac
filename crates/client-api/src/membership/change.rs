//! The common part of all endpoints that change a membership: the limits, and the answer to each error.

use myelin_http::{ApiError, RateLimits};
use myelin_model::Actor;
use myelin_rooms::{
    Rooms,
    membership::{Action, MembershipUpdate, is_joined, update},
};
use ruma::OwnedEventId;

use crate::room_error::membership_error;

/// Count the change against the limits, and make it.
pub(crate) async fn change(
    rooms: &Rooms,
    limits: &RateLimits,
    actor: &Actor,
    new: MembershipUpdate<'_>,
) -> Result<OwnedEventId, ApiError> {
    let room = new.room_id;
    // Who is in the room changes a profile.
    let is_join = new.action == Action::Join && !is_joined(rooms, room, new.target).await?;
    match new.action {
        Action::Join if is_join => {
            limits.joins_local.check_caller(actor)?;
            limits.joins_per_room.would_allow_caller_by(actor, room.as_str())?;
        }
        Action::Invite => {
            limits.invites_per_room.check_caller_by(actor, room.as_str())?;
            limits.invites_per_user.check_caller_by(actor, new.target.as_str())?;
            limits.invites_per_issuer.check_caller(actor)?;
        }
        Action::Join
        | Action::Rename
        | Action::Leave
        | Action::Kick
        | Action::Ban
        | Action::Unban
        | Action::Knock => {}
    }
    let update = async { update(rooms, actor, new).await.map_err(membership_error) };
    let event_id = limits.message.count_done(actor, update).await?;
    if is_join {
        // Only who came in counts against the room: those who are refused must not keep others out. It has been asked whether
        // this one is allowed.
        let _ = limits.joins_per_room.check_caller_by(actor, room.as_str());
    }
    Ok(event_id)
}

#[cfg(test)]
mod tests {
    use myelin_accounts::AccountsSettings;
    use myelin_http::RateLimit;
    use serde_json::json;
    use sqlx::PgPool;

    use crate::{test_rooms::TestRoom, test_server};

    const ONCE: RateLimit = RateLimit { per_second: 0.0001, burst_count: 1.0 };

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn every_change_counts(pool: PgPool) {
        let server = test_server::open_with(pool, AccountsSettings::default(), |settings| {
            settings.rate_limits.message = RateLimit { per_second: 0.0001, burst_count: 2.0 };
        })
        .await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        // Making the room counts once.
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        room.join(&bob).await;
        let body = json!({"user_id": bob.user_id});
        server.post(&room.path("kick"), Some(&alice), body.clone()).await.ok();

        for action in ["kick", "ban", "unban", "invite", "leave", "join"] {
            let refused = server.post(&room.path(action), Some(&alice), body.clone()).await;
            assert_eq!(refused.error(), (429, "M_LIMIT_EXCEEDED"), "{action}");
        }
        let path = room.path("state/m.room.member/@bob:example.org");
        let refused = server.put(&path, Some(&alice), json!({"membership": "ban"})).await;
        assert_eq!(refused.error(), (429, "M_LIMIT_EXCEEDED"));
        let refused = server.post("/_matrix/client/v3/createRoom", Some(&alice), json!({})).await;
        assert_eq!(refused.error(), (429, "M_LIMIT_EXCEEDED"));
        server.post(&room.path("join"), Some(&bob), json!({})).await.ok();
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn joins_and_invites_have_limits_of_their_own(pool: PgPool) {
        let server = test_server::open_with(pool, AccountsSettings::default(), |settings| {
            settings.rate_limits.joins_local = ONCE;
            settings.rate_limits.invites_per_user = ONCE;
        })
        .await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        let other = TestRoom::create(&server, &alice, json!({"preset": "public_chat"})).await;
        room.join(&bob).await;
        // A new name in a room that the user is in is no join.
        let path = room.path("state/m.room.member/@bob:example.org");
        let renamed = json!({"membership": "join", "displayname": "B"});
        server.put(&path, Some(&bob), renamed).await.ok();

        let refused = server.post(&other.path("join"), Some(&bob), json!({})).await;
        assert_eq!(refused.error(), (429, "M_LIMIT_EXCEEDED"));
        other.invite(&alice, &bob).await;
        let path = other.path("state/m.room.member/@bob:example.org");
        let refused = server.put(&path, Some(&alice), json!({"membership": "invite"})).await;
        assert_eq!(refused.error(), (429, "M_LIMIT_EXCEEDED"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn who_is_refused_keeps_nobody_out(pool: PgPool) {
        let server = test_server::open_with(pool, AccountsSettings::default(), |settings| {
            settings.rate_limits.joins_per_room = ONCE;
        })
        .await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let (carol, mallory) = (server.user("carol").await, server.user("mallory").await);
        let room = TestRoom::create(&server, &alice, json!({})).await;
        for user in [&bob, &carol] {
            room.invite(&alice, user).await;
        }

        for _ in 0..3 {
            let refused = server.post(&room.path("join"), Some(&mallory), json!({})).await;
            assert_eq!(refused.error(), (403, "M_FORBIDDEN"));
        }
        room.join(&bob).await;
        let refused = server.post(&room.path("join"), Some(&carol), json!({})).await;
        assert_eq!(refused.error(), (429, "M_LIMIT_EXCEEDED"));
    }

    #[sqlx::test(migrator = "myelin_storage::MIGRATOR")]
    async fn names_and_pictures_are_text(pool: PgPool) {
        let server = test_server::open(pool).await;
        let alice = server.user("alice").await;
        let room = TestRoom::create(&server, &alice, json!({})).await;
        let path = room.path("state/m.room.member/@alice:example.org");
        for (key, value) in [("displayname", json!(true)), ("avatar_url", json!([{}]))] {
            let content = json!({"membership": "join", key: value});
            let refused = server.put(&path, Some(&alice), content).await;
            assert_eq!(refused.error(), (400, "M_BAD_JSON"), "{key}");
        }
        let nothing = json!({"membership": "join", "displayname": null});
        server.put(&path, Some(&alice), nothing).await.ok();
    }
}
