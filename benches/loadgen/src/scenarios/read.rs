//! Scenarios that read rooms.

use http::Method;
use serde_json::Value;

use crate::{
    fixture::{Fixture, Room},
    load::{Load, Outcome},
};

/// Messages in each room before its pages are read.
const HISTORY: usize = 200;

/// Pages of 50 back through a room, from its end to its start, page after page.
pub(crate) async fn messages(fixture: &Fixture<'_>, load: &Load) -> anyhow::Result<Outcome> {
    for room in &fixture.rooms {
        for message in 0..HISTORY {
            let txn = format!("{}.h{message}", fixture.run);
            fixture.send_message(room, fixture.member(room, message)?, &txn).await?;
        }
    }
    let positions: Vec<std::cell::RefCell<Option<String>>> =
        (0..load.concurrency).map(|_| None.into()).collect();
    load.run(async |worker, _| {
        let room = fixture.room(worker)?;
        let from = positions.get(worker).and_then(|position| position.borrow().clone());
        let from = from.map(|from| format!("&from={from}")).unwrap_or_default();
        let answer = get(fixture, room, worker, &format!("messages?dir=b&limit=50{from}")).await?;
        if let Some(position) = positions.get(worker) {
            let end = answer.get("end").and_then(Value::as_str).map(str::to_owned);
            position.replace(end);
        }
        Ok(None)
    })
    .await
}

/// All members of a room.
pub(crate) async fn members(fixture: &Fixture<'_>, load: &Load) -> anyhow::Result<Outcome> {
    load.run(async |_, turn| {
        get(fixture, fixture.room(turn)?, turn, "members").await?;
        Ok(None)
    })
    .await
}

/// The whole state of a room.
pub(crate) async fn state(fixture: &Fixture<'_>, load: &Load) -> anyhow::Result<Outcome> {
    load.run(async |_, turn| {
        get(fixture, fixture.room(turn)?, turn, "state").await?;
        Ok(None)
    })
    .await
}

async fn get(
    fixture: &Fixture<'_>,
    room: &Room,
    member: usize,
    what: &str,
) -> anyhow::Result<Value> {
    let user = fixture.member(room, member)?;
    let path = format!("/_matrix/client/v3/rooms/{}/{what}", room.path);
    fixture.client.call(Method::GET, &path, Some(&user.token), None).await
}
