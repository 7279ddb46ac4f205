//! The framework from outside: real sockets, real clients, the examples as processes, pages in a browser.

mod browser;
mod disconnect;
mod http;
mod shutdown;
mod support;
