//! Starts a `nats-server` for one test, on free ports. JetStream keeps its data in a new folder.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{scratch, wait};

#[derive(Debug)]
pub(crate) struct Nats {
    port: u16,
    monitor: u16,
    folder: PathBuf,
    host: String,
    /// The file with its other settings.
    config: Option<PathBuf>,
    /// `None` while the server does not run.
    child: Option<Child>,
}

impl Nats {
    /// Starts a server, and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::start_at("127.0.0.1", None)
    }

    /// Starts a server with these settings, in addition to those of [`start`](Self::start).
    pub(crate) fn configured(config: &str) -> Self {
        Self::start_at("127.0.0.1", Some(config))
    }

    /// Starts a server with these settings at another address of this machine.
    pub(crate) fn start_at(host: &str, config: Option<&str>) -> Self {
        let mut nats = Self {
            port: 0,
            monitor: 0,
            folder: scratch("nats"),
            host: host.to_owned(),
            config: config.map(|_| scratch("nats-config").join("nats.conf")),
            child: None,
        };
        if let Some(text) = config {
            nats.configure(text);
        }
        // Another process may take the port before the server does.
        wait::until("a nats-server that answers", || {
            let free = [(); 2].map(|()| TcpListener::bind((host, 0)).expect("a port is free"));
            let ports = free
                .each_ref()
                .map(|free| free.local_addr().expect("the listener is bound").port());
            [nats.port, nats.monitor] = ports;
            drop(free);
            nats.launch().then_some(())
        });
        nats
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let host = self.host.parse().expect("the host is an address");
        SocketAddr::new(host, self.port)
    }

    /// Changes the settings of the running server.
    pub(crate) fn reload(&self, config: &str) {
        self.configure(config);
        let child = self.child.as_ref().expect("it runs");
        let signal = Command::new("nats-server")
            .arg("--signal")
            .arg(format!("reload={}", child.id()))
            .status();
        assert!(signal.expect("nats-server runs").success());
    }

    fn configure(&self, config: &str) {
        let file = self.config.as_ref().expect("it was started with settings");
        // The file has to enable JetStream too. Otherwise the reload would disable it.
        let folder = self.folder.display();
        let text = format!("jetstream {{ store_dir: \"{folder}\" }}\n{config}");
        std::fs::write(file, text).expect("the build folder can be written");
    }

    /// Sends a request to the API of JetStream, and waits for the answer. The server must not require a login.
    pub(crate) fn ask_jetstream(&self, what: &str, payload: &str) -> serde_json::Value {
        let mut connection = TcpStream::connect(self.address()).expect("the server listens");
        connection
            .set_read_timeout(Some(wait::LONG))
            .expect("a socket has timeouts");
        let commands = format!(
            "CONNECT {{\"verbose\":false}}\r\nSUB answer.{0} 1\r\nPUB $JS.API.{what} answer.{0} {1}\r\n{payload}\r\n",
            std::process::id(),
            payload.len()
        );
        connection
            .write_all(commands.as_bytes())
            .expect("the server reads");
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let read = connection.read(&mut piece).expect("the server answers");
            assert!(read > 0, "it hung up: {}", answer.escape_ascii());
            answer.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&answer);
            let Some((_, message)) = text.split_once("\r\nMSG ") else {
                continue;
            };
            let Some((_, body)) = message.split_once("\r\n") else {
                continue;
            };
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(body.trim_end()) {
                assert!(value["error"].is_null(), "{what}: {value}");
                return value;
            }
        }
    }

    /// Kills the server with SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // This fails if the process has already exited.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts the server again with its data.
    pub(crate) fn restart(&mut self) {
        self.kill();
        wait::until("nats-server to come back", || self.launch().then_some(()));
    }

    /// Starts the server again without its data.
    pub(crate) fn restart_empty(&mut self) {
        self.kill();
        std::fs::remove_dir_all(&self.folder).expect("the folder is there");
        self.restart();
    }

    /// Kills the server, copies its data for [`restart_with`](Self::restart_with), and starts it again.
    pub(crate) fn backup(&mut self) -> PathBuf {
        self.kill();
        let copy = scratch("nats-backup");
        copy_all(&self.folder, &copy);
        self.restart();
        copy
    }

    /// Starts the server again with older data.
    pub(crate) fn restart_with(&mut self, backup: &Path) {
        self.kill();
        std::fs::remove_dir_all(&self.folder).expect("the folder is there");
        std::fs::create_dir_all(&self.folder).expect("the folder can be made");
        copy_all(backup, &self.folder);
        remove(backup);
        self.restart();
    }

    /// Publishes a message as a program without Bocadillo does. Each header is one line.
    pub(crate) fn publish(&self, subject: &str, headers: &str, payload: &str) {
        let mut connection = TcpStream::connect(self.address()).expect("the server listens");
        connection
            .set_read_timeout(Some(wait::LONG))
            .expect("a socket has timeouts");
        let head = format!("NATS/1.0\r\n{headers}\r\n");
        let (head, size) = (&head, head.len() + payload.len());
        let commands = format!(
            "CONNECT {{\"verbose\":false,\"headers\":true}}\r\nHPUB {subject} {} {size}\r\n{head}{payload}\r\nPING\r\n",
            head.len()
        );
        connection
            .write_all(commands.as_bytes())
            .expect("the server reads");
        let mut answer = Vec::new();
        let mut piece = [0; 1024];
        while !answer.windows(6).any(|six| six == b"PONG\r\n") {
            let read = connection.read(&mut piece).expect("the server answers");
            assert!(read > 0, "it hung up: {}", answer.escape_ascii());
            answer.extend_from_slice(&piece[..read]);
        }
    }

    /// Returns the number of connections and of their subscriptions, as the server reports them.
    pub(crate) fn connections(&self) -> (u64, u64) {
        let body = self.ask("/connz");
        let all = body["connections"].as_array().expect("a list");
        (
            all.len() as u64,
            all.iter()
                .filter_map(|one| one["subscriptions"].as_u64())
                .sum(),
        )
    }

    /// Publishes the numbers from zero on as events, all at once. Then waits until the server has stored them.
    pub(crate) fn flood(&self, subject: &str, count: usize) {
        let before = self.messages();
        let mut connection = TcpStream::connect(self.address()).expect("the server listens");
        let mut commands = b"CONNECT {\"verbose\":false}\r\n".to_vec();
        for number in 0..count {
            let payload = format!("data: {number}\n\n");
            write!(commands, "PUB {subject} {}\r\n{payload}\r\n", payload.len()).expect("memory");
        }
        connection.write_all(&commands).expect("the server reads");
        wait::until("the stream to have them", || {
            (self.messages() >= before + count as u64).then_some(())
        });
    }

    /// Returns the consumers of its streams.
    pub(crate) fn consumers(&self) -> Vec<serde_json::Value> {
        let all = self.ask("/jsz?accounts=1&streams=1&consumers=1&config=1");
        let mut consumers = Vec::new();
        for account in all["account_details"].as_array().into_iter().flatten() {
            for stream in account["stream_detail"].as_array().into_iter().flatten() {
                let of = stream["consumer_detail"].as_array();
                consumers.extend(of.into_iter().flatten().cloned());
            }
        }
        consumers
    }

    /// Returns how many bytes the server buffers for its clients.
    pub(crate) fn pending(&self) -> u64 {
        let body = self.ask("/connz");
        let all = body["connections"].as_array().expect("a list");
        all.iter()
            .filter_map(|one| one["pending_bytes"].as_u64())
            .sum()
    }

    /// Returns how many requests JetStream has answered.
    pub(crate) fn requests(&self) -> u64 {
        self.ask("/jsz")["api"]["total"].as_u64().expect("a number")
    }

    /// Returns how many messages its streams have.
    pub(crate) fn messages(&self) -> u64 {
        self.ask("/jsz")["messages"].as_u64().expect("a number")
    }

    fn ask(&self, path: &str) -> serde_json::Value {
        let mut connection =
            TcpStream::connect((&*self.host, self.monitor)).expect("the server listens");
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        connection
            .write_all(request.as_bytes())
            .expect("the server reads");
        let mut reply = String::new();
        connection
            .read_to_string(&mut reply)
            .expect("the server answers");
        let body = reply.split_once("\r\n\r\n").expect("a reply has a head").1;
        serde_json::from_str(body).expect("it is JSON")
    }

    /// Starts the process. Returns whether the server answers.
    fn launch(&mut self) -> bool {
        let config = self.config.as_ref();
        let config = config.map(|file| ["-c".as_ref(), file.as_os_str()]);
        // If there is a file with settings, it names the folder.
        let folder = [
            "--jetstream".as_ref(),
            "--store_dir".as_ref(),
            self.folder.as_os_str(),
        ];
        let folder = self.config.is_none().then_some(folder);
        let child = Command::new("nats-server")
            .args(config.into_iter().flatten())
            .args(["--addr", &self.host, "--port", &self.port.to_string()])
            .args(["--http_port", &self.monitor.to_string()])
            .args(folder.into_iter().flatten())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!("nats-server does not start ({error}): `cargo xtask test` installs it")
        });
        let is_up = wait::until("nats-server to answer or to end", || {
            if child
                .try_wait()
                .expect("the state of the child can be read")
                .is_some()
            {
                return Some(false);
            }
            self.answers().then_some(true)
        });
        self.child = Some(child);
        is_up
    }

    /// Whether the server accepts clients. It does so after it has read its data.
    fn answers(&self) -> bool {
        let Ok(mut connection) = TcpStream::connect(self.address()) else {
            return false;
        };
        let mut greeting = [0; 5];
        connection
            .set_read_timeout(Some(Duration::from_secs(5)))
            .is_ok()
            && connection.read_exact(&mut greeting).is_ok()
            && &greeting == b"INFO "
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
        remove(&self.folder);
        if let Some(folder) = self.config.as_ref().and_then(|file| file.parent()) {
            remove(folder);
        }
    }
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("the file has a type").is_dir() {
            std::fs::create_dir_all(&target).expect("the folder can be made");
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}

fn remove(folder: &Path) {
    // If this fails, the files stay in the build folder.
    let _ = std::fs::remove_dir_all(folder);
}
