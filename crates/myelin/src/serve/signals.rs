//! Signals of the system.

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// The wish of the admin.
pub enum Signal {
    /// Stop the server: SIGTERM or SIGINT.
    Stop,
    /// Read the configuration again: SIGHUP.
    Reload,
}

/// Receives signals from its making on.
pub struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hang_up: Stream,
}

impl Signals {
    /// Starts to receive.
    pub fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }

    /// Waits for a stop; reloads before the start is over have nothing to reload.
    pub async fn wait_stop(&mut self) {
        while let Signal::Reload = self.next().await {}
    }
}
