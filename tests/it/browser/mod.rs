//! Pages in a real Chromium.

mod driver;
mod harness;

pub(crate) use driver::{Browser, Painted};
