//! Hostile last ids of clients, and invalid names of topics.

use std::task::{Context, Poll, Waker};

use super::super::{Hub, Subscription};
use crate::event::ServerEvent;

fn first(mut subscription: Subscription) -> Option<ServerEvent> {
    match subscription.poll_event(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(event) => event,
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn a_hostile_cursor_gives_one_reset_and_no_past_events() {
    let hub = Hub::memory();
    let (topic, other) = (hub.topic("mine").unwrap(), hub.topic("other").unwrap());
    for text in ["one", "two", "three"] {
        other.publish(text).await.unwrap();
    }
    let of_other = other.publish("four").await.unwrap();
    let last = topic.publish("secret").await.unwrap();
    let tag = &last.as_str()[..8];
    let several = hub.subscribe(["mine", "other"]).unwrap().last_id().unwrap();
    let another_hub = Hub::memory()
        .topic("mine")
        .unwrap()
        .publish("x")
        .await
        .unwrap();
    for (cursor, reason) in [
        ("x".repeat(10_240), "unreadable"),
        (format!("{tag}-{}", "1".repeat(10_240)), "unreadable"),
        ("\0".to_owned(), "unreadable"),
        (format!("{tag}-1\0"), "unreadable"),
        (format!("{tag}--1"), "unreadable"),
        ("-1".to_owned(), "unreadable"),
        ("../../etc/passwd".to_owned(), "unreadable"),
        ("日本語日本語-1".to_owned(), "unreadable"),
        (format!("{tag}-18446744073709551616"), "unreadable"),
        (several.to_string(), "unreadable"),
        (format!("{tag}-18446744073709551615"), "epoch"),
        (format!("{tag}-2"), "epoch"),
        (format!("{tag}-1-1"), "epoch"),
        (of_other.to_string(), "epoch"),
        (another_hub.to_string(), "epoch"),
    ] {
        let mut subscription = topic.subscribe_from(cursor.as_str());
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Some(event)) = subscription.poll_event(&mut context) else {
            panic!("{cursor:?} gives a reset")
        };
        assert_eq!(event.name().unwrap(), "reset", "{cursor:?}");
        assert_eq!(
            event.data().unwrap(),
            format!(r#"{{"reason":"{reason}"}}"#),
            "{cursor:?}"
        );
        assert_eq!(event.id(), Some(&last), "the new position");
        assert!(
            subscription.poll_event(&mut context).is_pending(),
            "the client gets new events from here"
        );
    }
    assert_eq!(
        first(topic.subscribe_from("")),
        None,
        "an empty text is not an id"
    );
    assert_eq!(
        first(topic.subscribe_from(last)),
        None,
        "no event was missed"
    );
}

#[tokio::test]
async fn a_hostile_cursor_for_several_topics_gives_one_reset() {
    let hub = Hub::memory();
    hub.topic("a").unwrap().publish("secret").await.unwrap();
    let good = hub.subscribe(["a", "b"]).unwrap().last_id().unwrap();
    let other = hub.subscribe(["a", "c"]).unwrap().last_id().unwrap();
    let tag = &good.as_str()[..8];
    for (cursor, data) in [
        (
            "x".repeat(10_240),
            r#"{"reason":"unreadable","topics":["a","b"]}"#,
        ),
        (
            format!("{tag}.1"),
            r#"{"reason":"unreadable","topics":["a","b"]}"#,
        ),
        (
            format!("{tag}.1.0.0"),
            r#"{"reason":"unreadable","topics":["a","b"]}"#,
        ),
        (
            format!("{tag}.1.zzzzzzzzzzzzzzzz"),
            r#"{"reason":"unreadable","topics":["a","b"]}"#,
        ),
        (format!("{tag}.1.7"), r#"{"reason":"epoch","topics":["b"]}"#),
        (
            other.to_string(),
            r#"{"reason":"epoch","topics":["a","b"]}"#,
        ),
    ] {
        let event = first(
            hub.subscribe_from(["b", "a", "b"], cursor.as_str())
                .unwrap(),
        )
        .unwrap();
        assert_eq!(
            (event.name().unwrap().as_str(), event.data().unwrap()),
            ("reset", data),
            "{cursor:?}"
        );
        assert_eq!(event.id(), Some(&good));
    }
    assert_eq!(first(hub.subscribe_from(["a", "b"], good).unwrap()), None);
}

#[test]
fn a_bad_name_is_an_error() {
    let hub = Hub::memory();
    for name in ["", "a\0", "a\nb", "\u{7f}", &"x".repeat(201)] {
        let error = hub.topic(name).unwrap_err();
        assert!(error.is_topic(), "{name:?}");
        assert!(hub.subscribe(["fine", name]).unwrap_err().is_topic());
    }
    for name in ["x", "users/7", "日本語", "a b", "*", &"x".repeat(200)] {
        assert_eq!(hub.topic(name).unwrap().name(), name);
    }
    assert!(hub.subscribe([""; 0]).unwrap_err().is_topic());
    assert!(
        hub.subscribe((0..9).map(|number| number.to_string()))
            .unwrap_err()
            .is_topic()
    );
    assert!(
        hub.subscribe((0..8).map(|number| number.to_string()))
            .is_ok()
    );
    assert_eq!(hub.stats().topics, 0, "failed calls leave no topic");
}
