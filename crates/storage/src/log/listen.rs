//! Hearing of other nodes' commits, by `LISTEN`.

use std::time::Duration;

use myelin_model::StreamPos;
use sqlx::{
    PgPool,
    postgres::{PgListener, PgNotification},
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{StorageError, ephemeral};

/// The channel that `log_publish` and `append_batch` notify.
const CHANNEL: &str = "myelin_log";

/// The time to wait before connecting again after the connection broke.
const RECONNECT_MILLIS: u64 = 250;

/// The times by which the connection is asked whether it is still there, when nothing has come for long. A peer that is
/// gone without a word, or a router between that forgot the connection, is not told otherwise.
const HEARTBEAT: Heartbeat =
    Heartbeat { interval: Duration::from_secs(5), patience: Duration::from_secs(5) };

#[derive(Debug, Clone, Copy)]
struct Heartbeat {
    /// Silence before the connection is asked.
    interval: Duration,
    /// The time that an answer may take.
    patience: Duration,
}

/// Listen, and announce the newest position heard of. Listening has begun when this returns.
///
/// The connection listens for ephemeral changes too, and hands its payloads to `ephemeral`.
pub(super) async fn start(
    pool: PgPool,
    ephemeral: mpsc::UnboundedSender<String>,
    stop: CancellationToken,
) -> Result<watch::Receiver<StreamPos>, StorageError> {
    start_with(HEARTBEAT, pool, ephemeral, stop).await
}

async fn start_with(
    heartbeat: Heartbeat,
    pool: PgPool,
    ephemeral: mpsc::UnboundedSender<String>,
    stop: CancellationToken,
) -> Result<watch::Receiver<StreamPos>, StorageError> {
    let listener = connect(&pool).await?;
    let (heard, receiver) = watch::channel(StreamPos::ZERO);
    let listening = Listening { heartbeat, pool, listener, heard, ephemeral };
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = listening.run() => {}
        }
    });
    Ok(receiver)
}

async fn connect(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.ignore_pool_close_event(true);
    listener.listen_all([CHANNEL, ephemeral::CHANNEL]).await?;
    Ok(listener)
}

struct Listening {
    heartbeat: Heartbeat,
    pool: PgPool,
    listener: PgListener,
    heard: watch::Sender<StreamPos>,
    ephemeral: mpsc::UnboundedSender<String>,
}

impl Listening {
    async fn run(mut self) {
        loop {
            match timeout(self.heartbeat.interval, self.listener.try_recv()).await {
                Ok(Ok(Some(notification))) => self.take(&notification),
                // The connection broke; what was committed meanwhile was not announced to us.
                Ok(Ok(None) | Err(_)) => self.reconnect().await,
                Err(_) => match timeout(self.heartbeat.patience, end(&mut self.listener)).await {
                    Ok(Ok(end)) => announce(&self.heard, end),
                    Ok(Err(_)) | Err(_) => self.reconnect().await,
                },
            }
        }
    }

    fn take(&self, notification: &PgNotification) {
        if notification.channel() == ephemeral::CHANNEL {
            // Nobody takes it any more only when the node stops.
            let _ = self.ephemeral.send(notification.payload().to_owned());
        } else if let Ok(pos) = notification.payload().parse() {
            announce(&self.heard, StreamPos(pos));
        }
    }

    async fn reconnect(&mut self) {
        tracing::warn!("lost the connection that listens to the log; connecting again");
        loop {
            tokio::time::sleep(Duration::from_millis(RECONNECT_MILLIS)).await;
            let connected = timeout(self.heartbeat.patience, async {
                let mut listener = connect(&self.pool).await?;
                let end = end(&mut listener).await?;
                Ok::<_, sqlx::Error>((listener, end))
            });
            if let Ok(Ok((listener, end))) = connected.await {
                self.listener = listener;
                announce(&self.heard, end);
                return;
            }
        }
    }
}

/// The position of the newest entry, as the listening connection sees it.
async fn end(listener: &mut PgListener) -> Result<StreamPos, sqlx::Error> {
    let pos = sqlx::query_scalar!("SELECT pos FROM log_head").fetch_one(listener).await?;
    Ok(StreamPos(pos))
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

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Arc};

    use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
    use tokio::{
        io::{AsyncRead, AsyncWrite, copy_bidirectional},
        net::{TcpStream, UnixListener, UnixStream},
        sync::Notify,
    };

    use super::*;

    trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
    impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

    /// A way to PostgreSQL that can fall silent: what is connected then hears and says nothing more, and is not closed.
    struct Way {
        folder: PathBuf,
        silent: Arc<Notify>,
    }

    impl Way {
        fn to(options: &PgConnectOptions) -> Self {
            let folder = std::env::temp_dir().join(format!("way{:x}", rand::random::<u64>()));
            std::fs::create_dir(&folder).unwrap();
            let socket = format!(".s.PGSQL.{}", options.get_port());
            let listener = UnixListener::bind(folder.join(&socket)).unwrap();
            let silent = Arc::new(Notify::new());
            let (options, falls_silent) = (options.clone(), Arc::clone(&silent));
            tokio::spawn(async move {
                while let Ok((mut here, _)) = listener.accept().await {
                    let mut there: Box<dyn Stream> = match options.get_socket() {
                        Some(folder) => {
                            Box::new(UnixStream::connect(folder.join(&socket)).await.unwrap())
                        }
                        None => {
                            let address = (options.get_host(), options.get_port());
                            Box::new(TcpStream::connect(address).await.unwrap())
                        }
                    };
                    let falls_silent = Arc::clone(&falls_silent);
                    tokio::spawn(async move {
                        tokio::select! {
                            _ = copy_bidirectional(&mut here, &mut there) => {}
                            () = falls_silent.notified() => std::future::pending().await,
                        }
                    });
                }
            });
            Self { folder, silent }
        }
    }

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn a_connection_that_fell_silent_is_replaced(pool: PgPool) {
        const MOMENT: Duration = Duration::from_millis(100);
        let options = PgConnectOptions::clone(&pool.connect_options());
        let way = Way::to(&options);
        let listen_pool =
            PgPoolOptions::new().connect_lazy_with(options.socket(way.folder.clone()));
        let heartbeat = Heartbeat { interval: MOMENT, patience: MOMENT };
        let (ephemeral, _news) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let mut heard = start_with(heartbeat, listen_pool, ephemeral, stop.clone()).await.unwrap();

        way.silent.notify_waiters();
        let write = "UPDATE log_head SET pos = pos + 1";
        sqlx::query(write).execute(&pool).await.unwrap();
        sqlx::query("SELECT pg_notify('myelin_log', '1')").execute(&pool).await.unwrap();

        let heard = heard.wait_for(|pos| *pos == StreamPos(1));
        tokio::time::timeout(Duration::from_secs(20), heard).await.unwrap().unwrap();
        stop.cancel();
        std::fs::remove_dir_all(way.folder).unwrap();
    }
}
