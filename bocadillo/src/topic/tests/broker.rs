//! Topics over a broker that the test controls: a replay continues with new events in every order of steps.

mod joins;

use joins::{Step, schedules};

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;

use super::super::broker::{BoxFuture, Broker, Published, Replay, TopicFeed};
use super::super::channel::Channel;
use super::super::encoded::{EventWithoutId, read};
use super::super::notice::Reason;
use super::super::position::{Position, Tag, write_one};
use super::super::{Cursor, History, Hub, SlowPolicy, Subscription};
use crate::error::Result;

/// One topic of a broker, and the connection of one node.
#[derive(Debug, Default)]
struct FakeBroker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    epoch: u64,
    /// All events of the epoch, also those that are no longer kept.
    events: Vec<Vec<u8>>,
    /// The number of events that are no longer kept.
    evicted: usize,
    feed: Option<TopicFeed>,
    asked: Vec<(Option<Position>, oneshot::Sender<Replay>)>,
    unfollowed: usize,
}

impl State {
    fn last(&self) -> Position {
        Position::new(self.events.len() as u64, 0)
    }

    fn record(&self, at: usize) -> (Position, EventWithoutId) {
        (
            Position::new(at as u64 + 1, 0),
            EventWithoutId::from_payload(&self.events[at], None).unwrap(),
        )
    }

    fn replay(&self, after: Option<Position>) -> Replay {
        let from = after.map_or(self.evicted, |after| after.major as usize);
        if from < self.evicted {
            return Err(Reason::Evicted);
        }
        if from > self.events.len() {
            return Err(Reason::Epoch);
        }
        // At most two events, so that a replay needs several requests.
        Ok((from..self.events.len())
            .take(2)
            .map(|at| self.record(at))
            .collect())
    }
}

impl Broker for FakeBroker {
    fn follow(&self, feed: TopicFeed) {
        assert_eq!(&**feed.topic(), "x");
        self.0.lock().unwrap().feed = Some(feed);
    }

    fn unfollow(&self, _: &Arc<str>, following: u64) {
        let mut state = self.0.lock().unwrap();
        if state
            .feed
            .as_ref()
            .is_some_and(|feed| feed.follow_number() <= following)
        {
            state.feed = None;
        }
        state.unfollowed += 1;
    }

    fn publish(
        &self,
        _: &Arc<Channel>,
        events: Vec<EventWithoutId>,
    ) -> BoxFuture<Result<Published>> {
        let mut state = self.0.lock().unwrap();
        let mut positions = Vec::new();
        for encoded in events {
            state.events.push(encoded.payload().to_vec());
            positions.push(state.last());
        }
        let epoch = state.epoch;
        Box::pin(async move { Ok(Published { epoch, positions }) })
    }

    fn replay(&self, _: &Arc<Channel>, after: Option<Position>, _: usize) -> BoxFuture<Replay> {
        let (answer, answered) = oneshot::channel();
        self.0.lock().unwrap().asked.push((after, answer));
        Box::pin(async move { answered.await.expect("the test answers") })
    }
}

struct World {
    broker: Arc<FakeBroker>,
    hub: Hub,
    published: u64,
}

impl World {
    fn new(history: usize, bound: usize) -> Self {
        let broker = Arc::<FakeBroker>::default();
        let hub = Hub::builder()
            .history(History::new().max_events(history).unlimited_age())
            .slow_clients(SlowPolicy::disconnect().max_buffered_bytes(bound))
            .broker(Arc::clone(&broker) as Arc<dyn Broker>);
        Self {
            broker,
            hub,
            published: 0,
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.broker.0.lock().unwrap()
    }

    fn epoch(&self) -> u64 {
        self.state().epoch
    }

    fn feed(&self) -> Option<TopicFeed> {
        self.state().feed.clone()
    }

    /// Publishes from this node or another one. The broker has the event, and no node has it yet.
    fn publish(&mut self) {
        self.published += 1;
        let payload = format!("data: {}\n\n", self.published).into_bytes();
        self.state().events.push(payload);
    }

    fn begin(&self) {
        let epoch = self.epoch();
        let last = self.state().last();
        assert!(self.feed().unwrap().begin(epoch, last));
    }

    /// Appends the next event to the feed, if there is one.
    fn feed_one(&self) {
        let feed = self.feed().unwrap();
        let last = feed.last().unwrap().major as usize;
        if last < self.state().events.len() {
            let record = self.state().record(last);
            assert!(feed.append([record]));
        }
    }

    fn answer(&self) {
        let mut state = self.state();
        if !state.asked.is_empty() {
            let (after, answer) = state.asked.remove(0);
            let _ = answer.send(state.replay(after));
        }
    }

    fn id(&self, position: u64) -> String {
        let mut id = Vec::new();
        write_one(
            Tag::new(self.epoch(), "x"),
            Position::new(position, 0),
            &mut id,
        );
        String::from_utf8(id).unwrap()
    }

    /// The data of all available events. An event without data has its name.
    fn read(subscription: &mut Subscription) -> Vec<String> {
        let mut all = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(wire)) = subscription.poll_wire(&mut context, 20) {
            let text = std::str::from_utf8(&wire).unwrap();
            for event in text.split_inclusive("\n\n") {
                all.push(read(event.as_bytes()).unwrap().data().unwrap().to_owned());
            }
        }
        all
    }

    /// Runs until there are no more events.
    fn settle(&self, subscription: &mut Subscription) -> Vec<String> {
        let mut all = Vec::new();
        let rounds = self.state().events.len() + 4;
        for _ in 0..rounds {
            all.extend(Self::read(subscription));
            self.answer();
            self.feed_one();
        }
        all.extend(Self::read(subscription));
        all
    }
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn new_events_start_where_the_node_began_to_follow() {
    let mut world = World::new(1_000, 1 << 20);
    world.publish();
    let mut subscription = world.hub.topic("x").unwrap().subscribe();
    world.begin();
    world.publish();
    world.publish();
    world.feed_one();
    world.feed_one();
    assert_eq!(World::read(&mut subscription), ["2", "3"]);
}

#[test]
fn evicted_events_cause_a_reset_before_the_remaining_events() {
    for (from_start, then) in [(false, numbers(6..=6)), (true, numbers(4..=6))] {
        let mut world = World::new(1_000, 1 << 20);
        (0..5).for_each(|_| world.publish());
        world.state().evicted = 3;
        let cursor = Cursor::after(world.id(1));
        let cursor = if from_start {
            cursor.or_start()
        } else {
            cursor
        };
        let mut subscription = world.hub.topic("x").unwrap().subscribe_from(cursor);
        world.begin();
        let mut got = world.settle(&mut subscription);
        world.publish();
        got.extend(world.settle(&mut subscription));
        assert_eq!(got[0], r#"{"reason":"evicted"}"#);
        assert_eq!(got[1..], then);
    }
}

#[test]
fn an_unknown_id_causes_a_reset() {
    let mut world = World::new(1_000, 1 << 20);
    world.publish();
    let mut subscription = world
        .hub
        .topic("x")
        .unwrap()
        .subscribe_from(Cursor::after(world.id(7)));
    world.begin();
    let mut got = world.settle(&mut subscription);
    world.publish();
    got.extend(world.settle(&mut subscription));
    assert_eq!(got, [r#"{"reason":"epoch"}"#, "2"]);
}

/// The broker comes back empty at each point of a replay and of new events. Each client gets one reset, then the new events.
#[test]
fn a_new_epoch_causes_one_reset_at_each_point_of_a_replay() {
    for cursor in [Cursor::live(), Cursor::start(), Cursor::after("id")] {
        for schedule in schedules(4) {
            let mut world = World::new(1_000, 1 << 20);
            (0..3).for_each(|_| world.publish());
            let mut cursor = cursor.clone();
            if cursor.after.is_some() {
                cursor.after = Some(world.id(1));
            }
            let mut subscription = world.hub.topic("x").unwrap().subscribe_from(cursor);
            world.begin();
            let mut got = World::read(&mut subscription);
            for step in &schedule {
                match step {
                    Step::Publish => world.publish(),
                    Step::Feed => world.feed_one(),
                    Step::Answer => world.answer(),
                    Step::Read => got.extend(World::read(&mut subscription)),
                }
            }
            {
                let mut state = world.state();
                state.epoch += 1;
                state.events.clear();
                // The new epoch answers a request of the old one.
            }
            let (feed, epoch) = (world.feed().unwrap(), world.epoch());
            assert!(feed.restart(epoch, Position::default(), Reason::Epoch));
            let before = world.published;
            world.publish();
            world.publish();
            got.extend(world.settle(&mut subscription));
            let resets: Vec<_> = got.iter().filter(|data| data.starts_with('{')).collect();
            assert_eq!(resets, [r#"{"reason":"epoch"}"#], "{schedule:?}: {got:?}");
            assert_eq!(
                got[got.len() - 2..],
                numbers(before + 1..=before + 2),
                "{schedule:?}"
            );
        }
    }
}

#[test]
fn a_topic_is_followed_while_it_has_subscribers() {
    let mut world = World::new(1_000, 1 << 20);
    let topic = world.hub.topic("x").unwrap();
    assert!(world.feed().is_none());
    let first = topic.subscribe();
    let old = world.feed().unwrap();
    world.begin();
    let second = topic.subscribe();
    drop(first);
    assert!(world.feed().is_some());
    world.publish();
    world.feed_one();
    drop(second);
    assert!(world.feed().is_none());
    let record = || world.state().record(0);
    assert!(!old.append([record()]), "the feed has ended");
    assert!(
        !old.begin(0, Position::default())
            && old.last().is_none()
            && !old.restart(1, Position::default(), Reason::Epoch)
    );
    assert_eq!(world.state().unfollowed, 1);

    let mut third = topic.subscribe_from(Cursor::start());
    assert!(
        !old.append([record()]),
        "the feed belongs to an earlier follow"
    );
    world.begin();
    assert_eq!(world.settle(&mut third), ["1"]);
    drop((third, topic));
    assert_eq!(world.hub.stats().topics, 0);
}

#[tokio::test]
async fn publishing_returns_the_ids_that_subscribers_get() {
    let world = World::new(1_000, 1 << 20);
    let topic = world.hub.topic("x").unwrap();
    let mut subscription = topic.subscribe();
    world.begin();
    let ids = topic.publish_all(["a", "b"]).await.unwrap();
    world.feed_one();
    world.feed_one();
    let mut context = Context::from_waker(Waker::noop());
    for id in ids {
        let Poll::Ready(Some(event)) = subscription.poll_event(&mut context) else {
            panic!("the event is available")
        };
        assert_eq!(event.id(), Some(&id));
    }
    let later = topic.publish("c").await.unwrap();
    assert_eq!(world.id(3), later.as_str());
}

#[test]
fn a_new_epoch_of_several_topics_causes_one_reset() {
    #[derive(Debug, Default)]
    struct Feeds(Mutex<HashMap<Arc<str>, TopicFeed>>);

    impl Broker for Feeds {
        fn follow(&self, feed: TopicFeed) {
            self.0
                .lock()
                .unwrap()
                .insert(Arc::clone(feed.topic()), feed);
        }

        fn unfollow(&self, _: &Arc<str>, _: u64) {}

        fn publish(
            &self,
            _: &Arc<Channel>,
            _: Vec<EventWithoutId>,
        ) -> BoxFuture<Result<Published>> {
            unreachable!()
        }

        fn replay(&self, _: &Arc<Channel>, _: Option<Position>, _: usize) -> BoxFuture<Replay> {
            unreachable!()
        }
    }

    let broker = Arc::<Feeds>::default();
    let hub = Hub::builder().broker(Arc::clone(&broker) as Arc<dyn Broker>);
    let mut both = hub.subscribe(["a", "b"]).unwrap();
    let feed = |topic: &str| broker.0.lock().unwrap()[topic].clone();
    let record = |at: u64, text: &str| {
        (
            Position::new(at, 0),
            EventWithoutId::from_payload(format!("data: {text}\n\n").as_bytes(), None).unwrap(),
        )
    };
    assert!(feed("a").begin(1, Position::new(5, 0)));
    assert!(feed("a").append([record(6, "a6")]));
    assert!(feed("b").begin(1, Position::new(7, 0)));
    assert!(feed("b").append([record(8, "b8")]));
    assert_eq!(World::read(&mut both), ["a6", "b8"]);
    for topic in ["a", "b"] {
        assert!(feed(topic).restart(2, Position::default(), Reason::Epoch));
        assert!(feed(topic).append([record(1, topic)]));
    }
    let got = World::read(&mut both);
    assert_eq!(got, [r#"{"reason":"epoch","topics":["a","b"]}"#, "a", "b"]);
}
