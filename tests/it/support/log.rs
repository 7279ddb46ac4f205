//! Collects what the tested code logs on the thread of the test.

use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;

/// A subscriber that enables all lines and writes none. tracing remembers whether a line is enabled. Without this
/// subscriber, a line that another thread logs first could be disabled for the log of this thread too.
static INTERESTED: LazyLock<Dispatch> = LazyLock::new(|| {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(std::io::sink)
        .finish();
    Dispatch::new(subscriber)
});

/// Collects the log of this thread until it is dropped. If the runtime of a test has one thread, this is the whole log.
pub(crate) struct Log {
    text: Text,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Collects warnings and errors.
    pub(crate) fn start() -> Self {
        Self::at(tracing::Level::WARN)
    }

    pub(crate) fn at(level: tracing::Level) -> Self {
        LazyLock::force(&INTERESTED);
        tracing::callsite::rebuild_interest_cache();
        let text = Text::default();
        let writer = text.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        Self {
            text,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Returns the lines that contain this text.
    pub(crate) fn lines(&self, part: &str) -> Vec<String> {
        let text = self.text.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter(|line| line.contains(part));
        lines.map(str::to_owned).collect()
    }
}

impl Write for Text {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
