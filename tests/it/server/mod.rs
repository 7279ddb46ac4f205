//! `Server`: what it serves, where it listens, and how it shuts down.

mod addresses;
mod background;
mod behind_nginx;
mod bodies;
mod limits;
mod places;
mod services;
mod shutdown;
mod signals;
mod timeouts;
mod unread;
mod vanished;
