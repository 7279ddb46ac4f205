//! `Server`: what it serves, where it listens, and how it shuts down.

mod addresses;
mod services;
mod signals;
