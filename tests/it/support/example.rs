//! An example as the process that `cargo run --example NAME` starts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::SystemTime;

use super::{Lines, target, wait};

#[derive(Debug)]
pub(crate) struct Example {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

impl Example {
    /// Starts an example on a free port and waits until it listens.
    #[track_caller]
    pub(crate) fn start(name: &str) -> Self {
        Self::start_with(name, 0, &[])
    }

    /// Starts an example on the port that an earlier example had.
    #[track_caller]
    pub(crate) fn start_on(name: &str, port: u16) -> Self {
        Self::start_with(name, port, &[])
    }

    #[track_caller]
    pub(crate) fn start_with(name: &str, port: u16, arguments: &[&str]) -> Self {
        let mut child = Command::new(program(name))
            .args(arguments)
            .env("HOST", "127.0.0.1")
            .env("PORT", port.to_string())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let stdout = Lines::read(child.stdout.take().expect("the output is piped"));
        let stderr = Lines::read(child.stderr.take().expect("the output is piped"));
        let first = wait::until("the address on standard error", || {
            let ended = child
                .try_wait()
                .expect("the state of the child can be read");
            assert!(
                ended.is_none(),
                "{name} ended at once: {:?}",
                stderr.so_far()
            );
            stderr.so_far().into_iter().next()
        });
        let address =
            address(&first).unwrap_or_else(|| panic!("no address in the first line: {first:?}"));
        Self {
            child,
            address,
            stdout,
            stderr,
        }
    }

    /// Returns what an example prints if it refuses its arguments. The example has to exit with an error.
    #[track_caller]
    pub(crate) fn refuses(name: &str, arguments: &[&str]) -> String {
        let mut child = Command::new(program(name))
            .args(arguments)
            .env("HOST", "127.0.0.1")
            .env("PORT", "0")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let stderr = Lines::read(child.stderr.take().expect("the output is piped"));
        let status = wait::until(&format!("the end of {name}, with {arguments:?}"), || {
            child
                .try_wait()
                .expect("the state of the child can be read")
        });
        assert!(!status.success(), "{name} takes {arguments:?}");
        wait::until("the reason", || (!stderr.so_far().is_empty()).then_some(()));
        stderr.so_far().join("\n")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Kills the process with SIGKILL, and waits until its port is free.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Waits until the process has ended by itself.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait::until("the example's end", || {
            self.child
                .try_wait()
                .expect("the state of the child can be read")
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn end(&mut self) {
        // This fails if the process has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns the address after `http://` in a line of the log.
fn address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://")?;
    let end = rest
        .find(|c: char| c.is_whitespace() || c == '/')
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Returns the path of the built example. `cargo test` builds all examples before it runs a test. `cargo test --test
/// it` does not build them.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("a test lies in deps/ of its profile's folder");
    let program = profile.join("examples").join(name);
    assert!(
        is_fresh(&program),
        "the example `{name}` is not built, or older than its source (looked in {}): \
         `cargo build --examples` builds it, as a plain `cargo test` does",
        target().display(),
    );
    program
}

/// Whether the program is newer than all of its sources. Cargo lists the sources in a file beside the program.
fn is_fresh(program: &Path) -> bool {
    let Some(built) = modified(program) else {
        return false;
    };
    let Ok(sources) = std::fs::read_to_string(program.with_extension("d")) else {
        return false;
    };
    let sources = sources.split_once(": ").map_or("", |(_, sources)| sources);
    sources
        .split_whitespace()
        .all(|source| modified(Path::new(source)).is_none_or(|time| time <= built))
}

fn modified(file: &Path) -> Option<SystemTime> {
    file.metadata().ok()?.modified().ok()
}
