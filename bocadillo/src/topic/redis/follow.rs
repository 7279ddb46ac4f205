//! The topics that have subscribers on this node, and how far each has been read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use redis::Value;

use super::super::engine::Feed;
use super::super::notice::Reason;
use super::super::position::Position;
use super::stand::{Progress, Stand, Verdict};
use super::{Change, Shared, keys, reply};

#[derive(Debug, Default)]
pub(super) struct Followed {
    topics: HashMap<Arc<str>, Topic>,
    /// Those of which it is not known where they stand. Some may not be followed any more.
    unsettled: HashSet<Arc<str>>,
    /// The time up to which nothing of those that are settled was missed, as Redis counts it.
    in_step: u64,
}

#[derive(Debug)]
struct Topic {
    feed: Feed,
    /// How long its key lives after its last event.
    lifetime: Option<u64>,
    /// The epoch in which its feed has begun, once it has.
    epoch: Option<u64>,
    /// The last entry that was read, whoever wrote it; or where the topic stood when it had none.
    progress: Progress,
    /// Whether it is read, now.
    is_settled: bool,
}

/// What is to be done about a topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Done,
    /// Redis has lost events that it had confirmed: another epoch has to begin.
    Lost,
}

impl Followed {
    /// Takes over who has come and gone.
    pub(super) fn update(&mut self, shared: &Shared) {
        let changes = std::mem::take(&mut *shared.changes());
        for change in changes {
            match change {
                Change::Follow(feed) => {
                    let Some(history) = feed.history() else {
                        continue;
                    };
                    let name = Arc::clone(feed.topic());
                    let progress = Progress {
                        at: Position::default(),
                        was_event: false,
                        since: 0,
                    };
                    let lifetime = keys::lifetime(&history);
                    let topic = Topic {
                        feed,
                        lifetime,
                        epoch: None,
                        progress,
                        is_settled: false,
                    };
                    self.topics.insert(Arc::clone(&name), topic);
                    self.unsettled.insert(name);
                }
                Change::Unfollow(name, following) => {
                    if self
                        .topics
                        .get(&name)
                        .is_some_and(|topic| topic.feed.following() <= following)
                    {
                        self.topics.remove(&name);
                    }
                }
            }
        }
    }

    /// All have to be looked at again.
    pub(super) fn unsettle(&mut self) {
        for topic in self.topics.values_mut().filter(|topic| topic.is_settled) {
            topic.is_settled = false;
            topic.progress.since = topic.progress.since.max(self.in_step);
        }
        self.unsettled.extend(self.topics.keys().cloned());
    }

    /// Some that are to be looked at, each once, and behind which position each was read.
    pub(super) fn take_unsettled(&mut self, limit: usize) -> Vec<(Arc<str>, Option<Position>)> {
        let names: Vec<_> = self.unsettled.iter().take(limit).cloned().collect();
        let topics = names.into_iter().filter_map(|name| {
            self.unsettled.remove(&name);
            let topic = self.topics.get(&name).filter(|topic| !topic.is_settled)?;
            let at = topic.epoch.map(|_| topic.progress.at);
            Some((name, at))
        });
        topics.collect()
    }

    pub(super) fn has_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// Where a topic stands was asked.
    pub(super) fn settle(
        &mut self,
        name: &Arc<str>,
        stand: &Stand,
        epoch: u64,
        now: u64,
    ) -> Settled {
        let Some(topic) = self.topics.get_mut(name) else {
            return Settled::Done;
        };
        let progress = &mut topic.progress;
        let listens = match topic.epoch {
            None => {
                progress.at = stand.end(now);
                topic.feed.begin(epoch, progress.at)
            }
            Some(before) if before != epoch => {
                progress.at = stand.begin_anew(progress.at, now);
                topic.feed.restart(epoch, progress.at, Reason::Epoch)
            }
            Some(_) => match stand.judge(progress, topic.lifetime, now) {
                Verdict::Lost => {
                    self.unsettled.insert(Arc::clone(name));
                    return Settled::Lost;
                }
                Verdict::Evicted => {
                    progress.at = stand.end(now);
                    topic.feed.restart(epoch, progress.at, Reason::Evicted)
                }
                Verdict::Whole => true,
            },
        };
        // A place in a stream before its first event is one where there was none.
        progress.was_event = match *stand {
            Stand::Stream { first, last, .. } => {
                progress.at == last || first.is_some_and(|first| progress.at >= first)
            }
            Stand::Absent => progress.was_event && topic.epoch == Some(epoch),
        };
        progress.since = now;
        topic.epoch = Some(epoch);
        topic.is_settled = true;
        if !listens {
            self.topics.remove(name);
        }
        Settled::Done
    }

    /// A topic's key is none that can be read: it is left alone until everything is looked at again.
    pub(super) fn set_aside(&mut self, name: &Arc<str>, problem: &str) {
        tracing::warn!(
            topic = &**name,
            "another program has something else under the topic's key: {problem}"
        );
    }

    /// Those that are to be read, and behind which position.
    pub(super) fn settled(&self) -> impl Iterator<Item = (&str, Position)> {
        let settled = self.topics.iter().filter(|(_, topic)| topic.is_settled);
        settled.map(|(name, topic)| (&**name, topic.progress.at))
    }

    pub(super) fn is_all_settled(&self) -> bool {
        self.topics.values().all(|topic| topic.is_settled)
    }

    /// New entries of a topic. `None` where they have another shape than entries have.
    pub(super) fn feed(&mut self, name: &str, entries: Value) -> Option<()> {
        let entries = reply::entries(name, entries)?;
        // Somebody may have gone meanwhile.
        let Some(topic) = self.topics.get_mut(name) else {
            return Some(());
        };
        if let Some(last) = entries.last() {
            topic.progress.at = topic.progress.at.max(last.position);
            topic.progress.was_event = true;
        }
        let ours = entries
            .into_iter()
            .filter_map(|entry| Some((entry.position, entry.draft?)));
        if !topic.feed.append(ours) {
            self.topics.remove(name);
        }
        Some(())
    }

    /// Whatever was there at this time has been read.
    pub(super) fn set_in_step(&mut self, now: u64) {
        self.in_step = self.in_step.max(now);
    }
}
