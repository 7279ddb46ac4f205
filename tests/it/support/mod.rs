//! What tests share.

mod example;
mod lines;
pub(crate) mod wait;

pub(crate) use example::Example;
pub(crate) use lines::Lines;

use std::path::{Path, PathBuf};

/// The folder that cargo builds into.
pub(crate) fn target() -> PathBuf {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    scratch
        .parent()
        .expect("cargo's scratch folder lies in its build folder")
        .to_owned()
}
