//! The framework from outside: real sockets, real clients, the examples as processes, pages in a browser.

mod app;
mod background;
mod behind_nginx;
mod beside_axum;
mod browser;
mod clients;
mod disconnect;
mod examples;
mod http;
mod macros;
mod nested;
mod parity;
mod readme;
mod server;
mod shutdown;
mod streams;
mod support;
mod topics;
mod unread;
mod vanished;
