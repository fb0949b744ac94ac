//! A server in a temporary folder, as a process of its own.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A folder with a config, and the server that runs from it. Dropping it stops all.
pub struct Server {
    pub folder: tempfile::TempDir,
    pub port: u16,
    child: Option<Child>,
}

/// The program under test.
pub fn myelin() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_myelin"));
    command.env_remove("RUST_LOG").env_remove("NOTIFY_SOCKET");
    command
}

impl Server {
    /// A generated config with a free port, and `more` laid over it.
    pub fn prepare(more: &str) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = folder.path().join("homeserver.yaml");
        let output = myelin()
            .args(["generate", "--server-name", "hs.test", "--report-stats", "no", "-c"])
            .arg(&config)
            .arg("--data-directory")
            .arg(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text =
            fs::read_to_string(&config).unwrap().replace("port: 8008", &format!("port: {port}"));
        fs::write(&config, text).unwrap();
        fs::write(folder.path().join("more.yaml"), format!("enable_metrics: true\n{more}"))
            .unwrap();
        Server { folder, port, child: None }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the server and waits until it serves.
    pub fn start(&mut self) {
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.path("out.log")).unwrap();
        let child = myelin()
            .args(["serve", "-c"])
            .arg(self.path("homeserver.yaml"))
            .arg("-c")
            .arg(self.path("more.yaml"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let started = Instant::now();
        while self.get("/health").is_none_or(|answer| !answer.ends_with("OK")) {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < START_TIMEOUT,
                "{ended:?}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The text that the server has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("out.log")).unwrap_or_default()
    }

    /// Sends a signal by the name that `kill` knows.
    pub fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Waits for the end and gives the exit code; none if a signal ended it.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.take().unwrap().wait().unwrap().code()
    }

    /// GET over a connection of its own; the whole answer with its head.
    pub fn get(&self, path: &str) -> Option<String> {
        send(self.port, "GET", path, "", "")
    }

    /// Makes a user with the program's own tool, logs in and gives the access token.
    pub fn log_in(&self, user: &str) -> String {
        let config = self.path("homeserver.yaml");
        let args = ["register-user", "--no-admin", "-u", user, "-p", "a good password", "-c"];
        let output = myelin().args(args).arg(&config).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let body = format!(
            "{{\"type\":\"m.login.password\",\"identifier\":{{\"type\":\"m.id.user\",\"user\":\"{user}\"}},\
             \"password\":\"a good password\"}}"
        );
        let answer = send(self.port, "POST", "/_matrix/client/v3/login", "", &body).unwrap();
        field(&answer, "access_token")
    }

    /// The process of the embedded PostgreSQL.
    pub fn postgres_pid(&self) -> String {
        let text = fs::read_to_string(self.path("postgres/postmaster.pid")).unwrap();
        text.lines().next().unwrap().to_owned()
    }
}

/// One request over a connection of its own; the whole answer with its head.
pub fn send(port: u16, method: &str, path: &str, token: &str, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let login =
        if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: hs.test\r\nConnection: close\r\n{login}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// The text of a field of the JSON in an answer.
pub fn field(answer: &str, name: &str) -> String {
    let body = answer.split_once("\r\n\r\n").unwrap_or_default().1;
    let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    json.get(name)
        .and_then(|value| value.as_str())
        .unwrap_or_else(|| panic!("no {name} in {answer}"))
        .to_owned()
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            _ = child.kill();
            _ = child.wait();
        }
        // A server that was killed leaves its database running.
        if let Ok(text) = fs::read_to_string(self.path("postgres/postmaster.pid")) {
            let id = text.lines().next().unwrap_or_default().to_owned();
            _ = Command::new("kill").args(["-QUIT", &id]).status();
        }
    }
}
