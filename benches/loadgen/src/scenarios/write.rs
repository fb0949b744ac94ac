//! Scenarios that write: messages, receipts, logins, rooms.

use anyhow::Context as _;
use http::Method;
use serde_json::json;

use crate::{
    client::{escape, text},
    fixture::{Fixture, PASSWORD},
    load::{Load, Outcome},
};

/// Messages into the rooms in random order, from random members.
pub(crate) async fn send(fixture: &Fixture<'_>, load: &Load) -> anyhow::Result<Outcome> {
    load.run(async |_, turn| {
        let room = fixture.room(rand::random_range(0..fixture.rooms.len()))?;
        let user = fixture.member(room, rand::random_range(0..room.members.len()))?;
        fixture.send_message(room, user, &format!("{}.{turn}", fixture.run)).await?;
        Ok(None)
    })
    .await
}

/// Read receipts of random members, each on one of the room's messages.
pub(crate) async fn receipts(fixture: &Fixture<'_>, load: &Load) -> anyhow::Result<Outcome> {
    let mut events = vec![];
    for (number, room) in fixture.rooms.iter().enumerate() {
        let user = fixture.member(room, 0)?;
        for message in 0..10 {
            let path = format!(
                "/_matrix/client/v3/rooms/{}/send/m.room.message/r{number}.{message}",
                room.path
            );
            let body = json!({"msgtype": "m.text", "body": "to be read"});
            let answer =
                fixture.client.call(Method::PUT, &path, Some(&user.token), Some(&body)).await?;
            events.push((room, escape(&text(&answer, "event_id")?)));
        }
    }
    load.run(async |_, _| {
        let (room, event) = events.get(rand::random_range(0..events.len())).context("no events")?;
        let user = fixture.member(room, rand::random_range(0..room.members.len()))?;
        let path = format!("/_matrix/client/v3/rooms/{}/receipt/m.read/{event}", room.path);
        fixture.client.send(Method::POST, &path, Some(&user.token), Some(&json!({}))).await?;
        Ok(None)
    })
    .await
}

/// Logins of all users in turn.
pub(crate) async fn login(fixture: &Fixture<'_>, load: &Load) -> anyhow::Result<Outcome> {
    load.run(async |worker, turn| {
        let user = fixture.user(turn)?;
        let body = json!({
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": user.name},
            "password": PASSWORD,
            // The same devices again: a real user does not have thousands.
            "device_id": format!("LOAD{worker}"),
        });
        fixture.client.send(Method::POST, "/_matrix/client/v3/login", None, Some(&body)).await?;
        Ok(None)
    })
    .await
}

/// One user makes a room, another joins it; both count as one operation.
pub(crate) async fn create_join(fixture: &Fixture<'_>, load: &Load) -> anyhow::Result<Outcome> {
    load.run(async |_, turn| {
        let (creator, joiner) = (fixture.user(turn)?, fixture.user(turn + 1)?);
        let body = json!({"preset": "public_chat"});
        let path = "/_matrix/client/v3/createRoom";
        let answer =
            fixture.client.call(Method::POST, path, Some(&creator.token), Some(&body)).await?;
        let path = format!("/_matrix/client/v3/join/{}", escape(&text(&answer, "room_id")?));
        fixture.client.send(Method::POST, &path, Some(&joiner.token), Some(&json!({}))).await?;
        Ok(None)
    })
    .await
}
