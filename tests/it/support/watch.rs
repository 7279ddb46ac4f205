//! Reports from code inside a server to the test outside of it.

use tokio::sync::mpsc;

use super::wait;

/// Sends reports. It is part of the state of an app.
#[derive(Clone, Debug)]
pub(crate) struct Watch(mpsc::UnboundedSender<String>);

/// Receives the reports in the test.
#[derive(Debug)]
pub(crate) struct Reports(mpsc::UnboundedReceiver<String>);

pub(crate) fn watch() -> (Watch, Reports) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Watch(sender), Reports(receiver))
}

impl Watch {
    pub(crate) fn say(&self, what: impl Into<String>) {
        // The test may have dropped the receiver.
        let _ = self.0.send(what.into());
    }

    /// Sends a report when the guard is dropped.
    pub(crate) fn guard(&self, what: &'static str) -> Guard {
        Guard(self.clone(), what)
    }
}

#[derive(Debug)]
#[must_use]
pub(crate) struct Guard(Watch, &'static str);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.say(self.1);
    }
}

impl Reports {
    pub(crate) async fn next(&mut self) -> String {
        wait::within("a report from the server", self.0.recv())
            .await
            .expect("the server runs")
    }

    /// Returns all reports that have arrived and have not been read.
    pub(crate) fn so_far(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}
