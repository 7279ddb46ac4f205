//! The log of a program that has no subscriber of its own.

use std::env;
use std::io;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Sends the log to standard error, unless the program has installed a subscriber.
pub(crate) fn install() {
    let asked = env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let (filter, refused) = match asked.as_deref().map(str::parse::<Targets>) {
        None => (Targets::new().with_default(LevelFilter::INFO), None),
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (Targets::new().with_default(LevelFilter::INFO), Some(error)),
    };
    let lines = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
    let installed = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init();
    if let (Ok(()), Some(error)) = (installed, refused) {
        tracing::warn!(%error, "RUST_LOG cannot be read; logging at the level info");
    }
}
