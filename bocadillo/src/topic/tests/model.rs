//! Compares the hub with a simple model, in ten thousand random schedules.
//!
//! The model keeps plain lists, and searches them from the start. It follows the documented rules for the history, the events of slow
//! subscribers, the start of a cursor, and the policies.
//!
//! The file is long because the model and the schedule that runs beside it are one state machine.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::super::encoded::read;
use super::super::position::{Position, Tag, read_one, read_several, write_one, write_several};
use super::super::{Cursor, History, Hub, SlowPolicy, Subscription, Topic};
use crate::event::ServerEvent;

const TOPICS: [&str; 2] = ["a", "b"];

/// Splitmix64. A failure shows the seed. The same seed gives the same schedule.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

#[derive(Clone, Copy, Debug)]
struct Rules {
    events: usize,
    bytes: usize,
    age: Option<Duration>,
    bound: usize,
    slow: Slow,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Slow {
    Disconnect,
    DropOldest,
    Conflate,
}

#[derive(Clone, Debug)]
struct Event {
    sequence: u64,
    size: usize,
    at: Instant,
    key: Option<String>,
    data: String,
    /// An event that has left the history does not come back when later events are replaced.
    is_history: bool,
}

/// An event or a notice that a client gets.
#[derive(Clone, Debug, PartialEq)]
enum Sent {
    Event {
        data: String,
        id: Vec<u64>,
    },
    Reset {
        reason: &'static str,
        topics: Vec<&'static str>,
        id: Vec<u64>,
    },
    Gap {
        dropped: u64,
        topics: Vec<&'static str>,
        id: Vec<u64>,
    },
}

#[derive(Default)]
struct ModelTopic {
    kept: Vec<Event>,
    last: u64,
    lost: u64,
    readers: Vec<(usize, u64)>,
}

impl ModelTopic {
    fn total(&self) -> usize {
        self.kept.iter().map(|event| event.size).sum()
    }

    fn history_start(&self, rules: &Rules, now: Instant) -> usize {
        (0..self.kept.len())
            .find(|&at| {
                let rest = &self.kept[at..];
                rest[0].is_history
                    && rest.len() <= rules.events
                    && rest.iter().map(|event| event.size).sum::<usize>() <= rules.bytes
                    && rules.age.is_none_or(|age| now - rest[0].at < age)
            })
            .unwrap_or(self.kept.len())
    }

    /// The size of the events that are kept only for one reader: the unread events outside of the history, without its next event.
    fn debt(&self, next: u64) -> usize {
        let wanted = self.kept.iter().filter(|event| event.sequence >= next);
        let rest = wanted.skip(1).filter(|event| !event.is_history);
        rest.map(|event| event.size).sum()
    }

    fn mark(&mut self, rules: &Rules, now: Instant) {
        let start = self.history_start(rules, now);
        for event in &mut self.kept[..start] {
            event.is_history = false;
        }
    }

    fn trim(&mut self, rules: &Rules, now: Instant) {
        self.mark(rules, now);
        // Readers that are too far behind lose one event after the other.
        while let Some(front) = self.kept.first().filter(|event| !event.is_history) {
            let is_kept_for = |next: u64| {
                let goes_on = rules.slow != Slow::Disconnect;
                let is_cut = next <= self.lost && !goes_on;
                next <= front.sequence && !is_cut && self.debt(next) <= rules.bound
            };
            if self.readers.iter().any(|(_, next)| is_kept_for(*next)) {
                break;
            }
            self.lost = front.sequence;
            self.kept.remove(0);
        }
    }

    fn is_over(&self) -> bool {
        self.kept.iter().any(|event| !event.is_history)
    }

    fn publish(&mut self, rules: &Rules, events: Vec<Event>, now: Instant) {
        for event in events {
            if rules.slow == Slow::Conflate && event.key.is_some() {
                self.kept.retain(|older| older.key != event.key);
            }
            self.last = event.sequence;
            self.kept.push(event);
        }
        self.trim(rules, now);
    }

    fn next(&mut self, reader: usize) -> &mut u64 {
        &mut self
            .readers
            .iter_mut()
            .find(|(id, _)| *id == reader)
            .unwrap()
            .1
    }

    /// The start of a reader without a cursor: the sequence before its first event.
    fn fresh(&mut self, rules: &Rules, from_start: bool, now: Instant) -> u64 {
        if !from_start {
            return self.before(self.last + 1);
        }
        self.mark(rules, now);
        self.before(
            self.kept
                .get(self.history_start(rules, now))
                .map_or(self.last + 1, |event| event.sequence),
        )
    }

    /// The sequence of the event before `next`, or of the last lost event.
    fn before(&self, next: u64) -> u64 {
        let earlier = self
            .kept
            .iter()
            .map(|event| event.sequence)
            .filter(|sequence| *sequence < next);
        earlier.max().unwrap_or(self.lost)
    }
}

enum Taken {
    Events(Vec<Event>),
    Gap { dropped: u64, position: u64 },
    End,
}

/// An event, or the number of dropped events and the last of them.
type Item = Result<Event, (u64, u64)>;

struct Client {
    id: usize,
    subscription: Subscription,
    topics: Vec<usize>,
    sent: Vec<u64>,
    opening: Option<Sent>,
    queue: VecDeque<(usize, Item)>,
    has_ended: bool,
}

struct World {
    random: Random,
    rules: Rules,
    hub: Hub,
    handles: Vec<Topic>,
    tags: Vec<Tag>,
    topics: [ModelTopic; 2],
    clients: Vec<Client>,
    clients_ever: usize,
    /// The last ids of clients that left.
    left: Vec<(Vec<usize>, String)>,
    published: usize,
    log: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let rules = Rules {
            events: random.pick(&[0, 1, 3, 8, 1_000]),
            bytes: random.pick(&[0, 100, 400, 1 << 20]),
            age: random.pick(&[None, Some(Duration::from_secs(5))]),
            bound: random.pick(&[0, 60, 200, 1_000, 1 << 20]),
            slow: random.pick(&[Slow::Disconnect, Slow::DropOldest, Slow::Conflate]),
        };
        let mut history = History::new()
            .max_events(rules.events)
            .max_bytes(rules.bytes)
            .unlimited_age();
        if let Some(age) = rules.age {
            history = history.max_age(age);
        }
        let slow = match rules.slow {
            Slow::Disconnect => SlowPolicy::disconnect(),
            Slow::DropOldest => SlowPolicy::drop_oldest(),
            Slow::Conflate => SlowPolicy::conflate_by_name(),
        };
        let hub = Hub::builder()
            .history(history)
            .slow_clients(slow.max_buffered_bytes(rules.bound))
            .memory();
        // In this test, sweeps are steps of the schedule.
        hub.inner.stop_sweeper();
        let handles: Vec<_> = TOPICS
            .iter()
            .map(|topic| hub.topic(topic).unwrap())
            .collect();
        // This is first, because a subscription that ends at once has effects.
        let tag = |topic: &Topic| {
            let id = topic.subscribe().last_id().unwrap();
            read_one(id.as_str()).unwrap().0
        };
        let tags = handles.iter().map(tag).collect();
        Self {
            random,
            rules,
            hub,
            handles,
            tags,
            topics: Default::default(),
            clients: Vec::new(),
            clients_ever: 0,
            left: Vec::new(),
            published: 0,
            log: vec![format!("{rules:?}")],
        }
    }

    async fn step(&mut self) {
        match self.random.below(20) {
            0..=4 => self.publish(1).await,
            5 => {
                let events = 2 + self.random.below(4);
                self.publish(events).await;
            }
            6..=8 => self.subscribe(),
            9..=16 if !self.clients.is_empty() => self.read(),
            17 if !self.clients.is_empty() => self.leave(),
            18 => {
                let time = self.random.pick(&[1, 2, 3, 6]);
                self.log.push(format!("{time} s pass"));
                tokio::time::advance(Duration::from_secs(time)).await;
            }
            19 => {
                self.log.push("sweep".to_owned());
                self.hub.inner.sweep();
                self.topics
                    .iter_mut()
                    .for_each(|topic| topic.trim(&self.rules, Instant::now()));
            }
            _ => {}
        }
    }

    async fn publish(&mut self, events: usize) {
        let at = self.random.below(2);
        let now = Instant::now();
        let mut real = Vec::new();
        let mut model = Vec::new();
        for nth in 0..events {
            self.published += 1;
            let data = format!(
                "{}{}",
                self.published,
                "x".repeat(self.random.pick(&[0, 0, 7, 60]))
            );
            let key = self
                .random
                .pick(&[None, Some("k1"), Some("k2"), Some("k3")]);
            let mut event = ServerEvent::new(data.clone());
            if let Some(key) = key {
                event = event.with_name(crate::event::EventName::try_from(key).unwrap());
            }
            real.push(event);
            let sequence = self.topics[at].last + 1 + nth as u64;
            let mut size = format!("id: 12345678-{sequence}\ndata: {data}\n\n").len();
            size += key.map_or(0, |key| format!("event: {key}\n").len());
            model.push(Event {
                sequence,
                size,
                at: now,
                key: key.map(str::to_owned),
                data,
                is_history: true,
            });
        }
        self.log.push(format!(
            "publish {} {:?}",
            TOPICS[at],
            model.iter().map(|event| event.sequence).collect::<Vec<_>>()
        ));
        let ids = if events == 1 {
            vec![self.handles[at].publish(real.remove(0)).await.unwrap()]
        } else {
            self.handles[at].publish_all(real).await.unwrap()
        };
        let sequences: Vec<_> = ids
            .iter()
            .map(|id| read_one(id.as_str()).unwrap().1.major)
            .collect();
        assert_eq!(
            sequences,
            model.iter().map(|event| event.sequence).collect::<Vec<_>>()
        );
        self.topics[at].publish(&self.rules, model, now);
    }

    fn tag(&self, topics: &[usize]) -> Tag {
        match *topics {
            [at] => self.tags[at],
            _ => Tag::of_all(topics.iter().map(|at| self.tags[*at])),
        }
    }

    fn id(&self, topics: &[usize], sent: &[u64]) -> String {
        let positions: Vec<_> = sent
            .iter()
            .map(|sequence| Position::new(*sequence, 0))
            .collect();
        let mut out = Vec::new();
        match positions[..] {
            [position] => write_one(self.tag(topics), position, &mut out),
            _ => write_several(
                self.tag(topics),
                positions.iter().copied().map(Some),
                &mut out,
            ),
        }
        String::from_utf8(out).unwrap()
    }

    fn subscribe(&mut self) {
        let topics = self.random.pick(&[&[0][..], &[1], &[0, 1]]).to_vec();
        let after = match self.random.below(8) {
            0..=2 => None,
            3..=5 if !self.left.is_empty() => {
                let at = self.random.below(self.left.len());
                Some(self.left[at].1.clone())
            }
            6 => Some(
                self.random
                    .pick(&["x", "12345678-", "\0", "AAAAAAAA-5", "-1"])
                    .to_owned(),
            ),
            _ => {
                let sent: Vec<_> = topics
                    .iter()
                    .map(|at| self.random.below(self.topics[*at].last as usize + 3) as u64)
                    .collect();
                Some(self.id(&topics, &sent))
            }
        };
        let from_start = self.random.below(2) == 0;
        self.log.push(format!(
            "client {} subscribes to {topics:?} after {after:?}, from start {from_start}",
            self.clients_ever
        ));

        let positions: Option<Result<Vec<u64>, &'static str>> = after.as_deref().map(|text| {
            let (tag, positions) = if topics.len() == 1 {
                read_one(text)
                    .map(|(tag, position)| (tag, vec![position]))
                    .ok_or("unreadable")?
            } else {
                let (tag, positions) = read_several(text).ok_or("unreadable")?;
                let positions: Option<_> = positions.into_iter().collect();
                (
                    tag,
                    positions.expect("every topic of a memory hub is known"),
                )
            };
            if tag != self.tag(&topics) {
                return Err("epoch");
            }
            Ok(positions.iter().map(|position| position.major).collect())
        });
        let (id, now) = (self.clients_ever, Instant::now());
        self.clients_ever += 1;
        let (mut sent, mut reset) = (Vec::new(), None::<(&'static str, Vec<&'static str>)>);
        // The real reader starts at the newest event before it uses its cursor.
        for at in &topics {
            let next = self.topics[*at].last + 1;
            self.topics[*at].readers.push((id, next));
        }
        for (nth, at) in topics.iter().enumerate() {
            let topic = &mut self.topics[*at];
            let outcome = match &positions {
                None => Ok(None),
                Some(Err(reason)) => Err(*reason),
                Some(Ok(positions)) => {
                    topic.trim(&self.rules, now);
                    match positions[nth] {
                        position if position < topic.lost => Err("evicted"),
                        position if position > topic.last => Err("epoch"),
                        position => Ok(Some(position)),
                    }
                }
            };
            let position = match outcome {
                Ok(Some(position)) => position,
                Ok(None) => topic.fresh(&self.rules, from_start, now),
                Err(reason) => {
                    reset
                        .get_or_insert((reason, Vec::new()))
                        .1
                        .push(TOPICS[*at]);
                    topic.fresh(&self.rules, from_start, now)
                }
            };
            let is_after = matches!(outcome, Ok(Some(_)));
            *topic.next(id) = if is_after {
                topic
                    .kept
                    .iter()
                    .map(|event| event.sequence)
                    .find(|sequence| *sequence > position)
                    .unwrap_or(topic.last + 1)
            } else if from_start {
                topic
                    .kept
                    .get(topic.history_start(&self.rules, now))
                    .map_or(topic.last + 1, |event| event.sequence)
            } else {
                topic.last + 1
            };
            sent.push(position);
        }
        let opening = reset.map(|(reason, mut named)| {
            if topics.len() == 1 {
                named.clear();
            }
            Sent::Reset {
                reason,
                topics: named,
                id: sent.clone(),
            }
        });

        let cursor = after.map_or_else(Cursor::live, Cursor::after);
        let cursor = if from_start {
            cursor.or_start()
        } else {
            cursor
        };
        let subscription = if let [at] = topics[..] {
            self.hub.topic(TOPICS[at]).unwrap().subscribe_from(cursor)
        } else {
            self.hub.subscribe_from(TOPICS, cursor).unwrap()
        };
        self.clients.push(Client {
            id,
            subscription,
            topics,
            sent,
            opening,
            queue: VecDeque::new(),
            has_ended: false,
        });
    }

    fn take(
        topic: &mut ModelTopic,
        rules: &Rules,
        reader: usize,
        limit: usize,
        most: usize,
    ) -> Option<Taken> {
        let (last, lost) = (topic.last, topic.lost);
        let next = topic.next(reader);
        if *next <= lost {
            let dropped = lost + 1 - *next;
            if rules.slow == Slow::Disconnect {
                *next = u64::MAX;
                return Some(Taken::End);
            }
            *next = lost + 1;
            return Some(Taken::Gap {
                dropped,
                position: lost,
            });
        }
        let from = *next;
        let mut taken: Vec<Event> = Vec::new();
        for event in topic.kept.iter().filter(|event| event.sequence >= from) {
            if taken.len() == most {
                break;
            }
            if !taken.is_empty()
                && taken.iter().map(|event| event.size).sum::<usize>() + event.size > limit
            {
                break;
            }
            taken.push(event.clone());
        }
        *topic.next(reader) = taken.last()?.sequence + 1;
        debug_assert!(taken.last()?.sequence <= last);
        if topic.is_over() {
            topic.trim(rules, Instant::now());
        }
        Some(Taken::Events(taken))
    }

    /// The next events of the client in the model. `None` is nothing yet, and `Some(empty)` is the end. A batch that is shared with
    /// other readers may be shorter than the limit, so `most` is the number of events that the client received.
    fn expected(&mut self, client: usize, limit: usize, most: usize) -> Option<Vec<Sent>> {
        let client = &mut self.clients[client];
        if let Some(opening) = client.opening.take() {
            return Some(vec![opening]);
        }
        if let [at] = client.topics[..] {
            if client.has_ended {
                return Some(Vec::new());
            }
            return Some(
                match Self::take(&mut self.topics[at], &self.rules, client.id, limit, most)? {
                    Taken::End => {
                        client.has_ended = true;
                        Vec::new()
                    }
                    Taken::Gap { dropped, position } => {
                        client.sent[0] = position;
                        vec![Sent::Gap {
                            dropped,
                            topics: Vec::new(),
                            id: vec![position],
                        }]
                    }
                    Taken::Events(events) => {
                        client.sent[0] = events.last()?.sequence;
                        let sent = |event: Event| Sent::Event {
                            data: event.data,
                            id: vec![event.sequence],
                        };
                        events.into_iter().map(sent).collect()
                    }
                },
            );
        }
        if client.queue.is_empty() && !client.has_ended {
            let mut taken = Vec::new();
            for nth in 0..client.topics.len() {
                match Self::take(
                    &mut self.topics[client.topics[nth]],
                    &self.rules,
                    client.id,
                    limit / 2,
                    usize::MAX,
                ) {
                    None => {}
                    Some(Taken::End) => client.has_ended = true,
                    Some(Taken::Gap { dropped, position }) => {
                        taken.push((None, nth, Err((dropped, position))))
                    }
                    Some(Taken::Events(events)) => {
                        taken.extend(
                            events
                                .into_iter()
                                .map(|event| (Some(event.at), nth, Ok(event))),
                        );
                    }
                }
            }
            taken.sort_by_key(|(at, ..)| *at);
            client
                .queue
                .extend(taken.into_iter().map(|(_, nth, item)| (nth, item)));
        }
        if client.queue.is_empty() {
            return client.has_ended.then(Vec::new);
        }
        let (mut sent, mut bytes) = (Vec::new(), 0);
        while let Some((nth, item)) = client.queue.pop_front() {
            let topics = vec![TOPICS[client.topics[nth]]];
            match item {
                Ok(event) => {
                    client.sent[nth] = event.sequence;
                    // An id of two topics has the tag, and for each topic a dot and one or two digits.
                    let digits: usize = client
                        .sent
                        .iter()
                        .map(|sequence| if *sequence < 62 { 1 } else { 2 })
                        .sum();
                    bytes +=
                        event.size - format!("12345678-{}", event.sequence).len() + 10 + digits;
                    sent.push(Sent::Event {
                        data: event.data,
                        id: client.sent.clone(),
                    });
                }
                Err((dropped, position)) => {
                    client.sent[nth] = position;
                    let digits: usize = client
                        .sent
                        .iter()
                        .map(|sequence| if *sequence < 62 { 1 } else { 2 })
                        .sum();
                    let data = format!(r#"{{"dropped":{dropped},"topics":["{}"]}}"#, topics[0]);
                    bytes += format!("id: \nevent: gap\ndata: {data}\n\n").len() + 10 + digits;
                    sent.push(Sent::Gap {
                        dropped,
                        topics,
                        id: client.sent.clone(),
                    });
                }
            }
            if client
                .queue
                .front()
                .is_none_or(|(_, next)| bytes + next.as_ref().map_or(0, |event| event.size) > limit)
            {
                break;
            }
        }
        Some(sent)
    }

    fn read(&mut self) {
        let at = self.random.below(self.clients.len());
        let limit = self.random.pick(&[1, 1, 50, 150, 400, 1 << 16]);
        self.log.push(format!(
            "client {} reads up to {limit}",
            self.clients[at].id
        ));
        let client = &mut self.clients[at];
        let mut context = Context::from_waker(Waker::noop());
        let got = if limit == 1 && self.random.below(2) == 0 {
            client
                .subscription
                .poll_event(&mut context)
                .map(|event| event.map(|event| vec![parse(event)]))
        } else {
            client
                .subscription
                .poll_wire(&mut context, limit)
                .map(|wire| {
                    wire.map(|wire| {
                        let text = std::str::from_utf8(&wire).unwrap();
                        text.split_inclusive("\n\n")
                            .map(|event| parse(read(event.as_bytes()).unwrap()))
                            .collect()
                    })
                })
        };
        let got = match got {
            Poll::Pending => None,
            Poll::Ready(got) => Some(got.unwrap_or_default()),
        };
        let expected = self.expected(at, limit, got.as_ref().map_or(usize::MAX, Vec::len).max(1));
        if let Some(last) = got.as_ref().and_then(|got| got.last()) {
            let (Sent::Event { id, .. } | Sent::Reset { id, .. } | Sent::Gap { id, .. }) = last;
            let text = self.clients[at].subscription.last_id().unwrap();
            assert_eq!(self.id(&self.clients[at].topics, id), text.as_str());
        }
        assert_eq!(got, expected);
        self.log.push(format!("  {got:?}"));
    }

    fn leave(&mut self) {
        let at = self.random.below(self.clients.len());
        let client = self.clients.swap_remove(at);
        self.log.push(format!("client {} leaves", client.id));
        self.left
            .push((client.topics.clone(), self.id(&client.topics, &client.sent)));
        drop(client.subscription);
        for at in client.topics {
            let topic = &mut self.topics[at];
            topic.readers.retain(|(id, _)| *id != client.id);
            if topic.is_over() {
                topic.trim(&self.rules, Instant::now());
            }
        }
    }

    fn check_sizes(&self) {
        let stats = self.hub.stats();
        let kept: usize = self.topics.iter().map(|topic| topic.kept.len()).sum();
        let bytes: usize = self.topics.iter().map(ModelTopic::total).sum();
        assert_eq!((stats.events, stats.bytes), (kept, bytes));
        assert_eq!(
            stats.subscribers,
            self.topics
                .iter()
                .map(|topic| topic.readers.len())
                .sum::<usize>()
        );
    }
}

fn parse(event: ServerEvent) -> Sent {
    let text = event.id().unwrap().as_str();
    let id: Vec<u64> = match read_one(text) {
        Some((_, position)) => vec![position.major],
        None => read_several(text)
            .unwrap()
            .1
            .iter()
            .map(|position| position.unwrap().major)
            .collect(),
    };
    let data = event.data().unwrap().to_owned();
    let known = |text: &str, of: &[&'static str]| *of.iter().find(|known| **known == text).unwrap();
    let json = || -> serde_json::Value { serde_json::from_str(&data).unwrap() };
    let topics = |json: &serde_json::Value| {
        let topics = json["topics"].as_array().into_iter().flatten();
        topics
            .map(|topic| known(topic.as_str().unwrap(), &TOPICS))
            .collect()
    };
    match event.name().map(|name| name.as_str().to_owned()).as_deref() {
        Some("reset") => {
            let json = json();
            let reason = known(
                json["reason"].as_str().unwrap(),
                &["evicted", "epoch", "unreadable"],
            );
            Sent::Reset {
                reason,
                topics: topics(&json),
                id,
            }
        }
        Some("gap") => {
            let json = json();
            Sent::Gap {
                dropped: json["dropped"].as_u64().unwrap(),
                topics: topics(&json),
                id,
            }
        }
        _ => Sent::Event { data, id },
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_random_schedules_give_what_the_model_gives() {
    for seed in 0..10_000 {
        let mut world = World::new(seed);
        // Printed only when an assertion fails.
        struct Story<'a>(u64, &'a mut World);
        impl Drop for Story<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    eprintln!("seed {}\n{}", self.0, self.1.log.join("\n"));
                }
            }
        }
        let story = Story(seed, &mut world);
        for _ in 0..80 {
            story.1.step().await;
            story.1.check_sizes();
        }
    }
}
