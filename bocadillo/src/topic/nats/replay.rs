//! Replays of the history, in the epoch of the topic's feed.

use std::sync::Arc;

use tokio::sync::watch;

use super::connection::{self, AGAIN, Connection, State};
use super::read::{ReadRequest, read};
use super::subjects::Subjects;
use crate::topic::broker::Replay;
use crate::topic::position::Position;
use crate::topic::remote;

/// Reads from the history in the epoch of the topic's feed. `None` if the topic is no longer followed.
pub(super) async fn replay(
    connection: Arc<Connection>,
    subjects: Subjects,
    mut epoch: watch::Receiver<Option<u64>>,
    kept: u64,
    after: Option<Position>,
    limit: usize,
) -> Option<Replay> {
    let request = ReadRequest {
        after,
        limit,
        kept,
        is_long: false,
    };
    let mut states = connection.states();
    loop {
        let session = remote::up(&mut states).await?;
        // In a new epoch the feed restarts the ring, and this replay ends.
        if *epoch.borrow_and_update() != Some(session.epoch) {
            tokio::select! {
                changed = epoch.changed() => changed.ok()?,
                () = connection::over(&mut states, &session) => {}
            }
            continue;
        }
        match read(&connection, &session, &subjects, request).await {
            Ok(replay) if matches!(&*states.borrow(), State::Up(now) if now.epoch == session.epoch) =>
            {
                return Some(replay);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "a history cannot be read yet");
                let _ = tokio::time::timeout(AGAIN, connection::over(&mut states, &session)).await;
            }
        }
    }
}
