//! What happens inside a server, told to the test outside of it.

use tokio::sync::mpsc;

use super::wait;

/// The server's end: part of an app's state.
#[derive(Clone, Debug)]
pub(crate) struct Watch(mpsc::UnboundedSender<String>);

/// The test's end.
#[derive(Debug)]
pub(crate) struct Reports(mpsc::UnboundedReceiver<String>);

pub(crate) fn watch() -> (Watch, Reports) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Watch(sender), Reports(receiver))
}

impl Watch {
    pub(crate) fn say(&self, what: impl Into<String>) {
        // A test that has seen enough no longer listens.
        let _ = self.0.send(what.into());
    }

    /// Says it when the guard is dropped.
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
            .expect("the server lives")
    }

    /// All that has been said so far and not been asked for.
    pub(crate) fn so_far(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}
