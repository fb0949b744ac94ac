//! Hearing of other nodes' commits, by `LISTEN`.

use std::time::Duration;

use myelin_model::StreamPos;
use sqlx::{PgPool, postgres::PgListener};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::read;
use crate::{StorageError, ephemeral};

/// The channel that `log_publish` and `append_batch` notify.
const CHANNEL: &str = "myelin_log";

/// How long to wait before connecting again after the connection broke.
const RECONNECT_MILLIS: u64 = 250;

/// Listen, and announce the newest position heard of. Listening has begun when this returns.
///
/// The connection listens for ephemeral news too, and hands its payloads to `ephemeral`.
pub(super) async fn start(
    pool: PgPool,
    ephemeral: mpsc::UnboundedSender<String>,
    stop: CancellationToken,
) -> Result<watch::Receiver<StreamPos>, StorageError> {
    let listener = connect(&pool).await?;
    let (sender, receiver) = watch::channel(StreamPos::ZERO);
    tokio::spawn(run(pool, listener, sender, ephemeral, stop));
    Ok(receiver)
}

async fn connect(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.ignore_pool_close_event(true);
    listener.listen_all([CHANNEL, ephemeral::CHANNEL]).await?;
    Ok(listener)
}

async fn run(
    pool: PgPool,
    mut listener: PgListener,
    heard: watch::Sender<StreamPos>,
    ephemeral: mpsc::UnboundedSender<String>,
    stop: CancellationToken,
) {
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = listener.try_recv() => received,
        };
        match received {
            Ok(Some(notification)) if notification.channel() == ephemeral::CHANNEL => {
                // Nobody takes it any more only when the node stops.
                let _ = ephemeral.send(notification.payload().to_owned());
            }
            Ok(Some(notification)) => {
                if let Ok(pos) = notification.payload().parse() {
                    announce(&heard, StreamPos(pos));
                }
            }
            // The connection broke; what was committed meanwhile was not announced to us.
            Ok(None) | Err(_) => {
                tracing::warn!("lost the connection that listens to the log; connecting again");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = reconnect(&pool, &mut listener, &heard) => {}
                }
            }
        }
    }
}

async fn reconnect(pool: &PgPool, listener: &mut PgListener, heard: &watch::Sender<StreamPos>) {
    loop {
        tokio::time::sleep(Duration::from_millis(RECONNECT_MILLIS)).await;
        let Ok(new) = connect(pool).await else { continue };
        let Ok(end) = read::end(pool).await else { continue };
        *listener = new;
        announce(heard, end);
        return;
    }
}

fn announce(heard: &watch::Sender<StreamPos>, pos: StreamPos) {
    heard.send_if_modified(|newest| {
        let newer = pos > *newest;
        if newer {
            *newest = pos;
        }
        newer
    });
}
