//! The behaviour of the original framework. It is the same here, except where the original was wrong.

mod app;
mod event_stream;
mod server_event;
mod upstream;
