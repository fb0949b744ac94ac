//! Starts, stops and kills, with the embedded database. As root it must work too.

use std::{
    os::unix::fs::MetadataExt,
    process::Command,
    time::{Duration, Instant},
};

use crate::server::{Server, field, myelin, send};

fn kill(signal: &str, id: &str) {
    assert!(Command::new("kill").args([signal, id]).status().unwrap().success());
}

#[test]
fn it_starts_stops_and_finds_its_data_again() {
    let mut server =
        Server::prepare("public_baseurl: https://hs.test\nadmin_contact: mailto:admin@hs.test\n");
    let pid_file = server.path("not-there-yet/homeserver.pid");
    let more = std::fs::read_to_string(server.path("more.yaml")).unwrap();
    std::fs::write(server.path("more.yaml"), format!("{more}pid_file: {}\n", pid_file.display()))
        .unwrap();
    server.start();
    assert!(server.get("/health").unwrap().starts_with("HTTP/1.1 200"));
    assert!(
        server
            .get("/.well-known/matrix/client")
            .unwrap()
            .contains("\"base_url\":\"https://hs.test/\"")
    );
    assert!(server.get("/.well-known/matrix/server").unwrap().starts_with("HTTP/1.1 404"));
    // How to reach the admin is for users who are blocked, not for everybody.
    assert!(server.get("/.well-known/matrix/support").unwrap().starts_with("HTTP/1.1 404"));
    assert!(server.get("/").unwrap().contains("location: /_matrix/static/"));
    let page = server.get("/_matrix/static/").unwrap();
    assert!(page.contains("It works!") && page.contains("x-frame-options: DENY"), "{page}");
    assert!(server.get("/nothing").unwrap().contains("M_UNRECOGNIZED"));
    assert!(pid_file.exists());
    let data = std::fs::metadata(server.path("postgres")).unwrap();
    let own = std::fs::metadata(server.path("homeserver.yaml")).unwrap();
    assert_eq!(own.uid() == 0, data.uid() != own.uid(), "only root gives the data to another user");
    assert_eq!(data.mode() & 0o777, 0o700);

    server.signal("TERM");
    assert_eq!(server.wait(), Some(0), "{}", server.log());
    assert!(!pid_file.exists());
    assert!(!server.log().contains("could not give leases back"), "{}", server.log());
    assert!(!server.path("postgres/postmaster.pid").exists(), "the database was stopped too");

    server.start();
    server.signal("INT");
    assert_eq!(server.wait(), Some(0));
    assert_eq!(server.log().matches("making the embedded database").count(), 1);
}

#[test]
fn it_comes_back_after_kills() {
    let mut server = Server::prepare("");
    server.start();
    let first = server.postgres_pid();
    server.signal("KILL");
    assert_eq!(server.wait(), None);
    server.start();
    assert_eq!(server.postgres_pid(), first, "the database that was left running was adopted");

    // The database alone dies: it is started again.
    kill("-KILL", &first);
    let back = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        server.log().contains("the embedded PostgreSQL runs again")
    });
    assert!(back, "{}", server.log());
    assert_ne!(server.postgres_pid(), first);

    // Both die.
    let second = server.postgres_pid();
    server.signal("KILL");
    kill("-KILL", &second);
    server.wait();
    server.start();
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn two_servers_on_the_same_data_are_refused() {
    let mut server = Server::prepare("");
    server.start();
    let other = server.path("other.yaml");
    std::fs::write(&other, "listeners: [{type: http, port: 0, bind_address: 127.0.0.1}]\n")
        .unwrap();
    let output = myelin()
        .arg("-c")
        .arg(server.path("homeserver.yaml"))
        .arg("-c")
        .arg(&other)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("another Myelin runs with the data in"), "{text}");
    let output = myelin().arg("-c").arg(server.path("homeserver.yaml")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("another program has it; stop that, or change the `port`"), "{text}");
}

#[test]
fn data_of_another_postgresql_are_left_alone() {
    let server = Server::prepare("");
    std::fs::create_dir(server.path("postgres")).unwrap();
    std::fs::write(server.path("postgres/PG_VERSION"), "9\n").unwrap();
    let output = myelin().arg("-c").arg(server.path("homeserver.yaml")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("are of PostgreSQL 9, but this system has"), "{text}");
}

#[test]
fn a_stop_answers_those_who_wait_for_news() {
    const SYNC: &str = "/_matrix/client/v3/sync";
    let mut server = Server::prepare("");
    server.start();
    let token = server.log_in("alice");
    let since = field(&send(server.port, "GET", SYNC, &token, "").unwrap(), "next_batch");
    let port = server.port;
    let started = Instant::now();
    let waiting = std::thread::spawn(move || {
        send(port, "GET", &format!("{SYNC}?since={since}&timeout=30000"), &token, "")
    });
    std::thread::sleep(Duration::from_millis(500));
    assert!(!waiting.is_finished(), "nothing is new");
    server.signal("TERM");
    let answer = waiting.join().unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("next_batch"), "{answer}");
    assert_eq!(server.wait(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert!(!server.log().contains("did not end in time"), "{}", server.log());
}
