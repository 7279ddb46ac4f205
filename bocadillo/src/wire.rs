//! Bytes and nothing else.

mod encode;

pub use encode::encode;
