//! Scenarios of `/sync`.

use std::{cell::RefCell, time::Instant};

use anyhow::Context as _;
use http::Method;

use crate::{
    client::text,
    fixture::{Fixture, User},
    load::{Load, Outcome},
};

/// `/sync` without a token, for all users in turn.
pub(crate) async fn initial(fixture: &Fixture<'_>, load: &Load) -> anyhow::Result<Outcome> {
    load.run(async |_, turn| {
        let user = fixture.user(turn)?;
        fixture
            .client
            .send(Method::GET, "/_matrix/client/v3/sync?timeout=0", Some(&user.token), None)
            .await?;
        Ok(None)
    })
    .await
}

/// A message is sent, then another member syncs from the last token. Only the `/sync` is measured.
pub(crate) async fn incremental(fixture: &Fixture<'_>, load: &Load) -> anyhow::Result<Outcome> {
    let mut tokens = vec![];
    for worker in 0..load.concurrency {
        let room = fixture.room(worker)?;
        tokens.push(RefCell::new(sync(fixture, fixture.member(room, worker)?, None, 0).await?));
    }
    load.run(async |worker, turn| {
        let room = fixture.room(worker)?;
        let (reader, writer) = (fixture.member(room, worker)?, fixture.member(room, worker + 1)?);
        fixture.send_message(room, writer, &format!("{}.s{turn}", fixture.run)).await?;
        let token = tokens.get(worker).context("one token for each worker")?;
        let since = token.borrow().clone();
        let start = Instant::now();
        let next = sync(fixture, reader, Some(&since), 0).await?;
        let elapsed = start.elapsed();
        token.replace(next);
        Ok(Some(elapsed))
    })
    .await
}

/// Every user waits in `/sync` and nothing happens: what it costs to be connected. Give `--concurrency` as many as
/// there are users.
pub(crate) async fn idle(fixture: &Fixture<'_>, load: &Load) -> anyhow::Result<Outcome> {
    let mut tokens = vec![];
    for worker in 0..load.concurrency {
        tokens.push(RefCell::new(sync(fixture, fixture.user(worker)?, None, 0).await?));
    }
    load.run(async |worker, _| {
        let token = tokens.get(worker).context("one token for each worker")?;
        let since = token.borrow().clone();
        token.replace(sync(fixture, fixture.user(worker)?, Some(&since), 5000).await?);
        Ok(None)
    })
    .await
}

/// One `/sync`; gives the next token.
pub(crate) async fn sync(
    fixture: &Fixture<'_>,
    user: &User,
    since: Option<&str>,
    timeout_ms: u64,
) -> anyhow::Result<String> {
    let since = since.map(|since| format!("&since={since}")).unwrap_or_default();
    let path = format!("/_matrix/client/v3/sync?timeout={timeout_ms}{since}");
    text(&fixture.client.call(Method::GET, &path, Some(&user.token), None).await?, "next_batch")
}
