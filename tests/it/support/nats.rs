//! A `nats-server` of the test's own: on free ports, with JetStream's data in a folder of its own.

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
    /// A file with more of its settings.
    config: Option<PathBuf>,
    /// `None` while it is down.
    child: Option<Child>,
}

impl Nats {
    /// Starts a server, and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::start_at("127.0.0.1", None)
    }

    /// Starts a server with these settings beside those that it has here.
    pub(crate) fn configured(config: &str) -> Self {
        Self::start_at("127.0.0.1", Some(config))
    }

    /// The same at another address of this machine.
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
        // Another process may take a port that was free a moment ago.
        wait::until("a nats-server that answers", || {
            let free =
                [(); 2].map(|()| TcpListener::bind((host, 0)).expect("there is a free port"));
            let ports = free
                .each_ref()
                .map(|free| free.local_addr().expect("it is bound").port());
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

    /// Gives it other settings while it runs.
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
        // JetStream is in the file too: a reload without it would switch it off.
        let folder = self.folder.display();
        let text = format!("jetstream {{ store_dir: \"{folder}\" }}\n{config}");
        std::fs::write(file, text).expect("the build folder can be written");
    }

    /// Asks JetStream, as its command line tool does, and waits for the answer. For a server that lets everybody in.
    pub(crate) fn ask_jetstream(&self, what: &str, payload: &str) -> serde_json::Value {
        let mut connection = TcpStream::connect(self.address()).expect("it listens");
        connection
            .set_read_timeout(Some(wait::LONG))
            .expect("a socket has timeouts");
        let commands = format!(
            "CONNECT {{\"verbose\":false}}\r\nSUB answer.{0} 1\r\nPUB $JS.API.{what} answer.{0} {1}\r\n{payload}\r\n",
            std::process::id(),
            payload.len()
        );
        connection.write_all(commands.as_bytes()).expect("it reads");
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let read = connection.read(&mut piece).expect("it answers");
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

    /// Ends it as a crash would: SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself, which is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again, with the data that it had.
    pub(crate) fn restart(&mut self) {
        self.kill();
        wait::until("nats-server to come back", || self.launch().then_some(()));
    }

    /// Starts it again, with nothing.
    pub(crate) fn restart_empty(&mut self) {
        self.kill();
        std::fs::remove_dir_all(&self.folder).expect("the folder is there");
        self.restart();
    }

    /// Copies what it has now, killed for the moment, for [`restart_with`](Self::restart_with).
    pub(crate) fn backup(&mut self) -> PathBuf {
        self.kill();
        let copy = scratch("nats-backup");
        copy_all(&self.folder, &copy);
        self.restart();
        copy
    }

    /// Starts it again with older data.
    pub(crate) fn restart_with(&mut self, backup: &Path) {
        self.kill();
        std::fs::remove_dir_all(&self.folder).expect("the folder is there");
        std::fs::create_dir_all(&self.folder).expect("the folder can be made");
        copy_all(backup, &self.folder);
        remove(backup);
        self.restart();
    }

    /// Publishes as a program does that is not ours. Each of the headers is a line.
    pub(crate) fn publish(&self, subject: &str, headers: &str, payload: &str) {
        let mut connection = TcpStream::connect(self.address()).expect("it listens");
        connection
            .set_read_timeout(Some(wait::LONG))
            .expect("a socket has timeouts");
        let head = format!("NATS/1.0\r\n{headers}\r\n");
        let (head, size) = (&head, head.len() + payload.len());
        let commands = format!(
            "CONNECT {{\"verbose\":false,\"headers\":true}}\r\nHPUB {subject} {} {size}\r\n{head}{payload}\r\nPING\r\n",
            head.len()
        );
        connection.write_all(commands.as_bytes()).expect("it reads");
        let mut answer = Vec::new();
        let mut piece = [0; 1024];
        while !answer.windows(6).any(|six| six == b"PONG\r\n") {
            let read = connection.read(&mut piece).expect("it answers");
            assert!(read > 0, "it hung up: {}", answer.escape_ascii());
            answer.extend_from_slice(&piece[..read]);
        }
    }

    /// How many connections it has, and how many subscriptions those have, by its own account.
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

    /// Publishes the numbers from zero on as events, without waiting for each, and waits until the server has them.
    pub(crate) fn flood(&self, subject: &str, count: usize) {
        let before = self.messages();
        let mut connection = TcpStream::connect(self.address()).expect("it listens");
        let mut commands = b"CONNECT {\"verbose\":false}\r\n".to_vec();
        for number in 0..count {
            let payload = format!("data: {number}\n\n");
            write!(commands, "PUB {subject} {}\r\n{payload}\r\n", payload.len()).expect("memory");
        }
        connection.write_all(&commands).expect("it reads");
        wait::until("the stream to have them", || {
            (self.messages() >= before + count as u64).then_some(())
        });
    }

    /// The consumers of its streams.
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

    /// How many bytes wait in it for its clients to read.
    pub(crate) fn pending(&self) -> u64 {
        let body = self.ask("/connz");
        let all = body["connections"].as_array().expect("a list");
        all.iter()
            .filter_map(|one| one["pending_bytes"].as_u64())
            .sum()
    }

    /// How many requests JetStream has answered.
    pub(crate) fn requests(&self) -> u64 {
        self.ask("/jsz")["api"]["total"].as_u64().expect("a number")
    }

    /// How many messages its streams hold.
    pub(crate) fn messages(&self) -> u64 {
        self.ask("/jsz")["messages"].as_u64().expect("a number")
    }

    fn ask(&self, path: &str) -> serde_json::Value {
        let mut connection = TcpStream::connect((&*self.host, self.monitor)).expect("it listens");
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        connection.write_all(request.as_bytes()).expect("it reads");
        let mut reply = String::new();
        connection.read_to_string(&mut reply).expect("it answers");
        let body = reply.split_once("\r\n\r\n").expect("a reply has a head").1;
        serde_json::from_str(body).expect("it is JSON")
    }

    /// Whether it has come up.
    fn launch(&mut self) -> bool {
        let config = self.config.as_ref();
        let config = config.map(|file| ["-c".as_ref(), file.as_os_str()]);
        // The file names the folder, if there is one.
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
            if child.try_wait().expect("a child can be asked").is_some() {
                return Some(false);
            }
            self.answers().then_some(true)
        });
        self.child = Some(child);
        is_up
    }

    /// Whether it takes clients, which it does once it has read its data.
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
        if entry.file_type().expect("it has one").is_dir() {
            std::fs::create_dir_all(&target).expect("the folder can be made");
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}

fn remove(folder: &Path) {
    // What is left over lies in the build folder, and harms nobody.
    let _ = std::fs::remove_dir_all(folder);
}
