//! Pages in a real Chromium.

mod chat;
mod contract;
mod driver;
mod harness;

pub(crate) use driver::{Browser, Painted};
