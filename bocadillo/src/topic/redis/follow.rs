//! The topics that have subscribers on this node, and how far each was read.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::time::Instant;

use super::super::broker::TopicFeed;
use super::super::history::History;
use super::super::notice::Reason;
use super::super::position::Position;
use super::chain::{Verdict, judge, walk};
use super::reply::{Entry, TopicStatus};
use super::{Change, Shared, reply};

/// The pause before a refused topic is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The maximum number of refused topics that are tried again at once.
const RETRIES: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Followed {
    topics: HashMap<Arc<str>, Topic>,
    /// The topics whose status has to be requested. Some may no longer be followed.
    status_requests: HashSet<Arc<str>>,
    /// The topics that have to be read page by page, in turns. Some may no longer be followed.
    behind: VecDeque<Arc<str>>,
    /// The refused topics and the time of their next try, the earliest first. Some may no longer be followed.
    refused: VecDeque<(Instant, Arc<str>)>,
}

#[derive(Debug)]
struct Topic {
    feed: TopicFeed,
    /// The epoch of the feed. `None` before the feed has begun.
    epoch: Option<u64>,
    /// The last entry that was read, also of other programs.
    last_entry: Position,
    /// The last event that was read. The next event has to name it.
    last_event: Position,
    stage: Stage,
    /// The last reason for a refusal, so that each reason is logged once.
    refusal: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    NeedsStatus,
    /// Earlier entries are read page by page.
    Behind,
    /// The task waits for new entries.
    Live,
    Refused,
}

/// A topic in a request for the status: its name, and the last event and the last entry that were read.
pub(super) type StatusRequest = (Arc<str>, Option<(Position, Position)>);

/// The result of an update of a topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Updated {
    Done,
    /// Redis has lost events that it had confirmed, so a new epoch has to begin.
    EventsLost,
}

impl Followed {
    /// Takes the topics that were followed and unfollowed in the meantime.
    pub(super) fn update(&mut self, shared: &Shared) {
        let changes = std::mem::take(&mut *shared.changes());
        for change in changes {
            match change {
                Change::Follow(feed) => {
                    let name = Arc::clone(feed.topic());
                    let topic = Topic {
                        feed,
                        epoch: None,
                        last_entry: Position::default(),
                        last_event: Position::default(),
                        stage: Stage::NeedsStatus,
                        refusal: None,
                    };
                    self.topics.insert(Arc::clone(&name), topic);
                    self.status_requests.insert(name);
                }
                Change::Unfollow(name, following) => {
                    if self
                        .topics
                        .get(&name)
                        .is_some_and(|topic| topic.feed.follow_number() <= following)
                    {
                        self.topics.remove(&name);
                    }
                }
            }
        }
    }

    /// The status of all topics has to be requested again.
    pub(super) fn request_all_statuses(&mut self) {
        for topic in self.topics.values_mut() {
            topic.stage = Stage::NeedsStatus;
        }
        self.behind.clear();
        self.refused.clear();
        self.status_requests.extend(self.topics.keys().cloned());
    }

    /// The status of live topics has to be requested again, because events may have been lost.
    pub(super) fn verify(&mut self) {
        for (name, topic) in &mut self.topics {
            if topic.stage == Stage::Live {
                topic.stage = Stage::NeedsStatus;
                self.status_requests.insert(Arc::clone(name));
            }
        }
    }

    /// The status of refused topics whose pause is over has to be requested again, a few at a time.
    pub(super) fn retry(&mut self) {
        let now = Instant::now();
        for _ in 0..RETRIES {
            if self.refused.front().is_none_or(|(due, _)| *due > now) {
                return;
            }
            let Some((_, name)) = self.refused.pop_front() else {
                return;
            };
            if let Some(topic) = self.topics.get_mut(&name)
                && topic.stage == Stage::Refused
            {
                topic.stage = Stage::NeedsStatus;
                self.status_requests.insert(name);
            }
        }
    }

    /// Publishers must not wait for topics that have not begun, because the connection is lost.
    pub(super) fn interrupt(&self) {
        for topic in self.topics.values().filter(|topic| topic.epoch.is_none()) {
            topic.feed.interrupt();
        }
    }

    /// Some topics whose status has to be requested, each once.
    pub(super) fn take_status_requests(&mut self, limit: usize) -> Vec<StatusRequest> {
        let names: Vec<_> = self.status_requests.iter().take(limit).cloned().collect();
        let topics = names.into_iter().filter_map(|name| {
            self.status_requests.remove(&name);
            let topic = self.topics.get(&name)?;
            let at = topic.epoch.map(|_| (topic.last_event, topic.last_entry));
            (topic.stage == Stage::NeedsStatus).then_some((name, at))
        });
        topics.collect()
    }

    pub(super) fn has_status_requests(&self) -> bool {
        !self.status_requests.is_empty()
    }

    /// Updates a topic by its status.
    pub(super) fn apply_status(
        &mut self,
        name: &Arc<str>,
        status: &TopicStatus,
        epoch: u64,
    ) -> Updated {
        let Some(topic) = self.topics.get_mut(name) else {
            return Updated::Done;
        };
        if topic.refusal.take().is_some() {
            tracing::info!(topic = &**name, "Redis no longer refuses the topic");
        }
        let mut is_behind = status.has_later;
        let listens = match topic.epoch {
            None => {
                is_behind = false;
                topic.set_last(status.last);
                topic.feed.begin(epoch, status.last)
            }
            Some(before) if before != epoch => {
                let last = match status.before_later {
                    Some(before) => before,
                    None if is_behind => topic.last_event.min(status.last),
                    None => status.last,
                };
                topic.set_last(last);
                topic.feed.restart(epoch, last, Reason::Epoch)
            }
            Some(_) => match judge(topic.last_event, status.last) {
                Verdict::Whole => true,
                Verdict::Lost => {
                    self.status_requests.insert(Arc::clone(name));
                    return Updated::EventsLost;
                }
                // The entries may still be complete. Reading them will show it.
                Verdict::Evicted if is_behind => true,
                Verdict::Evicted => {
                    topic.set_last(status.last);
                    topic.feed.restart(epoch, status.last, Reason::Evicted)
                }
            },
        };
        topic.epoch = Some(epoch);
        topic.stage = if is_behind {
            Stage::Behind
        } else {
            Stage::Live
        };
        if is_behind {
            self.behind.push_back(Arc::clone(name));
        }
        if !listens {
            self.topics.remove(name);
        }
        Updated::Done
    }

    /// Redis refuses a topic. It is tried again later.
    pub(super) fn set_aside(&mut self, name: &Arc<str>, problem: &str) {
        let Some(topic) = self.topics.get_mut(name) else {
            return;
        };
        if topic.refusal.as_deref() != Some(problem) {
            tracing::warn!(
                topic = &**name,
                "Redis refuses a topic, which is tried again every second: {problem}"
            );
            topic.refusal = Some(problem.to_owned());
        }
        topic.feed.interrupt();
        topic.stage = Stage::Refused;
        self.refused
            .push_back((Instant::now() + RETRY, Arc::clone(name)));
    }

    /// The live topics, and the last entry of each.
    pub(super) fn live(&self) -> impl Iterator<Item = (&Arc<str>, Position)> {
        let live = self.topics.iter();
        live.filter(|(_, topic)| topic.stage == Stage::Live)
            .map(|(name, topic)| (name, topic.last_entry))
    }

    /// The next topic to read a page of, its last entry, and its history.
    pub(super) fn next_behind(&mut self) -> Option<(Arc<str>, Position, History)> {
        while let Some(name) = self.behind.pop_front() {
            if let Some(topic) = self.topics.get(&name)
                && topic.stage == Stage::Behind
                && let Some(history) = topic.feed.history()
            {
                return Some((name, topic.last_entry, history));
            }
        }
        None
    }

    pub(super) fn has_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// A page of a topic was read.
    pub(super) fn feed_page(&mut self, name: &Arc<str>, page: reply::Page) -> Updated {
        let is_end = page.is_end;
        if self.feed_entries(name, page.entries, Some(page.last)) == Updated::EventsLost {
            return Updated::EventsLost;
        }
        let Some(topic) = self.topics.get_mut(name) else {
            return Updated::Done;
        };
        if !is_end && topic.last_event != page.last {
            self.behind.push_back(Arc::clone(name));
        } else if judge(topic.last_event, page.last) == Verdict::Whole {
            topic.stage = Stage::Live;
        } else {
            topic.stage = Stage::NeedsStatus;
            self.status_requests.insert(Arc::clone(name));
        }
        Updated::Done
    }

    /// New entries of a topic. `None` if they have an unexpected form.
    pub(super) fn feed(&mut self, name: &str, entries: Value) -> Option<Updated> {
        let entries = reply::entries(name, entries)?;
        Some(self.feed_entries(name, entries, None))
    }

    /// If events are missing, subscribers get a `reset`. Then they continue with the event after the missing ones or, while earlier entries
    /// are read, with the event after the last one.
    fn feed_entries(
        &mut self,
        name: &str,
        mut entries: Vec<Entry>,
        backlog_end: Option<Position>,
    ) -> Updated {
        // The topic may no longer be followed.
        let Some((name, topic)) = self.topics.get_key_value(name) else {
            return Updated::Done;
        };
        let (name, Some(epoch)) = (Arc::clone(name), topic.epoch) else {
            return Updated::Done;
        };
        let Some(topic) = self.topics.get_mut(&name) else {
            return Updated::Done;
        };
        // The request may be older than the last update of the topic.
        entries.retain(|entry| entry.position > topic.last_entry);
        let Some(mut at) = entries.last().map(|entry| entry.position) else {
            return Updated::Done;
        };
        let mut listens = true;
        while !entries.is_empty() {
            let walk = walk(Some(topic.last_event), std::mem::take(&mut entries));
            if let Some((last, _)) = walk.events.last() {
                topic.last_event = *last;
                topic.last_entry = *last;
            }
            listens = topic.feed.append(walk.events);
            match walk.hole {
                Some((Verdict::Lost, ..)) => {
                    topic.stage = Stage::NeedsStatus;
                    self.status_requests.insert(name);
                    return Updated::EventsLost;
                }
                Some((_, before, rest)) if listens => {
                    topic.last_event = backlog_end.unwrap_or(before);
                    listens = topic.feed.restart(epoch, topic.last_event, Reason::Evicted);
                    match backlog_end {
                        Some(end) => at = at.max(end),
                        None => entries = rest,
                    }
                }
                _ => {}
            }
        }
        topic.last_entry = at;
        if !listens {
            self.topics.remove(&name);
        }
        Updated::Done
    }
}

impl Topic {
    fn set_last(&mut self, last: Position) {
        self.last_entry = last;
        self.last_event = last;
    }
}
