//! Listeners of every kind: TLS with a renewed certificate, unix sockets, metrics; and traces on their way out.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, pki_types::CertificateDer};

use crate::server::Server;

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Writes a certificate for `hs.test` and gives it.
fn write_certificate(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["hs.test".to_owned()]).unwrap();
    fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

/// Shakes hands and gives the protocol that was agreed on; an error if the certificate is not trusted.
fn shake_hands(
    port: u16,
    trusted: &CertificateDer<'static>,
    protocols: &[&str],
) -> std::io::Result<Option<String>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let mut connection =
        ClientConnection::new(Arc::new(config), "hs.test".try_into().unwrap()).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    let protocol =
        connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
    if protocol.as_deref() != Some("h2") {
        let mut tls = rustls::Stream::new(&mut connection, &mut stream);
        tls.write_all(b"GET /health HTTP/1.1\r\nHost: hs.test\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        _ = tls.read_to_end(&mut answer);
        assert!(String::from_utf8_lossy(&answer).ends_with("OK"));
    }
    Ok(protocol)
}

#[test]
fn tls_speaks_both_http_versions_and_takes_a_renewed_certificate() {
    let port = free_port();
    let mut server = Server::prepare("");
    let folder = server.folder.path().to_owned();
    let first = write_certificate(&folder);
    let more = format!(
        "listeners:\n  - {{port: {}, type: http, bind_address: 127.0.0.1, resources: [{{names: [client]}}]}}\n  - {{port: \
         {port}, type: http, tls: true, bind_address: 127.0.0.1, resources: [{{names: [client]}}]}}\n\
         tls_certificate_path: {folder}/tls.crt\ntls_private_key_path: {folder}/tls.key\n",
        server.port,
        folder = folder.display()
    );
    fs::write(server.path("more.yaml"), &more).unwrap();
    server.start();
    assert_eq!(shake_hands(port, &first, &["h2", "http/1.1"]).unwrap().as_deref(), Some("h2"));
    assert_eq!(shake_hands(port, &first, &["http/1.1"]).unwrap().as_deref(), Some("http/1.1"));
    assert_eq!(shake_hands(port, &first, &[]).unwrap(), None);

    let second = write_certificate(&folder);
    fs::write(server.path("more.yaml"), format!("{more}myelin: {{log: {{level: debug}}}}\n"))
        .unwrap();
    server.signal("HUP");
    let renewed = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        shake_hands(port, &second, &[]).is_ok()
    });
    assert!(renewed, "{}", server.log());
    assert!(shake_hands(port, &first, &[]).is_err());
    let louder = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        _ = shake_hands(port, &first, &[]);
        server.log().contains("DEBUG")
    });
    assert!(louder, "the level was read again");

    // What is wrong is told, and what was in use stays.
    fs::write(folder.join("tls.key"), "not a key").unwrap();
    server.signal("HUP");
    let told = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        server.log().contains("tls_private_key_path")
    });
    assert!(told, "{}", server.log());
    assert!(shake_hands(port, &second, &[]).is_ok());
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
}

/// Whether an answer is compressed for a client that takes gzip.
fn is_compressed(port: u16, path: &str) -> bool {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer.contains("content-encoding: gzip")
}

#[test]
fn unix_sockets_metrics_and_resources() {
    let (metrics_port, bare_port) = (free_port(), free_port());
    let mut server = Server::prepare("");
    let socket = server.path("main.sock");
    // A socket left behind by a server that was killed.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let more = format!(
        "enable_metrics: true\nlisteners:\n  - {{port: {}, type: http, tag: front, bind_address: 127.0.0.1, resources: [{{names: \
         [client, metrics], compress: true}}]}}\n  - {{port: {metrics_port}, type: metrics, bind_address: 127.0.0.1}}\n  - {{port: {bare_port}, \
         type: http, bind_address: 127.0.0.1}}\n  - {{path: {}, mode: 0600, type: http, resources: [{{names: [client]}}]}}\n",
        server.port,
        socket.display()
    );
    fs::write(server.path("more.yaml"), more).unwrap();
    server.start();

    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("OK"), "{answer}");

    // A config with this listener alone: commands find the server by its socket.
    let alone = server.path("alone.yaml");
    fs::write(
        &alone,
        format!(
            "listeners: [{{path: {}, type: http, resources: [{{names: [client]}}]}}]\n",
            socket.display()
        ),
    )
    .unwrap();
    let args = ["register-user", "--no-admin", "-u", "alice", "-p", "a good password"];
    let output = crate::server::myelin()
        .args(args)
        .arg("-c")
        .arg(server.path("homeserver.yaml"))
        .arg("-c")
        .arg(&alone)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let mine = server.port;
    assert!(is_compressed(mine, "/_matrix/client/versions"));
    assert!(!is_compressed(metrics_port, "/metrics"), "this listener was not asked to");
    let login = r#"{"type":"m.login.password","user":"alice","password":"wrong"}"#;
    crate::server::send(mine, "POST", "/_matrix/client/v3/login", "", login).unwrap();
    assert!(server.log().contains("listener=\"front\""), "{}", server.log());
    for (port, path) in
        [(metrics_port, "/metrics"), (metrics_port, "/anything"), (mine, "/_synapse/metrics")]
    {
        server.port = port;
        let answer = server.get(path).unwrap();
        for name in [
            "synapse_build_info{server_name=\"hs.test\"",
            "process_resident_memory_bytes ",
            "process_open_fds ",
        ] {
            assert!(answer.contains(name), "{path}: {name} is missing in {answer}");
        }
    }
    server.port = bare_port;
    assert!(server.get("/health").unwrap().ends_with("OK"));
    assert!(server.get("/_matrix/client/versions").unwrap().contains("M_UNRECOGNIZED"));
    assert!(server.get("/_synapse/metrics").unwrap().contains("M_UNRECOGNIZED"));
    server.port = mine;
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    assert!(!socket.exists());
}

/// Take one batch of traces as a collector does: the request as text.
fn receive_batch(collector: &TcpListener) -> String {
    let (mut stream, _) = collector.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut bytes = Vec::new();
    _ = stream.read_to_end(&mut bytes);
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    stream.write_all(answer).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn traces_reach_a_collector() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let mut server = Server::prepare(&format!(
        "myelin: {{otlp: {{endpoint: '{endpoint}', headers: {{x-key: abc}}}}, log: {{format: json}}}}\n"
    ));
    server.start();
    server.get("/_matrix/client/v3/account/whoami").unwrap();
    // What a busy machine is late with comes in a later batch.
    let batches = std::thread::spawn(move || {
        let mut batches = (0..10).map(|_| receive_batch(&collector));
        batches.find(|request| request.contains("whoami")).expect("a trace of the request")
    });
    let request = batches.join().unwrap();
    assert!(request.starts_with("POST /v1/traces HTTP/1.1"), "{request}");
    assert!(
        request.contains("application/x-protobuf") && request.contains("x-key: abc"),
        "{request}"
    );
    assert!(request.contains("service.name"), "{request}");
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    let line = server.log().lines().next().unwrap().to_owned();
    assert!(
        line.starts_with("{\"timestamp\":") && line.contains("\"message\":\"Myelin starts\""),
        "{line}"
    );
}
