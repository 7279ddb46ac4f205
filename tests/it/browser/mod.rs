//! Pages in a real Chromium.

mod chat;
mod driver;
mod harness;

pub(crate) use driver::{Browser, Painted};
