//! Opens the sockets of a listener.

use std::{
    fs::Permissions,
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use myelin_config::sections::listeners::{ListenAddress, Listener};
use tokio::net::{TcpListener, UnixListener};

use super::connection::Stream;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// An open socket.
pub enum Socket {
    /// A port of an address.
    Tcp(TcpListener),
    /// A unix socket; its file goes when this does.
    Unix(UnixListener, SocketFile),
}

/// A unix socket's file, deleted on drop.
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.0);
    }
}

impl Socket {
    /// Waits for a connection. Those on a unix socket come from this machine.
    pub async fn accept(&self) -> std::io::Result<(Stream, IpAddr)> {
        match self {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are small and must not wait for more.
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), peer.ip().to_canonical()))
            }
            Socket::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Ipv4Addr::LOCALHOST.into()))
            }
        }
    }

    /// The address, for messages.
    pub fn address(&self) -> String {
        match self {
            Socket::Tcp(listener) => {
                listener.local_addr().map(|address| address.to_string()).unwrap_or_default()
            }
            Socket::Unix(_, file) => format!("unix:{}", file.0.display()),
        }
    }
}

/// Opens all sockets of a listener. Addresses that this machine does not have are left out, if at least one works.
///
/// # Errors
///
/// None works; or a socket is in use or not permitted.
pub fn bind(listener: &Listener) -> anyhow::Result<Vec<Socket>> {
    match &listener.address {
        ListenAddress::Unix { path, mode } => Ok(vec![bind_unix(path, *mode)?]),
        ListenAddress::Tcp { port, bind_addresses } => {
            let mut sockets = Vec::new();
            let mut missing = Vec::new();
            let mut addresses = Vec::new();
            for name in bind_addresses {
                addresses.extend(resolve(name, *port)?);
            }
            // `::` alone stands for IPv4, too, as in Synapse, whatever the system's default is. Where addresses of IPv4 are
            // listed beside it, each has a socket of its own.
            let only_v6 = addresses.iter().any(SocketAddr::is_ipv4);
            for address in addresses {
                match bind_tcp(address, only_v6) {
                    Ok(socket) => sockets.push(Socket::Tcp(socket)),
                    Err(error) if is_missing(&error) => missing.push((address, error)),
                    Err(error) => return Err(explain(address, error)),
                }
            }
            match missing.into_iter().next() {
                Some((address, error)) if sockets.is_empty() => Err(explain(address, error)),
                Some((address, error)) => {
                    tracing::info!(%address, %error, "this machine does not have this address; it is left out");
                    Ok(sockets)
                }
                None => Ok(sockets),
            }
        }
    }
}

fn resolve(name: &str, port: u16) -> anyhow::Result<Vec<SocketAddr>> {
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let addresses = (name, port).to_socket_addrs();
    Ok(addresses
        .with_context(|| format!("listeners: bind_addresses: {name:?} is not known"))?
        .collect())
}

fn bind_tcp(address: SocketAddr, only_v6: bool) -> std::io::Result<TcpListener> {
    let socket =
        socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn is_missing(error: &std::io::Error) -> bool {
    const NO_SUCH_FAMILY: i32 = 97;
    error.kind() == std::io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(NO_SUCH_FAMILY)
}

fn explain(address: SocketAddr, error: std::io::Error) -> anyhow::Error {
    let advice = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another program has it; stop that, or change the `port` of the listener in the config"
        }
        std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 need permission; use a higher `port`"
        }
        std::io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; change `bind_addresses`"
        }
        _ => "see `listeners` in the config",
    };
    anyhow::Error::new(error).context(format!("cannot listen on {address} ({advice})"))
}

fn bind_unix(path: &Path, mode: u32) -> anyhow::Result<Socket> {
    let what = || format!("cannot listen on the unix socket {}", path.display());
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            bail!("{}: something that is no socket is there", what());
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            bail!("{}: another program listens there", what());
        }
        // Left behind by a server that was killed.
        std::fs::remove_file(path).with_context(what)?;
    }
    let listener = UnixListener::bind(path).with_context(what)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode)).with_context(what)?;
    Ok(Socket::Unix(listener, SocketFile(path.to_owned())))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use myelin_config::sections::listeners::ListenerKind;

    use super::*;

    fn bound(bind_addresses: &[&str], port: u16) -> Vec<Socket> {
        let bind_addresses = bind_addresses.iter().map(|name| (*name).to_owned()).collect();
        bind(&Listener {
            address: ListenAddress::Tcp { port, bind_addresses },
            kind: ListenerKind::Http,
            tls: false,
            x_forwarded: false,
            request_id_header: None,
            tag: None,
            resources: Vec::new(),
            compress: false,
        })
        .unwrap()
    }

    fn port(socket: &Socket) -> u16 {
        let Socket::Tcp(listener) = socket else { panic!("no TCP") };
        listener.local_addr().unwrap().port()
    }

    #[tokio::test]
    async fn all_addresses_of_ipv6_are_those_of_ipv4_too() {
        let sockets = bound(&["::"], 0);
        assert_eq!(sockets.len(), 1);
        assert!(TcpStream::connect(("127.0.0.1", port(&sockets[0]))).is_ok());
        assert!(TcpStream::connect(("::1", port(&sockets[0]))).is_ok());
        let port = port(&sockets[0]);
        drop(sockets);
        for addresses in [["0.0.0.0", "::"], ["::", "127.0.0.1"]] {
            assert_eq!(bound(&addresses, port).len(), 2, "both may be listed");
        }
    }
}
