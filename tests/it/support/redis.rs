//! Starts a `redis-server` for one test, on a free port. It keeps its data in a new folder.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::certificates::Certificates;
use super::{scratch, wait};

#[derive(Debug)]
pub(crate) struct Redis {
    port: u16,
    folder: PathBuf,
    /// Other settings, as arguments of its command line.
    arguments: Vec<String>,
    /// `None` while the server does not run.
    child: Option<Child>,
}

impl Redis {
    /// Starts a server, and waits until it answers. The server writes each change to disk before it confirms it.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// Starts a server that accepts TLS on a second port. Returns that port too.
    pub(crate) fn start_with_tls(certificates: &Certificates) -> (Self, u16) {
        let mut tls_port = 0;
        let redis = Self::start_with(|free| {
            tls_port = free;
            let file = |name| certificates.file(name).display().to_string();
            [
                ("--tls-port", free.to_string()),
                ("--tls-cert-file", file("server.pem")),
                ("--tls-key-file", file("server.key")),
                ("--tls-ca-cert-file", file("ca.pem")),
                ("--tls-auth-clients", "no".to_owned()),
            ]
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value])
            .collect()
        });
        (redis, tls_port)
    }

    /// `arguments` is called with a second free port.
    fn start_with(mut arguments: impl FnMut(u16) -> Vec<String>) -> Self {
        let mut redis = Self {
            port: 0,
            folder: scratch("redis"),
            arguments: Vec::new(),
            child: None,
        };
        // Another process may take the port before the server does.
        wait::until("a redis-server that answers", || {
            let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
            let [port, other] = free
                .each_ref()
                .map(|free| free.local_addr().expect("the listener is bound").port());
            drop(free);
            redis.port = port;
            redis.arguments = arguments(other);
            redis.launch().then_some(())
        });
        redis
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Returns the path of the Unix socket on which the server listens too.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("redis.sock")
    }

    /// Runs a command in the syntax of `redis-cli`. Returns the answer as Redis writes it.
    pub(crate) fn command(&self, command: &str) -> String {
        let mut connection = TcpStream::connect(self.address()).expect("redis-server listens");
        write!(connection, "{command}\r\nQUIT\r\n").expect("the server reads");
        let mut answer = String::new();
        connection
            .read_to_string(&mut answer)
            .expect("the answer is text");
        answer
            .strip_suffix("+OK\r\n")
            .expect("the server answers QUIT")
            .to_owned()
    }

    /// Returns the number of the field `name` in `INFO section`.
    pub(crate) fn statistic(&self, section: &str, name: &str) -> usize {
        let info = self.command(&format!("INFO {section}"));
        let Some((_, rest)) = info.split_once(name) else {
            return 0;
        };
        let digits = rest.find(|next: char| !next.is_ascii_digit());
        rest[..digits.unwrap_or(rest.len())]
            .parse()
            .expect("it is a number")
    }

    /// Records the commands that the server executes from now on.
    pub(crate) fn monitor(&self) -> Monitor {
        let mut connection = TcpStream::connect(self.address()).expect("redis-server listens");
        connection
            .write_all(b"MONITOR\r\n")
            .expect("the server reads");
        let mut answer = [0; 5];
        connection
            .read_exact(&mut answer)
            .expect("the server answers");
        assert_eq!(&answer, b"+OK\r\n");
        let seen = Arc::<Mutex<Vec<Vec<String>>>>::default();
        let adding = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in BufReader::new(connection).lines() {
                // The server has ended, and so the connection is closed.
                let Ok(line) = line else { return };
                // Commands that a script runs are not counted.
                let Some((_, command)) = line.split_once("] \"") else {
                    continue;
                };
                if !line.contains(" lua] ") {
                    let command = command.strip_suffix('"').unwrap_or(command);
                    let command = command.split("\" \"");
                    let command = command.map(str::to_owned).collect();
                    adding
                        .lock()
                        .expect("no thread panicked while it held the lock")
                        .push(command);
                }
            }
        });
        Monitor(seen)
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
        wait::until("redis-server to come back", || self.launch().then_some(()));
    }

    /// Starts the server again without its data.
    pub(crate) fn restart_empty(&mut self) {
        self.kill();
        self.restore(&[]);
        self.restart();
    }

    /// Returns the data on disk: the content of each file, by its path.
    pub(crate) fn backup(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files =
            std::fs::read_dir(self.append_only()).expect("the folder with the data can be read");
        let files = files.map(|file| file.expect("the folder can be read").path());
        files
            .map(|path| {
                (
                    path.clone(),
                    std::fs::read(path).expect("a file can be read"),
                )
            })
            .collect()
    }

    /// Replaces the data on disk. The server must not run.
    pub(crate) fn restore(&self, files: &[(PathBuf, Vec<u8>)]) {
        assert!(self.child.is_none(), "it is running");
        // The folder may not exist.
        let _ = std::fs::remove_dir_all(self.append_only());
        for (path, content) in files {
            std::fs::create_dir_all(self.append_only()).expect("the folder can be made");
            std::fs::write(path, content).expect("a file can be written");
        }
    }

    fn append_only(&self) -> PathBuf {
        self.folder.join("appendonlydir")
    }

    /// Starts the process. Returns whether the server answers.
    fn launch(&mut self) -> bool {
        let child = Command::new("redis-server")
            .args([
                "--port",
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
            ])
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            .arg("--dir")
            .arg(&self.folder)
            .arg("--unixsocket")
            .arg(self.socket())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!("redis-server does not start ({error}): `cargo xtask test` installs it")
        });
        let is_up = wait::until("redis-server to answer or to end", || {
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

    /// Whether the server accepts commands. It does so after it has loaded its data.
    fn answers(&self) -> bool {
        let Ok(mut connection) = TcpStream::connect(self.address()) else {
            return false;
        };
        let mut answer = [0; 5];
        connection.write_all(b"PING\r\n").is_ok()
            && connection.read_exact(&mut answer).is_ok()
            && &answer == b"+PONG"
    }
}

/// The commands that a server has executed.
#[derive(Debug)]
pub(crate) struct Monitor(Arc<Mutex<Vec<Vec<String>>>>);

impl Monitor {
    /// Returns all commands so far. Each is a list of words.
    pub(crate) fn commands(&self) -> Vec<Vec<String>> {
        self.0
            .lock()
            .expect("no thread panicked while it held the lock")
            .clone()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    // If this fails, the files stay in the build folder.
    let _ = std::fs::remove_dir_all(folder);
}
