//! The task that follows topics. It has two connections: on one it waits for events, the other is for commands.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError, Value};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::position::Position;
use super::follow::{Followed, Question, Settled};
use super::line::Line;
use super::{Link, Shared, State, candidate, keys, reply, script};

/// The pause between attempts to connect. It doubles up to `LONGEST_PAUSE`.
pub(super) const PAUSE: Duration = Duration::from_millis(25);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long Redis waits for an event before it says that there is none. It shows that the connection still works.
const BLOCK: Duration = Duration::from_secs(2);

/// How often the connection for commands is pinged, so that a server which closes idle connections keeps it.
const PING: Duration = Duration::from_secs(1);

/// How often Redis is asked whether the topics still are where this node has read them, though nothing came.
const VERIFY: Duration = Duration::from_secs(10);

/// How many topics one question is about.
const AT_ONCE: usize = 256;

/// How much of Redis's time naming a topic takes.
const PER_TOPIC: Duration = Duration::from_micros(2);

/// About how many bytes of events are read at once.
const BYTES: usize = 256 * 1024;

type Result<T> = std::result::Result<T, RedisError>;

pub(super) fn unexpected() -> RedisError {
    (
        ErrorKind::UnexpectedReturnType,
        "Redis answered what cannot be, or another program has written into this one's keys",
    )
        .into()
}

/// Whether Redis has answered, though not as it should: the connection is as good as before.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    use ErrorKind::{Extension, Server, UnexpectedReturnType};
    matches!(error.kind(), Server(_) | Extension | UnexpectedReturnType)
}

/// Connects, and connects again, for as long as the hub is there.
pub(super) async fn run(shared: &Arc<Shared>, followed: &mut Followed) {
    let mut pause = PAUSE;
    loop {
        let (error, was_up) = match Session::connect(shared).await {
            Ok(mut session) => {
                let Err(error) = session.run(shared, followed).await;
                if session.is_up && session.since.elapsed() > LONGEST_PAUSE {
                    pause = PAUSE;
                }
                (error, session.is_up)
            }
            Err(error) => (error, false),
        };
        if was_up {
            tracing::warn!("the connection to Redis is lost: {error}");
        } else if pause == PAUSE {
            tracing::warn!("Redis cannot be used, trying on: {error}");
        }
        // After a connection that worked, publishers wait for the next attempt.
        shared.state.send_replace(if was_up {
            State::Connecting
        } else {
            State::Down(error.to_string().into())
        });
        lost(shared, followed);
        // Who comes meanwhile must not keep publishers waiting either.
        let until = Instant::now() + pause;
        while tokio::time::timeout_at(until, shared.has_changed.notified())
            .await
            .is_ok()
        {
            lost(shared, followed);
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// How many entries of each topic the next answer may have: `longest` is the most that a topic had in this one. It grows only as far
/// as answers fill up, because the next entries may be large.
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

fn lost(shared: &Shared, followed: &mut Followed) {
    followed.update(shared);
    followed.unsettle();
    followed.interrupt();
}

struct Session {
    commands: Line,
    reader: Line,
    /// Zero until it is known.
    epoch: u64,
    epoch_at: Position,
    wake_at: Position,
    pinged: Instant,
    verified: Instant,
    /// How many entries of each topic the next answer may have.
    count: usize,
    /// How many times in a row Redis has refused to wait for events, though it refuses no topic.
    refusals: u32,
    is_broken: Arc<Notify>,
    since: Instant,
    is_up: bool,
}

/// Never returned: a session ends by an error.
enum Never {}

impl Session {
    async fn connect(shared: &Shared) -> Result<Self> {
        let commands = Line::connect(&shared.server).await?;
        let reader = Line::connect(&shared.server).await?;
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
        self.ask(shared, followed, Vec::new()).await?;
        loop {
            followed.update(shared);
            followed.retry();
            self.settle(shared, followed).await?;
            self.announce(shared);
            let started = Instant::now();
            self.read_page(shared, followed).await?;
            let topics = self.read(shared, followed).await?;
            if topics > 250 {
                tokio::time::sleep_until(started + PER_TOPIC * topics).await;
            }
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

    /// Asks about all topics of which it is not known where they stand.
    async fn settle(&mut self, shared: &Shared, followed: &mut Followed) -> Result<()> {
        while followed.has_unsettled() {
            let mut questions = vec![followed.take_unsettled(AT_ONCE)];
            while let Some(mut topics) = questions.pop() {
                if topics.is_empty() {
                    continue;
                }
                match self.ask(shared, followed, topics.clone()).await {
                    Ok(()) => {}
                    // One topic may be the reason: the halves tell which.
                    Err(error) if is_refusal(&error) && topics.len() > 1 => {
                        questions.push(topics.split_off(topics.len() / 2));
                        questions.push(topics);
                    }
                    Err(error) if is_refusal(&error) => {
                        followed.set_aside(&topics[0].0, &error.to_string());
                        // Where Redis refuses everything, this ends the session.
                        self.ask(shared, followed, Vec::new()).await?;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Everybody may use the connection, now that all topics are in its epoch.
    fn announce(&mut self, shared: &Shared) {
        shared.state.send_if_modified(|state| {
            let is_news =
                !self.is_up || !matches!(state, State::Up(link) if link.epoch == self.epoch);
            if is_news {
                *state = State::Up(Link {
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

    /// Asks where topics stand, and brings their feeds there.
    async fn ask(
        &mut self,
        shared: &Shared,
        followed: &mut Followed,
        topics: Vec<Question>,
    ) -> Result<()> {
        let mut call = script::STAND.prepare_invoke();
        call.key(&shared.keys.epoch)
            .key(&shared.keys.places)
            .arg(candidate());
        for (name, at) in &topics {
            call.key(shared.keys.topic(name)).arg(&**name);
            let texts = at.map(|(link, at)| [keys::text(link), keys::text(at)]);
            call.arg(&texts.unwrap_or_default());
        }
        let mut commands = self.commands.connection.clone();
        let answer = self
            .commands
            .answer(Duration::ZERO, call.invoke_async::<Value>(&mut commands))
            .await?;
        let (epoch, stands) = (|| {
            let [epoch, id, stands] = reply::exactly(answer)?;
            self.epoch_at = reply::position(&id)?;
            Some((reply::number(&epoch)?, reply::items(stands)?))
        })()
        .filter(|(_, stands)| stands.len() == topics.len())
        .ok_or_else(unexpected)?;
        if epoch != self.epoch {
            self.epoch = epoch;
            // These too: what was asked is of this epoch, but they are no longer in the list.
            followed.unsettle();
        }
        for ((name, _), stand) in topics.iter().zip(stands) {
            match reply::stand(stand).ok_or_else(unexpected)? {
                Err(problem) => followed.set_aside(name, &problem),
                Ok(stand) => {
                    if followed.settle(name, &stand, epoch) == Settled::Lost {
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
        let mut commands = self.commands.connection.clone();
        let begun = call.invoke_async::<Value>(&mut commands);
        self.commands.answer(Duration::ZERO, begun).await.map(drop)
    }

    /// Reads a page of a topic that is behind, if there is one.
    async fn read_page(&mut self, shared: &Shared, followed: &mut Followed) -> Result<()> {
        let Some((name, at, history)) = followed.next_behind() else {
            return Ok(());
        };
        let call = shared.page(&name, &history, Some(at), BYTES);
        let mut reader = self.reader.connection.clone();
        let answer = self
            .reader
            .answer(Duration::ZERO, call.invoke_async::<Value>(&mut reader))
            .await;
        let settled = match answer {
            Ok(answer) => {
                let page = reply::page(&name, answer).ok_or_else(unexpected)?;
                followed.feed_page(&name, page)
            }
            Err(error) if is_refusal(&error) => {
                followed.set_aside(&name, &error.to_string());
                Settled::Done
            }
            Err(error) => return Err(error),
        };
        match settled {
            Settled::Done => Ok(()),
            Settled::Lost => self.lost(shared, followed, &name).await,
        }
    }

    /// Waits for what comes, and feeds it. Returns how many topics it has named.
    async fn read(&mut self, shared: &Shared, followed: &mut Followed) -> Result<u32> {
        let (mut names, mut ids): (Vec<_>, Vec<_>) = followed
            .live()
            .map(|(name, at)| (shared.keys.topic(name), keys::text(at)))
            .unzip();
        let topics = u32::try_from(names.len()).unwrap_or(u32::MAX);
        names.extend([shared.keys.epoch.clone(), shared.keys.wake.clone()]);
        ids.extend([keys::text(self.epoch_at), keys::text(self.wake_at)]);
        let mut command = redis::cmd("XREAD");
        let blocks = !followed.has_behind();
        if blocks {
            command.arg("BLOCK").arg(BLOCK.as_millis() as u64);
        }
        command.arg("COUNT").arg(self.count);
        command.arg("STREAMS").arg(names).arg(ids);
        let mut reader = self.reader.connection.clone();
        let asking = command.query_async(&mut reader);
        let line = self.reader.clone();
        let answer = line
            .answer(BLOCK, self.wait(shared, followed, asking))
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if is_refusal(&error) => {
                let found = self.find_refused(shared, followed, &error).await;
                return found.map(|()| 0);
            }
            Err(error) => return Err(error),
        };
        let streams = reply::items(answer).ok_or_else(unexpected)?;
        self.refusals = 0;
        if streams.is_empty() {
            self.count = next_count(self.count, 0, 0);
            if blocks {
                followed.verify();
                self.verified = Instant::now();
            }
            return Ok(0);
        }
        let (mut is_new_epoch, mut longest, mut bytes) = (false, 0, 0);
        let mut lost = None;
        for stream in streams {
            let [key, entries] = reply::exactly(stream).ok_or_else(unexpected)?;
            let key = reply::text(&key).ok_or_else(unexpected)?;
            if let Some(name) = shared.keys.name(key) {
                let (length, size) = reply::size(&entries);
                longest = longest.max(length);
                bytes += size;
                if followed.feed(name, entries).ok_or_else(unexpected)? == Settled::Lost {
                    lost = Some(name.to_owned());
                }
            } else if key == shared.keys.epoch {
                self.epoch_at = reply::last(entries).ok_or_else(unexpected)?;
                is_new_epoch = true;
            } else {
                self.wake_at = reply::last(entries).ok_or_else(unexpected)?;
            }
        }
        self.count = next_count(self.count, longest, bytes);
        if let Some(name) = lost {
            self.lost(shared, followed, &name).await?;
        } else if is_new_epoch {
            self.ask(shared, followed, Vec::new()).await?;
        }
        Ok(topics)
    }

    async fn lost(&mut self, shared: &Shared, followed: &mut Followed, name: &str) -> Result<()> {
        self.begin_new_epoch(shared, name).await?;
        self.ask(shared, followed, Vec::new()).await
    }

    /// Redis refuses to read all topics at once: finds out which one it is, and sets that one aside.
    async fn find_refused(
        &mut self,
        shared: &Shared,
        followed: &mut Followed,
        refusal: &RedisError,
    ) -> Result<()> {
        let live: Vec<_> = followed.live().map(|(name, _)| Arc::clone(name)).collect();
        let mut questions = vec![live];
        let mut is_found = false;
        while let Some(mut topics) = questions.pop() {
            if topics.is_empty() {
                continue;
            }
            let mut command = redis::cmd("XREAD");
            command.arg("COUNT").arg(1).arg("STREAMS");
            for name in &topics {
                command.arg(shared.keys.topic(name));
            }
            command.arg(vec!["$"; topics.len()]);
            let mut reader = self.reader.connection.clone();
            let asking = command.query_async::<Value>(&mut reader);
            match self.reader.answer(Duration::ZERO, asking).await {
                Ok(_) => {}
                Err(error) if is_refusal(&error) && topics.len() > 1 => {
                    questions.push(topics.split_off(topics.len() / 2));
                    questions.push(topics);
                }
                Err(error) if is_refusal(&error) => {
                    followed.set_aside(&topics[0], &error.to_string());
                    is_found = true;
                }
                Err(error) => return Err(error),
            }
        }
        if is_found {
            self.refusals = 0;
        } else {
            // The first time, it may be a topic that was mended meanwhile.
            self.refusals += 1;
            if self.refusals == 2 {
                tracing::warn!("Redis refuses to wait for events, trying on: {refusal}");
            }
            if self.refusals >= 2 {
                tokio::time::sleep(LONGEST_PAUSE).await;
            }
        }
        // Where it refuses everything, this ends the session.
        self.ask(shared, followed, Vec::new()).await
    }

    /// Waits for the answer on the reader's connection. Meanwhile those who come are told where their topics stand, and the reader is woken, so
    /// that it waits for those too.
    async fn wait(
        &mut self,
        shared: &Shared,
        followed: &mut Followed,
        reading: impl Future<Output = Result<Value>>,
    ) -> Result<Value> {
        let mut reading = pin!(reading);
        loop {
            tokio::select! {
                biased;
                answer = &mut reading => return answer,
                () = self.is_broken.notified() => {
                    return Err((ErrorKind::Io, "a command found its connection broken").into());
                }
                () = shared.has_changed.notified() => {
                    followed.update(shared);
                    self.settle(shared, followed).await?;
                    self.wake(shared).await?;
                }
            }
        }
    }

    /// Ends the waiting: for that, the reader waits for a stream of this node's own as well.
    async fn wake(&mut self, shared: &Shared) -> Result<()> {
        let mut both = redis::pipe();
        both.cmd("XADD")
            .arg(&shared.keys.wake)
            .arg(&["MAXLEN", "1", "*", "wake", ""])
            .ignore();
        both.cmd("PEXPIRE")
            .arg(&shared.keys.wake)
            .arg(60_000)
            .ignore();
        let mut commands = self.commands.connection.clone();
        let woken = both.query_async(&mut commands);
        self.commands.answer(Duration::ZERO, woken).await
    }
}
