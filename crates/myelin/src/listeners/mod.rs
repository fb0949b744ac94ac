//! Sockets: bound first, so that a port in use is told before anything else starts; served once all is ready.

mod bind;
mod connection;
mod tls;

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use myelin_config::sections::listeners::Listener;
use tokio_util::sync::CancellationToken;

pub use self::{
    bind::{Socket, bind},
    tls::{TlsFiles, TlsReloader},
};

/// Pause after an accept that failed, which mostly means that files ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves what `router` answers on a listener's sockets until `stop`. Connections that are open then are
/// counted in `graceful`.
pub fn serve(
    listener: &Listener,
    sockets: Vec<Socket>,
    router: &Router,
    tls: Option<&TlsReloader>,
    graceful: &Arc<GracefulShutdown>,
    stop: &CancellationToken,
) {
    for socket in sockets {
        let connections = connection::Connections {
            service: Arc::new(connection::Service {
                router: router.clone(),
                tls: tls.filter(|_| listener.tls).cloned(),
                x_forwarded: listener.x_forwarded,
                name: listener.name().into(),
                request_id_header: listener
                    .request_id_header
                    .as_ref()
                    .and_then(|name| name.parse().ok()),
            }),
            graceful: graceful.clone(),
        };
        tokio::spawn(accept(socket, connections, stop.clone()));
    }
}

async fn accept(socket: Socket, connections: connection::Connections, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => connections.start(stream, peer),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
