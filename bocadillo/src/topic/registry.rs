//! The topics of a hub, from their first use to the end of their history.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::broker::{Broker, TopicFeed};
use super::channel::Channel;
use super::notice::Names;
use super::options::{TopicOptions, fits};

pub(super) struct Inner {
    pub(super) broker: Arc<dyn Broker>,
    pub(super) names: Names,
    pub(super) defaults: Arc<TopicOptions>,
    pub(super) overrides: Vec<(String, Arc<TopicOptions>)>,
    pub(super) channels: RwLock<HashMap<Arc<str>, Arc<Channel>>>,
    /// Whether the task runs that removes events that are too old.
    pub(super) is_sweeping: AtomicBool,
    pub(super) sweep_every: Option<Duration>,
}

impl Inner {
    pub(super) fn all(&self) -> Vec<Arc<Channel>> {
        self.channels
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    fn options(&self, name: &str) -> Arc<TopicOptions> {
        let special = self
            .overrides
            .iter()
            .find(|(pattern, _)| fits(pattern, name));
        Arc::clone(special.map_or(&self.defaults, |(_, options)| options))
    }

    fn channel(&self, name: &str) -> Arc<Channel> {
        let take = |channel: &Arc<Channel>| {
            channel.refs.fetch_add(1, Ordering::Relaxed);
            Arc::clone(channel)
        };
        if let Some(channel) = self
            .channels
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
        {
            return take(channel);
        }
        let mut channels = self
            .channels
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(name) {
            return take(channel);
        }
        let name: Arc<str> = name.into();
        let channel = Arc::new(Channel::new(Arc::clone(&name), self.options(&name)));
        self.broker.open(&TopicFeed::new(&channel, 0));
        channels.insert(name, Arc::clone(&channel));
        take(&channel)
    }

    /// Removes a topic that has no handle, no subscriber and no history.
    fn reap(&self, name: &str) {
        let mut channels = self
            .channels
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(channel) = channels.get(name) else {
            return;
        };
        if channel.refs.load(Ordering::Acquire) > 0 || !channel.is_idle() {
            return;
        }
        let last = channel.lock().ring.last();
        self.broker.close(last);
        channels.remove(name);
        if channels.len() < channels.capacity() / 8 {
            channels.shrink_to_fit();
        }
    }

    /// For tests that call `sweep` themselves.
    #[cfg(test)]
    pub(super) fn stop_sweeper(&self) {
        self.is_sweeping.store(true, Ordering::Release);
    }

    /// Starts the task that removes events that are too old, if it does not run.
    pub(super) fn keep_swept(self: &Arc<Self>) {
        let Some(every) = self.sweep_every else {
            return;
        };
        if self.is_sweeping.load(Ordering::Relaxed) || self.is_sweeping.swap(true, Ordering::AcqRel)
        {
            return;
        }
        let sweeper = Sweeper(Arc::downgrade(self));
        // Without a runtime, old events are removed only by a publish or a subscription.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(hub) = sweeper.0.upgrade() else {
                    return;
                };
                hub.sweep();
            }
        });
    }

    pub(super) fn sweep(&self) {
        let now = Instant::now();
        for channel in self.all() {
            let mut state = channel.lock();
            channel.trim(&mut state, now);
            drop(state);
            if channel.refs.load(Ordering::Acquire) == 0 && channel.is_idle() {
                self.reap(channel.name());
            }
        }
    }
}

/// When the task ends, even by the shutdown of its runtime, it can be started again.
struct Sweeper(Weak<Inner>);

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(hub) = self.0.upgrade() {
            hub.is_sweeping.store(false, Ordering::Release);
        }
    }
}

/// A counted reference to a topic. A topic with a reference is not removed.
pub(super) struct TopicRef {
    hub: Arc<Inner>,
    channel: Arc<Channel>,
}

impl TopicRef {
    pub(super) fn new(hub: &Arc<Inner>, name: &str) -> Self {
        Self {
            hub: Arc::clone(hub),
            channel: hub.channel(name),
        }
    }

    pub(super) fn hub(&self) -> &Arc<Inner> {
        &self.hub
    }

    pub(super) fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    pub(super) fn broker(&self) -> &Arc<dyn Broker> {
        &self.hub.broker
    }
}

impl Clone for TopicRef {
    fn clone(&self) -> Self {
        self.channel.refs.fetch_add(1, Ordering::Relaxed);
        Self {
            hub: Arc::clone(&self.hub),
            channel: Arc::clone(&self.channel),
        }
    }
}

impl Deref for TopicRef {
    type Target = Channel;

    fn deref(&self) -> &Channel {
        &self.channel
    }
}

impl Drop for TopicRef {
    fn drop(&mut self) {
        if self.channel.refs.fetch_sub(1, Ordering::AcqRel) == 1 && self.channel.is_idle() {
            self.hub.reap(self.channel.name());
        }
    }
}

impl fmt::Debug for TopicRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.channel, f)
    }
}
