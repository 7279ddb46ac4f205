//! Servers with and without signal handlers. The server runs in a child process: the test starts itself again.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use bocadillo::{App, EventStream, Server, Streams, route, routes, shutdown_signal};

use crate::support::{Lines, wait};

/// Set in the child process. Its value says how the child serves.
const CHILD: &str = "BOCADILLO_TEST_SIGNALS";

const SIGTERM: i32 = 15;
const SIGINT: i32 = 2;

#[route("/feed")]
async fn feed() -> EventStream {
    EventStream::new(futures_util::stream::pending::<String>())
}

struct Running(Child, Lines);

impl Running {
    fn start(test: &str, how: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("a program has a path"))
            .args([
                "--exact",
                &format!("server::signals::{test}"),
                "--nocapture",
            ])
            .env(CHILD, how)
            .env_remove("HOST")
            .env_remove("PORT")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program exists");
        let lines = Lines::read(child.stderr.take().expect("the output is piped"));
        lines.wait_for("ready");
        Self(child, lines)
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.0.id().to_string()])
            .status();
        assert!(sent.expect("`kill` is installed").success());
    }

    #[track_caller]
    fn end(&mut self) -> ExitStatus {
        wait::until("the end of the process", || {
            self.0
                .try_wait()
                .expect("the process is a child of the test")
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // This fails if the process has already exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves in the child process. A background task reports when the server runs.
fn serve(how: &str) {
    let server = Server::new(App::new().routes(routes![feed]))
        .bind("127.0.0.1:0")
        .background(async { eprintln!("ready") });
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime
        .block_on(async {
            match how {
                "serve" => server.serve().await,
                "signals" => server.signals().serve().await,
                "until and signals" => server.signals().serve_until(std::future::pending()).await,
                "with a job that does not end" => {
                    let streams = Streams::new();
                    let _job = streams.spawn(std::future::pending::<()>());
                    let server = server
                        .streams(streams.clone())
                        .shutdown_timeout(Duration::from_secs(600))
                        .background(async move {
                            streams.draining().await;
                            eprintln!("draining");
                        });
                    server.signals().serve().await
                }
                "shutdown_signal" => server.serve_until(shutdown_signal()).await,
                other => panic!("{other} is not known"),
            }
        })
        .expect("it ends in order");
    eprintln!("in order");
}

#[test]
fn without_signal_handlers_a_signal_kills_the_process() {
    const TEST: &str = "without_signal_handlers_a_signal_kills_the_process";
    if let Ok(how) = std::env::var(CHILD) {
        return serve(&how);
    }
    for (name, number) in [("-TERM", SIGTERM), ("-INT", SIGINT)] {
        let mut running = Running::start(TEST, "serve");
        running.signal(name);
        assert_eq!(running.end().signal(), Some(number));
    }
}

#[test]
fn with_signal_handlers_a_signal_shuts_the_server_down_in_order() {
    const TEST: &str = "with_signal_handlers_a_signal_shuts_the_server_down_in_order";
    if let Ok(how) = std::env::var(CHILD) {
        return serve(&how);
    }
    for how in ["signals", "until and signals", "shutdown_signal"] {
        for name in ["-TERM", "-INT"] {
            let mut running = Running::start(TEST, how);
            // The future that waits for the signal is polled after the task has run.
            running.signal_until_it_ends(name);
            assert_eq!(running.end().code(), Some(0), "{how} {name}");
            running.1.wait_for("in order");
        }
    }
}

#[test]
fn a_second_signal_ends_the_wait_of_the_shutdown() {
    const TEST: &str = "a_second_signal_ends_the_wait_of_the_shutdown";
    if let Ok(how) = std::env::var(CHILD) {
        return serve(&how);
    }
    for (first, second) in [("-TERM", "-TERM"), ("-INT", "-INT"), ("-TERM", "-INT")] {
        let mut running = Running::start(TEST, "with a job that does not end");
        running.signal_until_it_ends(first);
        running.1.wait_for("draining");
        running.signal(second);
        assert_eq!(running.end().code(), Some(0), "{first} {second}");
        running.1.wait_for("in order");
    }
}

impl Running {
    /// The signal arrives when the server listens to signals. Otherwise it would kill the process.
    fn signal_until_it_ends(&self, name: &str) {
        let caught = format!("/proc/{}/status", self.0.id());
        wait::until("the process to listen to the signal", || {
            let status = std::fs::read_to_string(&caught).ok()?;
            let line = status.lines().find(|line| line.starts_with("SigCgt:"))?;
            let mask = line.split_whitespace().nth(1)?;
            let mask = u64::from_str_radix(mask, 16).ok()?;
            let both = 1 << (SIGTERM - 1) | 1 << (SIGINT - 1);
            (mask & both == both).then_some(())
        });
        self.signal(name);
    }
}
