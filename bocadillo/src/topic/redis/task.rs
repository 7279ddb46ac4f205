//! The task that follows topics. It has two connections: on one it waits for events, the other is for commands.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError, Value};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::position::Position;
use super::super::remote::{Outage, pause};
use super::connection::Connection;
use super::follow::{Followed, StatusRequest, Updated};
use super::publish::Session;
use super::refusals::{is_refusal, is_refused, unexpected};
use super::{Shared, State, candidate, keys, reply, script};

mod read;

/// The pause between attempts to connect. It doubles up to `LONGEST_PAUSE`.
pub(super) const PAUSE: Duration = Duration::from_millis(25);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long Redis waits for an event before it answers. The answer shows that the connection works.
const BLOCK: Duration = Duration::from_secs(2);

/// How often the connection for commands is pinged, so that a server which closes idle connections keeps it.
const PING: Duration = Duration::from_secs(1);

/// How often the status of all topics is checked, although no event came.
const VERIFY: Duration = Duration::from_secs(10);

/// The maximum number of topics in one request for their status.
const AT_ONCE: usize = 256;

/// The time that Redis needs for each topic of a read.
const PER_TOPIC: Duration = Duration::from_micros(2);

/// A read of this many topics, or of fewer, has no pause after it.
const FEW: u32 = 250;

/// About how many bytes of events are read at once.
const BYTES: usize = 256 * 1024;

type Result<T> = std::result::Result<T, RedisError>;

/// Connects, and reconnects, until the hub ends.
pub(super) async fn run(shared: &Arc<Shared>, followed: &mut Followed) {
    let mut attempts = 0;
    loop {
        let (error, was_up) = match Task::connect(shared).await {
            Ok(mut task) => {
                let Err(error) = task.run(shared, followed).await;
                if task.is_up && task.since.elapsed() > LONGEST_PAUSE {
                    attempts = 0;
                }
                (error, task.is_up)
            }
            Err(error) => (error, false),
        };
        if was_up {
            tracing::warn!("the connection to Redis is lost: {error}");
        } else if attempts == 0 {
            tracing::warn!("Redis cannot be used, which is tried again: {error}");
        }
        // If the connection worked before, publishers wait for the next attempt.
        shared.state.send_replace(if was_up {
            State::Connecting
        } else if is_refused(&error) {
            State::Down(Outage::refused(&error))
        } else {
            State::Down(Outage::away(&error))
        });
        lost(shared, followed);
        // Publishers must not wait for topics that are followed in the meantime.
        let until = Instant::now() + pause(PAUSE, LONGEST_PAUSE, attempts);
        while tokio::time::timeout_at(until, shared.has_changed.notified())
            .await
            .is_ok()
        {
            lost(shared, followed);
        }
        attempts += 1;
    }
}

/// The maximum number of entries of each topic in the next answer. `longest` is the highest number of a topic in the last answer. It
/// grows only while answers are full, because the next entries may be large.
fn next_count(count: usize, longest: usize, bytes: usize) -> usize {
    if bytes > BYTES {
        (count * BYTES / bytes).max(1)
    } else if longest < count {
        (count / 2).max(1)
    } else if bytes <= BYTES / 2 {
        count * 2
    } else {
        count
    }
}

/// Waits after a read of many topics, so that a busy node does not name them to Redis all the time.
async fn pause_after_read(started: Instant, topics: u32) {
    if topics > FEW {
        tokio::time::sleep_until(started + PER_TOPIC * topics).await;
    }
}

fn lost(shared: &Shared, followed: &mut Followed) {
    followed.update(shared);
    followed.request_all_statuses();
    followed.interrupt();
}

struct Task {
    commands: Connection,
    reader: Connection,
    /// Zero until it is known.
    epoch: u64,
    epoch_at: Position,
    wake_at: Position,
    pinged: Instant,
    verified: Instant,
    /// The maximum number of entries of each topic in the next answer.
    count: usize,
    /// How many times in a row Redis has refused to wait for events, though it refuses no topic.
    refusals: u32,
    is_broken: Arc<Notify>,
    since: Instant,
    is_up: bool,
}

/// Never returned, because a task ends by an error.
enum Never {}

impl Task {
    async fn connect(shared: &Shared) -> Result<Self> {
        let commands = Connection::connect(&shared.server).await?;
        let reader = Connection::connect(&shared.server).await?;
        let (none, now) = (Position::default(), Instant::now());
        Ok(Self {
            commands,
            reader,
            epoch: 0,
            epoch_at: none,
            wake_at: none,
            pinged: now,
            verified: now,
            count: 1,
            refusals: 0,
            is_broken: Arc::default(),
            since: now,
            is_up: false,
        })
    }

    async fn run(&mut self, shared: &Shared, followed: &mut Followed) -> Result<Never> {
        self.request_status(shared, followed, Vec::new()).await?;
        loop {
            followed.update(shared);
            followed.retry();
            self.request_statuses(shared, followed).await?;
            self.announce(shared);
            let started = Instant::now();
            self.read_page(shared, followed).await?;
            let topics = self.read(shared, followed).await?;
            pause_after_read(started, topics).await;
            if self.pinged.elapsed() >= PING {
                self.commands.ping().await?;
                self.pinged = Instant::now();
            }
            if self.verified.elapsed() >= VERIFY {
                followed.verify();
                self.verified = Instant::now();
            }
        }
    }

    /// Asks for the status of all topics that need it.
    async fn request_statuses(&mut self, shared: &Shared, followed: &mut Followed) -> Result<()> {
        while followed.has_status_requests() {
            let mut requests = vec![followed.take_status_requests(AT_ONCE)];
            while let Some(mut topics) = requests.pop() {
                if topics.is_empty() {
                    continue;
                }
                match self.request_status(shared, followed, topics.clone()).await {
                    Ok(()) => {}
                    // Perhaps one topic is the reason. Asking for each half finds it.
                    Err(error) if is_refusal(&error) && topics.len() > 1 => {
                        requests.push(topics.split_off(topics.len() / 2));
                        requests.push(topics);
                    }
                    Err(error) if is_refusal(&error) => {
                        followed.set_aside(&topics[0].0, &error.to_string());
                        // If Redis refuses everything, this ends the task.
                        self.request_status(shared, followed, Vec::new()).await?;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Makes the connection available, because all topics are in its epoch.
    fn announce(&mut self, shared: &Shared) {
        shared.state.send_if_modified(|state| {
            let is_news =
                !self.is_up || !matches!(state, State::Up(session) if session.epoch == self.epoch);
            if is_news {
                *state = State::Up(Session {
                    commands: self.commands.clone(),
                    epoch: self.epoch,
                    is_broken: Arc::clone(&self.is_broken),
                });
            }
            is_news
        });
        if !self.is_up {
            tracing::debug!(epoch = self.epoch, "connected to Redis");
        }
        self.is_up = true;
    }

    /// Asks for the status of topics, and updates their feeds.
    async fn request_status(
        &mut self,
        shared: &Shared,
        followed: &mut Followed,
        topics: Vec<StatusRequest>,
    ) -> Result<()> {
        let mut call = script::STATUS.prepare_invoke();
        call.key(&shared.keys.epoch)
            .key(&shared.keys.positions)
            .arg(candidate());
        for (name, at) in &topics {
            call.key(shared.keys.topic(name)).arg(&**name);
            let texts = at.map(|(event, entry)| [keys::text(event), keys::text(entry)]);
            call.arg(&texts.unwrap_or_default());
        }
        let mut commands = self.commands.multiplexed.clone();
        let answer = self
            .commands
            .answer(Duration::ZERO, call.invoke_async::<Value>(&mut commands))
            .await?;
        let (epoch, statuses) = (|| {
            let [epoch, id, statuses] = reply::exactly(answer)?;
            self.epoch_at = reply::position(&id)?;
            Some((reply::number(&epoch)?, reply::items(statuses)?))
        })()
        .filter(|(_, statuses)| statuses.len() == topics.len())
        .ok_or_else(unexpected)?;
        if epoch != self.epoch {
            self.epoch = epoch;
            // Also the topics of this request, which are no longer in the list.
            followed.request_all_statuses();
        }
        for ((name, _), status) in topics.iter().zip(statuses) {
            match reply::status(status).ok_or_else(unexpected)? {
                Err(problem) => followed.set_aside(name, &problem),
                Ok(status) => {
                    if followed.apply_status(name, &status, epoch) == Updated::EventsLost {
                        return self.begin_new_epoch(shared, name).await;
                    }
                }
            }
        }
        Ok(())
    }

    async fn begin_new_epoch(&mut self, shared: &Shared, topic: &str) -> Result<()> {
        tracing::warn!(
            topic,
            "Redis has lost events that it had confirmed: a new epoch begins"
        );
        let mut call = script::NEW_EPOCH.prepare_invoke();
        call.key(&shared.keys.epoch)
            .arg(candidate())
            .arg(self.epoch);
        let mut commands = self.commands.multiplexed.clone();
        let begun = call.invoke_async::<Value>(&mut commands);
        self.commands.answer(Duration::ZERO, begun).await.map(drop)
    }

    async fn lost(&mut self, shared: &Shared, followed: &mut Followed, name: &str) -> Result<()> {
        self.begin_new_epoch(shared, name).await?;
        self.request_status(shared, followed, Vec::new()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_read_of_more_than_250_topics_takes_two_microseconds_for_each() {
        for (topics, expected) in [(0, 0), (250, 0), (1_000, 2), (50_000, 100)] {
            let started = Instant::now();
            pause_after_read(started, topics).await;
            let waited = started.elapsed().as_millis();
            // The timer counts whole milliseconds.
            let allowed = expected..=expected * 2;
            assert!(allowed.contains(&waited), "{topics}: {waited} ms");
        }
        let started = Instant::now();
        pause_after_read(started, 251).await;
        assert!(started.elapsed() >= Duration::from_micros(502));
        // A read that took longer has no pause after it.
        tokio::time::advance(Duration::from_millis(100)).await;
        let before = Instant::now();
        pause_after_read(started, 50_000).await;
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}
