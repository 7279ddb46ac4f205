//! Tests the library from outside, with real sockets, real clients, examples as processes, and pages in a browser.

mod app;
mod beside_axum;
mod browser;
mod clients;
mod disconnect;
mod examples;
mod http;
mod macros;
mod parity;
mod readme;
mod server;
mod streams;
mod support;
mod topics;
