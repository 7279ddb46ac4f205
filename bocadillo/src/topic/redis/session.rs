//! The task that holds the two connections: on one it waits for events, the other is for commands.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, Value};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::position::Position;
use super::follow::{Followed, Settled};
use super::{Link, Shared, State, candidate, keys, reply, script};

/// Between attempts to connect, at first; it grows to `LONGEST_PAUSE`.
pub(super) const PAUSE: Duration = Duration::from_millis(25);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long connecting may take, and the answer to a command.
const CONNECTING: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(5);

/// How long Redis waits for an event before it says that there is none. It shows that the connection still works.
const BLOCK: Duration = Duration::from_secs(2);

/// Of how many topics it is asked at once where they stand.
const AT_ONCE: usize = 256;

/// How much of Redis's time naming a topic takes.
const PER_TOPIC: Duration = Duration::from_micros(2);

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
        let connected = Session::connect(shared).await;
        let error = match connected {
            Ok(mut session) => {
                let Err(error) = session.run(shared, followed).await;
                if session.is_up {
                    tracing::warn!("the connection to Redis is lost: {error}");
                    shared.state.send_replace(State::Connecting);
                    if session.since.elapsed() > LONGEST_PAUSE {
                        followed.unsettle();
                        pause = PAUSE;
                        continue;
                    }
                }
                error
            }
            Err(error) => error,
        };
        followed.unsettle();
        if pause == PAUSE {
            tracing::warn!("Redis cannot be used, trying on: {error}");
        }
        shared
            .state
            .send_replace(State::Down(error.to_string().into()));
        tokio::time::sleep(pause).await;
        followed.update(shared);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

struct Session {
    commands: MultiplexedConnection,
    reader: MultiplexedConnection,
    /// Zero until it is known.
    epoch: u64,
    epoch_at: Position,
    wake_at: Position,
    /// The time in Redis, and when it was told.
    clock: (u64, Instant),
    is_broken: Arc<Notify>,
    since: Instant,
    is_up: bool,
}

/// Never returned: a session ends by an error.
enum Never {}

impl Session {
    async fn connect(shared: &Shared) -> Result<Self> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECTING));
        let answering = config.clone().set_response_timeout(Some(ANSWER));
        let commands = shared
            .client
            .get_multiplexed_async_connection_with_config(&answering)
            .await?;
        let waiting = config.set_response_timeout(Some(BLOCK + ANSWER));
        let reader = shared
            .client
            .get_multiplexed_async_connection_with_config(&waiting)
            .await?;
        let none = Position::default();
        Ok(Self {
            commands,
            reader,
            epoch: 0,
            epoch_at: none,
            wake_at: none,
            clock: (0, Instant::now()),
            is_broken: Arc::default(),
            since: Instant::now(),
            is_up: false,
        })
    }

    async fn run(&mut self, shared: &Shared, followed: &mut Followed) -> Result<Never> {
        self.ask(shared, followed, Vec::new()).await?;
        loop {
            followed.update(shared);
            while followed.has_unsettled() {
                let topics = followed.take_unsettled(AT_ONCE);
                self.ask(shared, followed, topics).await?;
            }
            self.announce(shared);
            let started = Instant::now();
            let topics = self.read(shared, followed).await?;
            if topics > 250 {
                tokio::time::sleep_until(started + PER_TOPIC * topics).await;
            }
        }
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
        topics: Vec<(Arc<str>, Option<Position>)>,
    ) -> Result<()> {
        let mut call = script::STAND.prepare_invoke();
        call.key(&shared.keys.epoch).arg(candidate());
        for (name, at) in &topics {
            call.key(shared.keys.topic(name))
                .arg(at.map(keys::text).unwrap_or_default());
        }
        let answer: Value = call.invoke_async(&mut self.commands).await?;
        let (epoch, now, stands) = (|| {
            let [epoch, id, now, stands] = reply::exactly(answer)?;
            self.epoch_at = reply::position(&id)?;
            Some((
                reply::number(&epoch)?,
                reply::number(&now)?,
                reply::items(stands)?,
            ))
        })()
        .filter(|(_, _, stands)| stands.len() == topics.len())
        .ok_or_else(unexpected)?;
        self.clock = (now, Instant::now());
        if epoch != self.epoch {
            self.epoch = epoch;
            // These too: what was asked is of this epoch, but they are no longer in the list.
            followed.unsettle();
        }
        for ((name, _), stand) in topics.iter().zip(stands) {
            match reply::stand(stand).ok_or_else(unexpected)? {
                Err(problem) => followed.set_aside(name, &problem),
                Ok(stand) => {
                    if followed.settle(name, &stand, epoch, now) == Settled::Lost {
                        tracing::warn!(
                            topic = &**name,
                            "Redis has lost events that it had confirmed: a new epoch begins"
                        );
                        let mut call = script::NEW_EPOCH.key(&shared.keys.epoch);
                        let call = call.arg(candidate()).arg(epoch);
                        let _: Value = call.invoke_async(&mut self.commands).await?;
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits for what comes, and feeds it. Returns how many topics it has named.
    async fn read(&mut self, shared: &Shared, followed: &mut Followed) -> Result<u32> {
        let (mut names, mut ids): (Vec<_>, Vec<_>) = followed
            .settled()
            .map(|(name, at)| (shared.keys.topic(name), keys::text(at)))
            .unzip();
        let topics = u32::try_from(names.len()).unwrap_or(u32::MAX);
        names.extend([shared.keys.epoch.clone(), shared.keys.wake.clone()]);
        ids.extend([keys::text(self.epoch_at), keys::text(self.wake_at)]);
        let mut command = redis::cmd("XREAD");
        command.arg("BLOCK").arg(BLOCK.as_millis() as u64);
        command
            .arg("COUNT")
            .arg((8_192 / names.len()).clamp(16, 1_024));
        command.arg("STREAMS").arg(names).arg(ids);
        let (told, when) = self.clock;
        let now = told.saturating_add(when.elapsed().as_millis() as u64);
        let mut reader = self.reader.clone();
        let answer = self.wait(shared, command.query_async(&mut reader)).await;
        let answer = match answer {
            Ok(answer) => answer,
            // A key has become something else: that one will be found and set aside.
            Err(error) if is_refusal(&error) => {
                tracing::warn!("Redis refuses to be read: {error}");
                tokio::time::sleep(LONGEST_PAUSE).await;
                followed.unsettle();
                // Where it refuses everything, this ends the session.
                self.ask(shared, followed, Vec::new()).await?;
                return Ok(0);
            }
            Err(error) => return Err(error),
        };
        let streams = reply::items(answer).ok_or_else(unexpected)?;
        if streams.is_empty() {
            self.look_around(followed).await?;
            followed.set_in_step(now);
            return Ok(0);
        }
        let mut is_new_epoch = false;
        for stream in streams {
            let [key, entries] = reply::exactly(stream).ok_or_else(unexpected)?;
            let key = reply::text(&key).ok_or_else(unexpected)?;
            if let Some(name) = shared.keys.name(key) {
                followed.feed(name, entries).ok_or_else(unexpected)?;
            } else if key == shared.keys.epoch {
                self.epoch_at = reply::last(entries).ok_or_else(unexpected)?;
                is_new_epoch = true;
            } else {
                self.wake_at = reply::last(entries).ok_or_else(unexpected)?;
            }
        }
        followed.set_in_step(now);
        if is_new_epoch {
            self.ask(shared, followed, Vec::new()).await?;
        }
        Ok(topics)
    }

    /// Waits for the answer on the reader's connection, and sees to it that it comes soon when somebody wants more to be read.
    async fn wait(
        &mut self,
        shared: &Shared,
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
                () = shared.has_changed.notified() => self.wake(shared).await?,
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
        both.query_async(&mut self.commands).await
    }

    /// Nothing has come for a while: is everything as it should be?
    async fn look_around(&mut self, followed: &mut Followed) -> Result<()> {
        let _: Value = redis::cmd("PING").query_async(&mut self.commands).await?;
        if !followed.is_all_settled() {
            followed.unsettle();
        }
        Ok(())
    }
}
