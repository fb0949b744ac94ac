//! The tasks of the hub: hearing other nodes, telling them, letting time pass, and writing presence down.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{hub::Inner, store, wire};

/// The least time between two looks at all deadlines.
const EXPIRE_MILLIS_MIN: u64 = 250;

/// The time between two writes of changed presence to the table.
const STORE_MILLIS: u64 = 5_000;

/// The time that a change waits for others to go with it to other nodes: when a server comes back, all its users do at
/// once.
const SEND_MILLIS: u64 = 20;

/// The number of changes that one statement sends to other nodes.
const SEND_UPDATES_MAX: usize = 512;

/// Start the tasks. They end by `stop`, or when the hub is gone. The one that writes a last time is among `last_writes`.
pub(super) fn start(
    hub: &Arc<Inner>,
    pool: PgPool,
    last_writes: &TaskTracker,
    incoming: mpsc::UnboundedReceiver<String>,
    to_send: mpsc::UnboundedReceiver<wire::Update>,
    stop: CancellationToken,
) {
    let (node, weak) = (hub.node, Arc::downgrade(hub));
    tokio::spawn(receive(weak.clone(), incoming, stop.clone()));
    tokio::spawn(send(node, pool.clone(), to_send, stop.clone()));
    tokio::spawn(expire(Arc::clone(hub), stop.clone()));
    last_writes.spawn(write_down(weak, pool, stop));
}

async fn receive(
    hub: Weak<Inner>,
    mut incoming: mpsc::UnboundedReceiver<String>,
    stop: CancellationToken,
) {
    loop {
        let payload = tokio::select! {
            () = stop.cancelled() => return,
            payload = incoming.recv() => payload,
        };
        let (Some(payload), Some(hub)) = (payload, hub.upgrade()) else { return };
        hub.receive(&payload);
    }
}

async fn send(
    node: u64,
    pool: PgPool,
    mut to_send: mpsc::UnboundedReceiver<wire::Update>,
    stop: CancellationToken,
) {
    let mut updates = Vec::new();
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = to_send.recv_many(&mut updates, SEND_UPDATES_MAX) => received,
        };
        if received == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(SEND_MILLIS)).await;
        while updates.len() < SEND_UPDATES_MAX
            && let Ok(more) = to_send.try_recv()
        {
            updates.push(more);
        }
        let payloads = wire::payloads(node, std::mem::take(&mut updates));
        if let Err(error) = store::notify(&pool, &payloads).await {
            // Lost: typing ends by itself, presence is told again with the next beat.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not send ephemeral changes to other nodes"
            );
        }
    }
}

async fn expire(hub: Arc<Inner>, stop: CancellationToken) {
    loop {
        let wait = hub
            .next_deadline()
            .map(|deadline| deadline.saturating_sub(hub.clock.now_ms()).max(EXPIRE_MILLIS_MIN));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(wait.unwrap_or(u64::MAX >> 20))) => hub.expire(),
            () = hub.deadline_changed.notified() => {
                // Many changes in a row make one look.
                tokio::time::sleep(Duration::from_millis(EXPIRE_MILLIS_MIN)).await;
                hub.expire();
            }
        }
    }
}

async fn write_down(hub: Weak<Inner>, pool: PgPool, stop: CancellationToken) {
    loop {
        let stopping = tokio::select! {
            () = stop.cancelled() => true,
            () = tokio::time::sleep(Duration::from_millis(STORE_MILLIS)) => false,
        };
        let Some(hub) = hub.upgrade() else { return };
        let records = hub.state.lock().presence.take_dirty();
        if !records.is_empty()
            && let Err(error) = store::write(&pool, &records).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not write presence");
        }
        if stopping {
            return;
        }
    }
}
