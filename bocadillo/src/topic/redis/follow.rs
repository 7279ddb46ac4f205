//! The topics that have subscribers on this node, and how far each has been read.

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
use super::reply::{Entry, Stand};
use super::{Change, Shared, reply};

/// How long a topic that Redis refuses is left alone before it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How many refused topics are tried again at a time.
const RETRIES: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Followed {
    topics: HashMap<Arc<str>, Topic>,
    /// Those to be asked about. Some may not be followed any more.
    unsettled: HashSet<Arc<str>>,
    /// Those with entries that are to be read page by page, in turns. Some may not be followed any more.
    behind: VecDeque<Arc<str>>,
    /// Those that Redis refuses, and when each is tried again: the earliest first. Some may not be followed any more.
    refused: VecDeque<(Instant, Arc<str>)>,
}

#[derive(Debug)]
struct Topic {
    feed: TopicFeed,
    /// The epoch in which its feed has begun, once it has.
    epoch: Option<u64>,
    /// The last entry that was read, whoever wrote it.
    at: Position,
    /// The last event that was read: the next one has to name it.
    link: Position,
    stage: Stage,
    /// Why Redis has refused it, so that each reason is logged once.
    refusal: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Unsettled,
    /// Its backlog is read page by page.
    Behind,
    /// It is waited for.
    Live,
    Refused,
}

/// A topic to be asked about: its name, the last event and the last entry that were read.
pub(super) type Question = (Arc<str>, Option<(Position, Position)>);

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
                    let name = Arc::clone(feed.topic());
                    let topic = Topic {
                        feed,
                        epoch: None,
                        at: Position::default(),
                        link: Position::default(),
                        stage: Stage::Unsettled,
                        refusal: None,
                    };
                    self.topics.insert(Arc::clone(&name), topic);
                    self.unsettled.insert(name);
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

    /// All have to be asked about again.
    pub(super) fn unsettle(&mut self) {
        for topic in self.topics.values_mut() {
            topic.stage = Stage::Unsettled;
        }
        self.behind.clear();
        self.refused.clear();
        self.unsettled.extend(self.topics.keys().cloned());
    }

    /// Those that are waited for have to be asked about again: something may have gone without a trace.
    pub(super) fn verify(&mut self) {
        for (name, topic) in &mut self.topics {
            if topic.stage == Stage::Live {
                topic.stage = Stage::Unsettled;
                self.unsettled.insert(Arc::clone(name));
            }
        }
    }

    /// Refused topics whose time has come are to be asked about again, a few at a time.
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
                topic.stage = Stage::Unsettled;
                self.unsettled.insert(name);
            }
        }
    }

    /// Publishers must not wait for topics that have not begun: the connection is lost.
    pub(super) fn interrupt(&self) {
        for topic in self.topics.values().filter(|topic| topic.epoch.is_none()) {
            topic.feed.interrupt();
        }
    }

    /// Some that are to be asked about, each once.
    pub(super) fn take_unsettled(&mut self, limit: usize) -> Vec<Question> {
        let names: Vec<_> = self.unsettled.iter().take(limit).cloned().collect();
        let topics = names.into_iter().filter_map(|name| {
            self.unsettled.remove(&name);
            let topic = self.topics.get(&name)?;
            let at = topic.epoch.map(|_| (topic.link, topic.at));
            (topic.stage == Stage::Unsettled).then_some((name, at))
        });
        topics.collect()
    }

    pub(super) fn has_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// Takes over where a topic stands.
    pub(super) fn settle(&mut self, name: &Arc<str>, stand: &Stand, epoch: u64) -> Settled {
        let Some(topic) = self.topics.get_mut(name) else {
            return Settled::Done;
        };
        if topic.refusal.take().is_some() {
            tracing::info!(topic = &**name, "Redis no longer refuses the topic");
        }
        let mut is_behind = stand.has_later;
        let listens = match topic.epoch {
            None => {
                is_behind = false;
                topic.stand_at(stand.last);
                topic.feed.begin(epoch, stand.last)
            }
            Some(before) if before != epoch => {
                let last = match stand.before_later {
                    Some(before) => before,
                    None if is_behind => topic.link.min(stand.last),
                    None => stand.last,
                };
                topic.stand_at(last);
                topic.feed.restart(epoch, last, Reason::Epoch)
            }
            Some(_) => match judge(topic.link, stand.last) {
                Verdict::Whole => true,
                Verdict::Lost => {
                    self.unsettled.insert(Arc::clone(name));
                    return Settled::Lost;
                }
                // What there is may still be whole: its chain says so.
                Verdict::Evicted if is_behind => true,
                Verdict::Evicted => {
                    topic.stand_at(stand.last);
                    topic.feed.restart(epoch, stand.last, Reason::Evicted)
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
        Settled::Done
    }

    /// Redis refuses a topic: the others go on without it, and it is tried again later.
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

    /// Those that are waited for, and behind which entry.
    pub(super) fn live(&self) -> impl Iterator<Item = (&Arc<str>, Position)> {
        let live = self.topics.iter();
        live.filter(|(_, topic)| topic.stage == Stage::Live)
            .map(|(name, topic)| (name, topic.at))
    }

    /// The next one of which a page is to be read, behind which entry, and within which history.
    pub(super) fn next_behind(&mut self) -> Option<(Arc<str>, Position, History)> {
        while let Some(name) = self.behind.pop_front() {
            if let Some(topic) = self.topics.get(&name)
                && topic.stage == Stage::Behind
                && let Some(history) = topic.feed.history()
            {
                return Some((name, topic.at, history));
            }
        }
        None
    }

    pub(super) fn has_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// A page of a topic was read.
    pub(super) fn feed_page(&mut self, name: &Arc<str>, page: reply::Page) -> Settled {
        let is_end = page.is_end;
        if self.feed_entries(name, page.entries, Some(page.last)) == Settled::Lost {
            return Settled::Lost;
        }
        let Some(topic) = self.topics.get_mut(name) else {
            return Settled::Done;
        };
        if !is_end && topic.link != page.last {
            self.behind.push_back(Arc::clone(name));
        } else if judge(topic.link, page.last) == Verdict::Whole {
            topic.stage = Stage::Live;
        } else {
            topic.stage = Stage::Unsettled;
            self.unsettled.insert(Arc::clone(name));
        }
        Settled::Done
    }

    /// New entries of a topic. `None` where they have another shape than entries have.
    pub(super) fn feed(&mut self, name: &str, entries: Value) -> Option<Settled> {
        let entries = reply::entries(name, entries)?;
        Some(self.feed_entries(name, entries, None))
    }

    /// A hole in the chain is a reset. Then it goes on with what is new: with the event behind the hole, or, in a backlog, behind its
    /// end.
    fn feed_entries(
        &mut self,
        name: &str,
        mut entries: Vec<Entry>,
        backlog_end: Option<Position>,
    ) -> Settled {
        // Somebody may have gone meanwhile.
        let Some((name, topic)) = self.topics.get_key_value(name) else {
            return Settled::Done;
        };
        let (name, Some(epoch)) = (Arc::clone(name), topic.epoch) else {
            return Settled::Done;
        };
        let Some(topic) = self.topics.get_mut(&name) else {
            return Settled::Done;
        };
        // The answer to a question that was asked before the topic was brought elsewhere.
        entries.retain(|entry| entry.position > topic.at);
        let Some(mut at) = entries.last().map(|entry| entry.position) else {
            return Settled::Done;
        };
        let mut listens = true;
        while !entries.is_empty() {
            let walk = walk(Some(topic.link), std::mem::take(&mut entries));
            if let Some((last, _)) = walk.events.last() {
                topic.link = *last;
                topic.at = *last;
            }
            listens = topic.feed.append(walk.events);
            match walk.hole {
                Some((Verdict::Lost, ..)) => {
                    topic.stage = Stage::Unsettled;
                    self.unsettled.insert(name);
                    return Settled::Lost;
                }
                Some((_, before, rest)) if listens => {
                    topic.link = backlog_end.unwrap_or(before);
                    listens = topic.feed.restart(epoch, topic.link, Reason::Evicted);
                    match backlog_end {
                        Some(end) => at = at.max(end),
                        None => entries = rest,
                    }
                }
                _ => {}
            }
        }
        topic.at = at;
        if !listens {
            self.topics.remove(&name);
        }
        Settled::Done
    }
}

impl Topic {
    fn stand_at(&mut self, last: Position) {
        self.at = last;
        self.link = last;
    }
}
