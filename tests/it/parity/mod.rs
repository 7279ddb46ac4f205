//! What the original framework does, row by row: the same here where it was right, and not so where it was wrong.

mod app;
mod event_stream;
mod server_event;
mod upstream;
