//! The time between a subscription and the broker's answer: publishers that wait, resets, and events that come meanwhile.

mod random;
mod several;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::super::broker::{BoxFuture, Broker, Published, Replay, TopicFeed};
use super::super::channel::Channel;
use super::super::encoded::{EventWithoutId, read};
use super::super::notice::Reason;
use super::super::position::Position;
use super::super::{Cursor, Hub, HubBuilder, Subscription};
use crate::error::Result;
use crate::event::EventId;

/// A broker that answers a follow when the test calls `begin`. It answers other calls at once.
#[derive(Debug, Default)]
pub(super) struct Script(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    epoch: u64,
    topics: HashMap<Arc<str>, Topic>,
    /// Whether the broker interrupts each follow at once.
    is_away: bool,
    starts: usize,
    /// The requested number of bytes of each replay.
    replay_limits: Vec<usize>,
}

#[derive(Debug, Default)]
struct Topic {
    events: Vec<Vec<u8>>,
    evicted: usize,
    feed: Option<TopicFeed>,
    /// The epoch in which the feed has begun or was restarted.
    fed_epoch: Option<u64>,
}

impl Topic {
    fn last(&self) -> Position {
        Position::new(self.events.len() as u64, 0)
    }
}

impl Script {
    pub(super) fn new() -> (Arc<Self>, Hub) {
        Self::with(Hub::builder())
    }

    fn with(builder: HubBuilder) -> (Arc<Self>, Hub) {
        let script = Arc::<Self>::default();
        let hub = builder.broker(Arc::clone(&script) as Arc<dyn Broker>);
        (script, hub)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn feed(&self, topic: &str) -> TopicFeed {
        self.state().topics[topic].feed.clone().unwrap()
    }

    /// Answers a follow, or starts a new epoch.
    pub(super) fn begin(&self, topic: &str) {
        let feed = self.feed(topic);
        let (epoch, last, fed) = {
            let mut state = self.state();
            let epoch = state.epoch;
            let topic = state.topics.get_mut(topic).unwrap();
            let fed = topic.fed_epoch.replace(epoch);
            (epoch, topic.last(), fed)
        };
        if fed.is_none() {
            assert!(feed.begin(epoch, last));
        } else if fed != Some(epoch) {
            assert!(feed.restart(epoch, last, Reason::Epoch));
        }
    }

    fn lose_all(&self) {
        let mut state = self.state();
        state.epoch += 1;
        state
            .topics
            .values_mut()
            .for_each(|topic| topic.events.clear());
    }

    pub(super) fn replay_limits(&self) -> Vec<usize> {
        self.state().replay_limits.clone()
    }

    fn interrupt(&self, topic: &str) {
        assert!(self.feed(topic).interrupt());
    }

    /// Stores an event. The feed gets the event if it has begun.
    fn store(&self, topic: &str, payload: &[u8]) -> Position {
        let (position, feed) = {
            let mut state = self.state();
            let epoch = state.epoch;
            let topic = state.topics.entry(topic.into()).or_default();
            topic.events.push(payload.to_vec());
            let is_fed = topic.fed_epoch == Some(epoch);
            (topic.last(), topic.feed.clone().filter(|_| is_fed))
        };
        if let Some(feed) = feed {
            feed.append([(
                position,
                EventWithoutId::from_payload(payload, None).unwrap(),
            )]);
        }
        position
    }

    fn elsewhere(&self, topic: &str, text: &str) {
        self.store(topic, format!("data: {text}\n\n").as_bytes());
    }
}

impl Broker for Script {
    fn follow(&self, feed: TopicFeed) {
        let is_away = {
            let mut state = self.state();
            let topic = state.topics.entry(Arc::clone(feed.topic())).or_default();
            (topic.feed, topic.fed_epoch) = (Some(feed.clone()), None);
            state.is_away
        };
        if is_away {
            feed.interrupt();
        }
    }

    fn start(&self) {
        self.state().starts += 1;
    }

    fn unfollow(&self, topic: &Arc<str>, following: u64) {
        let mut state = self.state();
        let feed = &mut state.topics.get_mut(topic).unwrap().feed;
        if feed
            .as_ref()
            .is_some_and(|feed| feed.follow_number() <= following)
        {
            *feed = None;
        }
    }

    fn publish(
        &self,
        topic: &Arc<Channel>,
        events: Vec<EventWithoutId>,
    ) -> BoxFuture<Result<Published>> {
        let store = |encoded: EventWithoutId| self.store(topic.name(), encoded.payload());
        let positions = events.into_iter().map(store).collect();
        let epoch = self.state().epoch;
        Box::pin(async move { Ok(Published { epoch, positions }) })
    }

    fn replay(
        &self,
        topic: &Arc<Channel>,
        after: Option<Position>,
        limit: usize,
    ) -> BoxFuture<Replay> {
        let mut state = self.state();
        state.replay_limits.push(limit);
        let topic = &state.topics[topic.name()];
        let from = after.map_or(topic.evicted, |after| after.major as usize);
        let replay = if from < topic.evicted {
            Err(Reason::Evicted)
        } else if from > topic.events.len() {
            Err(Reason::Epoch)
        } else {
            let record = |at: usize| {
                let encoded = EventWithoutId::from_payload(&topic.events[at], None).unwrap();
                (Position::new(at as u64 + 1, 0), encoded)
            };
            Ok((from..topic.events.len()).map(record).collect())
        };
        Box::pin(async move { replay })
    }
}

/// The data of all available events.
fn drain(subscription: &mut Subscription) -> Vec<String> {
    let mut all = Vec::new();
    while let Poll::Ready(Some(wire)) =
        subscription.poll_wire(&mut Context::from_waker(Waker::noop()), 1 << 16)
    {
        let text = std::str::from_utf8(&wire).unwrap();
        all.extend(text.split_inclusive("\n\n").map(|event| {
            let event = read(event.as_bytes()).unwrap();
            event.data().unwrap().to_owned()
        }));
    }
    all
}

const MISSED: &str = r#"{"reason":"missed"}"#;

#[tokio::test(start_paused = true)]
async fn a_publish_waits_for_an_earlier_follow_of_its_topic() {
    let (script, hub) = Script::new();
    let topic = hub.topic("x").unwrap();
    let mut first = topic.subscribe();
    let mut second = topic.subscribe();
    let mut one = std::pin::pin!(topic.publish("1"));
    let mut all = std::pin::pin!(topic.publish_all(["2", "3"]));
    assert!(one.as_mut().now_or_never().is_none());
    assert!(all.as_mut().now_or_never().is_none());
    assert_eq!(script.state().topics["x"].events.len(), 0);
    script.begin("x");
    one.await.unwrap();
    all.await.unwrap();
    assert_eq!(
        drain(&mut first),
        ["1", "2", "3"],
        "the client gets no reset"
    );
    assert_eq!(drain(&mut second), ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn publishing_does_not_wait_without_an_open_follow() {
    let (script, hub) = Script::new();
    let topic = hub.topic("x").unwrap();
    let _other = hub.topic("y").unwrap().subscribe();
    let publish = || {
        topic
            .publish("1")
            .now_or_never()
            .expect("the publish does not wait")
    };
    publish().unwrap();
    let subscription = topic.subscribe();
    let mut waiting = std::pin::pin!(topic.publish("2"));
    assert!(waiting.as_mut().now_or_never().is_none());
    // The next subscription comes after the publish.
    drop(subscription);
    let _later = topic.subscribe();
    assert!(waiting.as_mut().now_or_never().is_some());
    script.begin("x");
    let _third = topic.subscribe();
    publish().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_follow_does_not_delay_publishing_and_causes_one_reset() {
    for at_once in [false, true] {
        let (script, hub) = Script::new();
        script.state().is_away = at_once;
        let topic = hub.topic("x").unwrap();
        let mut before = topic.subscribe();
        if !at_once {
            let mut waiting = std::pin::pin!(topic.publish("1"));
            assert!(waiting.as_mut().now_or_never().is_none());
            script.interrupt("x");
            waiting
                .now_or_never()
                .expect("the publish continues")
                .unwrap();
        }
        let publish = |text| topic.publish(text).now_or_never().unwrap().unwrap();
        publish("2");
        let mut after = topic.subscribe();
        let mut from_start = topic.subscribe_from(Cursor::start());
        publish("3");
        script.begin("x");
        let mut late = topic.subscribe();
        publish("4");
        assert_eq!(drain(&mut before), [MISSED, "4"]);
        assert_eq!(drain(&mut after), [MISSED, "4"]);
        assert_eq!(
            drain(&mut late),
            ["4"],
            "the client came after the feed had begun"
        );
        let all: Vec<_> = (if at_once { 2..5 } else { 1..5 })
            .map(|number| number.to_string())
            .collect();
        assert_eq!(drain(&mut from_start), all, "the history has all events");
        assert!(
            script.feed("x").interrupt(),
            "the feed has not ended, and the interrupt has no effect"
        );
        drop((before, after, late, from_start));

        // The next follow of the topic on this node starts without the interruption.
        script.state().is_away = false;
        let mut again = topic.subscribe();
        assert!(topic.publish("5").now_or_never().is_none());
        script.begin("x");
        publish("6");
        assert_eq!(drain(&mut again), ["6"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_resumes_after_the_id_of_a_reset() {
    let (script, hub) = Script::new();
    script.state().is_away = true;
    let topic = hub.topic("x").unwrap();
    let mut subscription = topic.subscribe();
    script.elsewhere("x", "1");
    script.begin("x");
    let reset = subscription.next().await.unwrap();
    assert_eq!(reset.data(), Some(MISSED));
    script.elsewhere("x", "2");
    let mut again = topic.subscribe_from(reset.id());
    assert_eq!(drain(&mut again), ["2"]);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_works_the_same_if_the_broker_answers_late() {
    let (script, hub) = Script::new();
    let topic = hub.topic("x").unwrap();
    let ids = topic.publish_all(["1", "2", "3"]).await.unwrap();
    script.state().is_away = true;
    let mut subscription = topic.subscribe_from(&ids[0]);
    topic.publish("4").now_or_never().unwrap().unwrap();
    script.begin("x");
    topic.publish("5").await.unwrap();
    assert_eq!(drain(&mut subscription), ["2", "3", "4", "5"]);
    drop(subscription);

    let mut subscription = topic.subscribe_from("nonsense");
    topic.publish("6").now_or_never().unwrap().unwrap();
    script.begin("x");
    assert_eq!(drain(&mut subscription), [r#"{"reason":"unreadable"}"#]);
}

#[tokio::test(start_paused = true)]
async fn a_follow_without_an_answer_delays_publishing_once_for_two_seconds() {
    let (script, hub) = Script::new();
    let topic = hub.topic("x").unwrap();
    let mut subscription = topic.subscribe();
    let started = Instant::now();
    topic.publish("1").await.unwrap();
    let waited = started.elapsed();
    // The timer of the runtime counts in milliseconds.
    let bound = Duration::from_secs(2);
    assert!(
        (bound..bound + Duration::from_millis(2)).contains(&waited),
        "{waited:?}"
    );
    topic
        .publish("2")
        .now_or_never()
        .expect("only the first publish waits")
        .unwrap();
    script.begin("x");
    topic.publish("3").await.unwrap();
    assert_eq!(drain(&mut subscription), [MISSED, "3"]);
}

#[tokio::test(start_paused = true)]
async fn ready_waits_for_the_broker_and_can_be_called_again() {
    let (script, hub) = Script::new();
    let mut both = hub.subscribe(["a", "b"]).unwrap();
    assert!(both.ready().now_or_never().is_none());
    script.begin("a");
    assert!(both.ready().now_or_never().is_none(), "`b` has not begun");
    script.interrupt("b");
    assert!(
        both.ready().now_or_never().is_none(),
        "an event of `b` could be missed"
    );
    let begin = async {
        tokio::task::yield_now().await;
        script.begin("b");
    };
    tokio::join!(both.ready(), begin);
    both.ready()
        .now_or_never()
        .expect("the subscription stays ready");
    script.elsewhere("b", "1");
    assert_eq!(
        drain(&mut both),
        [B_MISSED, "1"],
        "`ready` has taken no event"
    );

    let (script, hub) = Script::new();
    let mut one = hub.topic("x").unwrap().subscribe();
    assert!(one.ready().now_or_never().is_none());
    script.begin("x");
    one.ready().now_or_never().unwrap();

    let mut memory = Hub::memory().topic("x").unwrap().subscribe_from("nonsense");
    memory
        .ready()
        .now_or_never()
        .expect("a memory hub is ready at once");
    let reset = memory.next().await.unwrap();
    assert_eq!(reset.data(), Some(r#"{"reason":"unreadable"}"#));
}

/// `follow` may have been called outside of the runtime.
#[tokio::test(start_paused = true)]
async fn waiting_for_a_feed_starts_the_broker() {
    let (script, hub) = Script::new();
    let topic = hub.topic("x").unwrap();
    let mut subscription = topic.subscribe();
    let starts = || std::mem::take(&mut script.state().starts);
    starts();
    assert!(subscription.next().now_or_never().is_none());
    assert_eq!(starts(), 1, "polling a stream starts the broker");
    assert!(topic.publish("1").now_or_never().is_none());
    assert_eq!(starts(), 1, "a publish starts the broker");
    script.begin("x");
    assert!(subscription.next().now_or_never().is_none());
    topic.publish("2").await.unwrap();
    assert_eq!(starts(), 0, "nothing waits for the feed");
}

/// An application may send the last id in one of its own events.
#[tokio::test(start_paused = true)]
async fn the_last_id_does_not_skip_a_reset() {
    let (script, hub) = Script::new();
    let topic = hub.topic("x").unwrap();
    let mut subscription = topic.subscribe();
    script.begin("x");
    subscription.ready().await;
    let before = subscription.last_id().unwrap();
    script.lose_all();
    script.begin("x");
    assert_eq!(subscription.last_id(), Some(before));
    assert!(subscription.next().await.is_some());
    assert!(subscription.last_id().is_some());
    for cursor in ["nonsense", "12345678-1"] {
        let mut subscription = topic.subscribe_from(cursor);
        assert_eq!(subscription.last_id(), None);
        let mut several = both(&Hub::memory(), cursor);
        assert_eq!(several.last_id(), None);
        let reset = subscription.next().await.unwrap();
        assert_eq!(subscription.last_id().as_ref(), reset.id());
        let reset = several.next().await.unwrap();
        assert_eq!(several.last_id().as_ref(), reset.id());
    }
}

const B_MISSED: &str = r#"{"reason":"missed","topics":["b"]}"#;

fn both(hub: &Hub, cursor: impl Into<Cursor>) -> Subscription {
    hub.subscribe_from(["a", "b"], cursor).unwrap()
}
