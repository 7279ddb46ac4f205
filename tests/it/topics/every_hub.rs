//! Behaviour that is the same for every hub: in memory, over Redis and over NATS.

use std::time::Duration;

use bocadillo::topic::{Cursor, History, Hub, HubBuilder, SlowPolicy, Subscription, Topic};
use bocadillo::{EventName, ServerEvent};
use futures_util::{FutureExt, StreamExt};

use crate::support::{Nats, Redis, wait};

/// Runs a check on a hub of each kind.
async fn on_every_hub(options: impl Fn() -> HubBuilder, check: impl AsyncFn(Hub)) {
    let (redis, nats) = (Redis::start(), Nats::start());
    check(options().memory()).await;
    check(options().redis(redis.url()).expect("a URL of Redis")).await;
    check(options().nats(nats.url()).expect("a URL of NATS")).await;
}

fn topic(hub: &Hub, name: &str) -> Topic {
    hub.topic(name).expect("a valid name")
}

async fn publish(topic: &Topic, data: &str) -> String {
    let id = topic.publish(data.to_owned()).await;
    id.unwrap_or_else(|error| panic!("{topic:?}: {error:?}"))
        .to_string()
}

async fn next(events: &mut Subscription) -> ServerEvent {
    wait::within("an event", events.next())
        .await
        .expect("the stream continues")
}

/// The data of the next events. Events with a name have it before their data.
async fn take(events: &mut Subscription, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..count {
        let event = next(events).await;
        let data = event.data().expect("an event of a topic has data");
        all.push(match event.name() {
            Some(name) => format!("{} {data}", name.as_str()),
            None => data.to_owned(),
        });
    }
    all
}

fn is_quiet(events: &mut Subscription) -> bool {
    events.next().now_or_never().is_none()
}

#[tokio::test]
async fn a_subscriber_gets_later_events_with_the_ids_that_publish_returns() {
    on_every_hub(Hub::builder, async |hub| {
        let news = topic(&hub, "news");
        publish(&news, "before").await;
        let mut live = news.subscribe();
        let mut from_start = news.subscribe_from(Cursor::start());
        let id = publish(&news, "one").await;
        let named = ServerEvent::new("two").with_name(EventName::from_static("named"));
        let ids = news.publish_all([ServerEvent::json(&1).unwrap(), named]);
        let ids = ids.await.expect("both are published");

        let first = next(&mut live).await;
        assert_eq!(first.data(), Some("one"));
        assert_eq!(first.id().unwrap().as_str(), id);
        assert_eq!(take(&mut live, 2).await, ["1", "named two"]);
        assert_eq!(live.last_id(), Some(ids[1].clone()));
        assert_eq!(
            take(&mut from_start, 4).await,
            ["before", "one", "1", "named two"]
        );
        assert!(is_quiet(&mut live) && is_quiet(&mut from_start));
        assert_eq!(news.subscribers(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_client_resumes_after_each_of_its_ids() {
    on_every_hub(Hub::builder, async |hub| {
        let news = topic(&hub, "news");
        let mut ids = Vec::new();
        for number in 0..5 {
            ids.push(publish(&news, &number.to_string()).await);
        }
        for (number, id) in ids.iter().enumerate() {
            let mut events = news.subscribe_from(id.as_str());
            let missed: Vec<_> = (number + 1..5).map(|number| number.to_string()).collect();
            assert_eq!(take(&mut events, missed.len()).await, missed);
            events.ready().await;
            assert!(is_quiet(&mut events));
        }
    })
    .await;
}

#[tokio::test]
async fn an_id_that_cannot_be_used_gives_one_reset_and_then_new_events() {
    let options = || Hub::builder().history(History::new().max_events(3));
    on_every_hub(options, async |hub| {
        let (news, other) = (topic(&hub, "news"), topic(&hub, "other"));
        let of_other = publish(&other, "x").await;
        let oldest = publish(&news, "0").await;
        // Redis keeps more for nodes that are a little behind, so an id of another topic takes the place of an old one.
        for number in 1..10 {
            publish(&news, &number.to_string()).await;
        }
        for (id, reason) in [("nonsense", "unreadable"), (of_other.as_str(), "epoch")] {
            let mut live = news.subscribe_from(id);
            let mut whole = news.subscribe_from(Cursor::after(id).or_start());
            let reset = format!(r#"reset {{"reason":"{reason}"}}"#);
            assert_eq!(take(&mut live, 1).await, [reset.as_str()]);
            let resumed = live.last_id().expect("a reset has an id");
            assert_eq!(
                take(&mut whole, 4).await,
                [reset.as_str(), "7", "8", "9"],
                "{hub:?}"
            );
            publish(&news, "new").await;
            assert_eq!(take(&mut live, 1).await, ["new"]);
            let mut again = news.subscribe_from(resumed);
            assert_eq!(take(&mut again, 1).await, ["new"]);
            for number in 7..10 {
                publish(&news, &number.to_string()).await;
            }
        }
        // A client with an id loses no event without a reset.
        let mut old = news.subscribe_from(oldest.as_str());
        let first = take(&mut old, 1).await.remove(0);
        assert!(
            first == "1" || first == r#"reset {"reason":"evicted"}"#,
            "{first}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_stream_of_several_topics_resumes_in_all_of_them() {
    on_every_hub(Hub::builder, async |hub| {
        let (a, b) = (topic(&hub, "a"), topic(&hub, "b"));
        let mut both = hub.subscribe(["a", "b"]).expect("two valid names");
        both.ready().await;
        publish(&a, "a1").await;
        assert_eq!(take(&mut both, 1).await, ["a1"]);
        publish(&b, "b1").await;
        let last = next(&mut both).await;
        assert_eq!(last.data(), Some("b1"));
        drop(both);

        publish(&b, "b2").await;
        publish(&a, "a2").await;
        let mut again = hub
            .subscribe_from(["b", "a"], last.id())
            .expect("two valid names");
        let mut missed = take(&mut again, 2).await;
        missed.sort();
        assert_eq!(missed, ["a2", "b2"]);
        let mut three = hub.subscribe_from(["a", "b", "c"], last.id()).unwrap();
        let reset = next(&mut three).await;
        assert_eq!(reset.name().unwrap(), "reset");
    })
    .await;
}

#[tokio::test]
async fn an_invalid_event_is_an_error_and_nothing_is_published() {
    on_every_hub(Hub::builder, async |hub| {
        let news = topic(&hub, "news");
        let mut events = news.subscribe();
        for wrong in [
            ServerEvent::new("x").with_id(7),
            ServerEvent::comment_only("x"),
            ServerEvent::retry_only(Duration::from_secs(1)),
        ] {
            assert!(news.publish(wrong.clone()).await.unwrap_err().is_event());
            let batch = news.publish_all([ServerEvent::new("fine"), wrong]).await;
            assert!(batch.unwrap_err().is_event());
        }
        assert!(news.publish_all([""; 0]).await.unwrap().is_empty());
        publish(&news, "next").await;
        assert_eq!(take(&mut events, 1).await, ["next"]);
    })
    .await;
}

#[tokio::test]
async fn a_quiet_topic_has_an_id_to_resume_from() {
    on_every_hub(Hub::builder, async |hub| {
        let news = topic(&hub, "news");
        let mut events = news.subscribe();
        wait::within("the subscription", events.ready()).await;
        let id = events.last_id().expect("the subscription has begun");
        drop(events);
        publish(&news, "missed").await;
        let mut again = news.subscribe_from(id);
        assert_eq!(take(&mut again, 1).await, ["missed"]);
    })
    .await;
}

#[tokio::test]
async fn a_source_runs_while_there_are_subscribers() {
    on_every_hub(Hub::builder, async |hub| {
        let camera = topic(&hub, "camera");
        let source = tokio::spawn({
            let camera = camera.clone();
            async move {
                let publisher = camera.clone();
                camera
                    .while_subscribed(async || {
                        let _ = publisher.publish("picture").await;
                        std::future::pending::<()>().await;
                    })
                    .await
            }
        });
        for _ in 0..2 {
            let mut events = camera.subscribe();
            assert_eq!(take(&mut events, 1).await, ["picture"]);
            drop(events);
            let mut presence = camera.presence();
            wait::within("the last subscriber to leave", presence.vacant()).await;
            // The source ends in its own task.
            tokio::task::yield_now().await;
        }
        source.abort();
    })
    .await;
}

#[tokio::test]
async fn the_largest_limits_are_no_limits() {
    let history = || {
        let history = History::new().max_age(Duration::MAX);
        history.max_events(usize::MAX).max_bytes(usize::MAX)
    };
    let policy = || SlowPolicy::disconnect().max_buffered_bytes(usize::MAX);
    let options = || Hub::builder().history(history()).slow_clients(policy());
    on_every_hub(options, async |hub| {
        let news = topic(&hub, "news");
        let mut live = news.subscribe();
        publish(&news, "one").await;
        let mut events = news.subscribe_from(Cursor::start());
        publish(&news, "two").await;
        assert_eq!(take(&mut events, 2).await, ["one", "two"]);
        assert_eq!(take(&mut live, 2).await, ["one", "two"]);
    })
    .await;
}
