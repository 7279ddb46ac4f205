//! Code that several tests use.

mod certificates;
mod example;
pub(crate) mod http;
mod lines;
mod log;
pub(crate) mod memory;
mod nats;
mod nginx;
mod redis;
mod server;
pub(crate) mod wait;
mod watch;

pub(crate) use certificates::Certificates;
pub(crate) use example::Example;
pub(crate) use lines::Lines;
pub(crate) use log::Log;
pub(crate) use nats::Nats;
pub(crate) use nginx::Nginx;
pub(crate) use redis::{Monitor, Redis};
pub(crate) use server::{IntoServer, Server};
pub(crate) use watch::{Reports, Watch, watch};

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Returns the build folder of cargo.
pub(crate) fn target() -> PathBuf {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    scratch
        .parent()
        .expect("the folder for tests is in the build folder")
        .to_owned()
}

/// Makes a new folder in the folder that cargo has for the files of tests.
pub(crate) fn scratch(name: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = format!("{name}-{}-{count}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    std::fs::create_dir_all(&folder).expect("the build folder can be written");
    folder
}

/// Whether the load tests run at full size, as in `cargo xtask soak`. They then take minutes.
pub(crate) fn is_soak() -> bool {
    std::env::var_os("BOCADILLO_SOAK").is_some()
}
