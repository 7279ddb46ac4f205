//! The lines that a child process writes. They are read at once, so that the pipe does not fill up.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::wait;

#[derive(Clone, Debug)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub(crate) fn read(from: impl Read + Send + 'static) -> Self {
        let lines = Self(Arc::default());
        let writer = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                writer
                    .0
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
            }
        });
        lines
    }

    pub(crate) fn so_far(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for a line that contains this text. It blocks the thread, so the connections of an async test make no
    /// progress.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        wait::until(&format!("a line with {text:?}"), || self.find(text))
    }

    /// The same as [`wait_for`](Self::wait_for), for async tests.
    pub(crate) async fn line(&self, text: &str) -> String {
        let found = async {
            loop {
                if let Some(line) = self.find(text) {
                    return line;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        wait::within(&format!("a line with {text:?}"), found).await
    }

    fn find(&self, text: &str) -> Option<String> {
        self.so_far().into_iter().find(|line| line.contains(text))
    }
}
