//! Tests of pages in a real Chromium.

mod chat;
mod contract;
mod driver;
mod harness;
mod names;

pub(crate) use driver::{Browser, Painted};
