//! What a broker does for a hub. `memory`, `redis` and `nats` are the brokers.
//!
//! A broker gives events their positions, and keeps the history of each topic. On each node the topics that have subscribers
//! have a ring of events, which the broker fills by a [`TopicFeed`]. Ids, replays, slow clients and streams of several topics
//! work on the rings, the same for all brokers.
//!
//! The memory broker's history is the rings. It needs neither follow nor replay.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use super::channel::Channel;
use super::encoded::EventWithoutId;
use super::notice::Reason;
use super::position::Position;
use crate::error::Result;

mod feed;
mod publish;

pub(crate) use feed::TopicFeed;
pub(super) use publish::publish;

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A broker. None of its functions may block.
pub(crate) trait Broker: fmt::Debug + Send + Sync + 'static {
    /// A topic is used on this node for the first time. Called with the hub's topics locked.
    fn open(&self, _feed: &TopicFeed) {}

    /// A topic was removed from this node; its last event was at `last`. Called with the hub's topics locked.
    fn close(&self, _last: Position) {}

    /// Whether the rings are the history. Then `follow`, `unfollow` and `replay` have nothing to do.
    fn ring_is_history(&self) -> bool {
        false
    }

    /// The first subscriber on this node has come. The broker finds out the position of the topic's last event, calls
    /// [`TopicFeed::begin`], then appends all later events in order. It continues after a lost connection, until
    /// [`unfollow`](Self::unfollow).
    ///
    /// Until the feed has begun, publishers on this node wait for it. The broker calls [`TopicFeed::interrupt`] at once
    /// if it knows that it cannot be reached, if the follow is refused, or if the connection is lost before the answer.
    fn follow(&self, _feed: TopicFeed) {}

    /// A task on a runtime waits for a feed to begin. `follow` may have been called outside of a runtime, where the broker
    /// could not start its task.
    fn start(&self) {}

    /// The last subscriber on this node has gone. It ends the feed with this [`TopicFeed::follow_number`] and earlier
    /// ones. A later feed of the topic may have started already.
    fn unfollow(&self, _topic: &Arc<str>, _follow_number: u64) {}

    /// Publishes events, all or none, in order. Returns when the broker has confirmed them.
    fn publish(
        &self,
        topic: &Arc<Channel>,
        events: Vec<EventWithoutId>,
    ) -> BoxFuture<Result<Published>>;

    /// Reads events after a position from the history, oldest first: at least one if there is one, and about `limit` bytes.
    /// `None` is the start of the history. Waits while the broker is away, because streams stay open. The default is for a
    /// broker whose rings are the history.
    ///
    /// # Errors
    ///
    /// [`Reason::Evicted`] if an event after the position is no longer kept. [`Reason::Epoch`] if the position is later than
    /// all events of the broker.
    fn replay(
        &self,
        _topic: &Arc<Channel>,
        _after: Option<Position>,
        _limit: usize,
    ) -> BoxFuture<Replay> {
        Box::pin(std::future::ready(Err(Reason::Evicted)))
    }
}

/// The positions that the broker gave to the published events.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) epoch: u64,
    pub(crate) positions: Vec<Position>,
}

/// The events of a replay. Empty if there are no later ones yet.
pub(crate) type Replay = std::result::Result<Vec<(Position, EventWithoutId)>, Reason>;
