//! The seam between what all hubs share and what a broker does. The memory hub needs no broker: see `memory.rs`.
//!
//! A broker keeps each topic's history and gives events their positions. On each node one reader for the whole hub follows the
//! topics that have subscribers there, and feeds their rings; all the rest (ids, replay joined to live, slow clients,
//! several topics in one stream) happens above this seam, on the rings.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use super::channel::{Channel, State};
use super::encoded::{Draft, Encoded};
use super::history::History;
use super::notice::Reason;
use super::options::TopicOptions;
use super::position::Position;
use super::waiting::Wakes;
use crate::error::Result;

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a broker does for a hub. None of these may block, and none is called with a lock held.
pub(crate) trait Broker: fmt::Debug + Send + Sync + 'static {
    /// The first subscriber on this node has come: find out where the topic stands, say so by [`Feed::begin`], then feed all that
    /// comes later, in order. Goes on over reconnects until [`unfollow`](Self::unfollow).
    ///
    /// Until the feed has begun, publishers on this node wait for it. A broker that is known to be away calls
    /// [`Feed::interrupt`] at once; so it does when the follow is refused, or when the connection is lost before the answer.
    fn follow(&self, feed: Feed);

    /// Somebody waits, on a runtime, for a feed to begin. `follow` may have been called where there was no runtime to start the
    /// broker's task on.
    fn start(&self) {}

    /// The last subscriber on this node has gone. Only the feed with this [`Feed::following`] or an earlier one is meant: the next may have been
    /// handed over already.
    fn unfollow(&self, topic: &Arc<str>, following: u64);

    /// Hands events to the broker, all or none, in order, and resolves once it has them. What the broker has not
    /// confirmed is an error.
    fn publish(
        &self,
        topic: &Arc<str>,
        options: &Arc<TopicOptions>,
        drafts: Vec<Draft>,
    ) -> BoxFuture<Result<Published>>;

    /// Reads from the broker's history: events after a position (`None`: from the start), oldest first, at least one where there is one,
    /// and about `limit` bytes. While the broker is away it waits: a stream stays open.
    fn replay(
        &self,
        topic: &Arc<str>,
        options: &Arc<TopicOptions>,
        after: Option<Position>,
        limit: usize,
    ) -> BoxFuture<Replay>;
}

/// Where the broker has put events.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) epoch: u64,
    pub(crate) positions: Vec<Position>,
}

#[derive(Debug)]
pub(crate) enum Replay {
    /// None at all: there are no later ones yet.
    Events(Vec<(Position, Draft)>),
    /// Some event after the position is not kept any more.
    Evicted,
    /// The position is later than all that the broker has.
    Unknown,
}

/// How a broker fills the ring of a topic, for as long as it has subscribers on this node.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    topic: Arc<str>,
    channel: Weak<Channel>,
    following: u64,
}

impl Feed {
    pub(super) fn new(channel: &Arc<Channel>, following: u64) -> Self {
        Self {
            topic: Arc::clone(channel.name()),
            channel: Arc::downgrade(channel),
            following,
        }
    }

    pub(crate) fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    pub(crate) fn following(&self) -> u64 {
        self.following
    }

    /// How much of the topic is kept. `None` when nobody listens any more.
    pub(crate) fn history(&self) -> Option<History> {
        self.with(|channel, _| channel.options().history)
    }

    /// Where the topic stands: the broker's epoch, and the newest event that it has or ever had. What comes after it is fed. Once, before
    /// anything else; `false` when nobody listens any more.
    pub(crate) fn begin(&self, epoch: u64, last: Position) -> bool {
        let begun = self.with(|_, state| {
            state.ring.begin(last);
            state.set_epoch(epoch, &self.topic);
            state.waiting.take()
        });
        self.wake(begun)
    }

    /// The follow was refused, or the connection was lost before it was answered, or could not be made. The broker tries on, and
    /// calls [`begin`](Self::begin) when it succeeds.
    ///
    /// Publishers no longer wait for this feed, so events may pass unseen: a subscriber that came without a cursor gets one
    /// `reset` when the feed begins. After `begin` it has no effect. `false` when nobody listens any more.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "called by the features that bring a broker")
    )]
    pub(crate) fn interrupt(&self) -> bool {
        let interrupted = self.with(|_, state| {
            state.interrupted |= state.tag.is_none();
            Wakes::default()
        });
        self.wake(interrupted)
    }

    /// The newest event that was fed: after a lost connection, go on behind it. `None` when nobody listens any more.
    pub(crate) fn last(&self) -> Option<Position> {
        self.with(|_, state| state.ring.last())
    }

    /// Feeds events, oldest first. Those that were fed already are passed over. `false` when nobody listens any more.
    pub(crate) fn append(&self, events: impl IntoIterator<Item = (Position, Draft)>) -> bool {
        let Some(Some((tag, mut last))) =
            self.with(|_, state| Some((state.tag?, state.ring.last())))
        else {
            return false;
        };
        let mut sealed: Vec<Encoded> = Vec::new();
        for (position, draft) in events {
            if position > last {
                last = position;
                sealed.push(draft.seal(tag, position));
            }
        }
        let appended = self.with(|channel, state| channel.append_to(state, sealed));
        appended.map(Wakes::wake).is_some()
    }

    /// The broker has lost what it had (a new epoch), or events that were never fed (`Reason::Evicted`): every subscriber gets one
    /// `reset`, and goes on with what is fed after `last`. `false` when nobody listens any more.
    pub(crate) fn restart(&self, epoch: u64, last: Position, reason: Reason) -> bool {
        let restarted = self.with(|_, state| {
            state.set_epoch(epoch, &self.topic);
            state.restart(last, reason)
        });
        self.wake(restarted)
    }

    /// Wakes subscribers, and publishers that wait for the feed.
    fn wake(&self, wakes: Option<Wakes>) -> bool {
        let Some(wakes) = wakes else {
            return false;
        };
        wakes.wake();
        if let Some(channel) = self.channel.upgrade() {
            channel.publishers.notify_waiters();
        }
        true
    }

    /// `None` when this feed is not the topic's any more.
    fn with<T>(&self, action: impl FnOnce(&Channel, &mut State) -> T) -> Option<T> {
        let channel = self.channel.upgrade()?;
        let mut state = channel.lock();
        (state.following == self.following).then(|| action(&channel, &mut state))
    }
}
