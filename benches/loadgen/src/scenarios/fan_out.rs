//! How long it takes until everybody in a room has a message.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use futures_util::future::{join, join_all};
use http::Method;

use super::sync::sync;
use crate::{
    client::text,
    fixture::{Fixture, User},
    load::{Load, Outcome},
};

/// How long one `/sync` waits: longer than any message takes.
const SYNC_TIMEOUT_MS: u64 = 10_000;

/// One message after the other; a turn ends when the last member's waiting `/sync` has it.
pub(crate) async fn fan_out(fixture: &Fixture<'_>, load: &Load) -> anyhow::Result<Outcome> {
    let room = fixture.room(0)?;
    let readers: Vec<&User> = room
        .members
        .iter()
        .skip(1)
        .map(|member| fixture.user(*member))
        .collect::<Result<_, _>>()?;
    let first = join_all(readers.iter().map(|reader| sync(fixture, reader, None, 0))).await;
    let tokens = RefCell::new(first.into_iter().collect::<Result<Vec<_>, _>>()?);
    // One message at a time: with several under way nobody could tell which of them was waited for.
    let load = Load { concurrency: 1, watches: load.watches.clone(), ..*load };
    load.run(async |_, turn| {
        let marker = format!("{}.f{turn}", fixture.run);
        let since = tokens.borrow().clone();
        let waiting = join_all(
            readers
                .iter()
                .zip(&since)
                .map(|(reader, since)| wait_for(fixture, reader, since, &marker)),
        );
        let sending = async {
            // The readers shall be waiting when the message comes.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let start = Instant::now();
            fixture.send_message(room, fixture.member(room, 0)?, &marker).await?;
            anyhow::Ok(start)
        };
        let (next, start) = join(waiting, sending).await;
        let elapsed = start?.elapsed();
        tokens.replace(next.into_iter().collect::<Result<Vec<_>, _>>()?);
        Ok(Some(elapsed))
    })
    .await
}

/// Syncs until an answer holds the marker; gives the next token.
async fn wait_for(
    fixture: &Fixture<'_>,
    reader: &User,
    since: &str,
    marker: &str,
) -> anyhow::Result<String> {
    let mut since = since.to_owned();
    loop {
        let path = format!("/_matrix/client/v3/sync?timeout={SYNC_TIMEOUT_MS}&since={since}");
        let answer = fixture.client.call(Method::GET, &path, Some(&reader.token), None).await?;
        since = text(&answer, "next_batch")?;
        if answer.to_string().contains(marker) {
            return Ok(since);
        }
    }
}
