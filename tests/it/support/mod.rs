//! What tests share.

mod example;
pub(crate) mod http;
mod lines;
mod server;
pub(crate) mod wait;
mod watch;

pub(crate) use example::Example;
pub(crate) use lines::Lines;
pub(crate) use server::Server;
pub(crate) use watch::{Watch, watch};

use std::path::{Path, PathBuf};

/// The folder that cargo builds into.
pub(crate) fn target() -> PathBuf {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    scratch
        .parent()
        .expect("cargo's scratch folder lies in its build folder")
        .to_owned()
}
