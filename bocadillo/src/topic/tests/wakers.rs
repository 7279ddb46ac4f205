//! Wakers run user code, so they are woken and dropped with no lock held.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use futures_util::FutureExt;

use super::super::{Hub, Subscription, Topic};

/// A waker that uses the topic when it is woken and when it is dropped.
struct Busy {
    topic: Topic,
    own: Mutex<Option<Subscription>>,
    woken: Arc<AtomicUsize>,
}

impl Busy {
    fn waker(topic: &Topic, woken: &Arc<AtomicUsize>) -> Waker {
        let own = Mutex::new(Some(topic.subscribe()));
        Waker::from(Arc::new(Self {
            topic: topic.clone(),
            own,
            woken: Arc::clone(woken),
        }))
    }
}

impl Wake for Busy {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::Relaxed);
        let mut subscription = self.topic.subscribe();
        assert!(
            subscription
                .poll_event(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        if self.topic.subscribers() < 3 {
            let _ = self.topic.publish("from a waker").now_or_never();
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        drop(self.own.lock().unwrap().take());
        assert!(self.topic.subscribers() < 100);
    }
}

#[test]
fn a_waker_may_use_the_topic_when_it_is_woken_replaced_or_dropped() {
    let topic = Hub::memory().topic("x").unwrap();
    let woken = Arc::<AtomicUsize>::default();
    let mut subscription = topic.subscribe();
    for _ in 0..3 {
        let waker = Busy::waker(&topic, &woken);
        assert!(
            subscription
                .poll_event(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    topic.publish("x").now_or_never().unwrap().unwrap();
    assert_eq!(
        woken.load(Ordering::Relaxed),
        1,
        "only the last waker is woken"
    );
    let waker = Busy::waker(&topic, &woken);
    while subscription
        .poll_event(&mut Context::from_waker(&waker))
        .is_ready()
    {}
    drop(waker);
    drop(subscription);
    assert_eq!(topic.subscribers(), 0);
}

#[test]
fn every_waiting_subscriber_is_woken_once_for_each_event() {
    let topic = Hub::memory().topic("x").unwrap();
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    let mut context = Context::from_waker(&waker);
    let mut subscriptions: Vec<_> = (0..1_000).map(|_| topic.subscribe()).collect();
    for round in 1..=10 {
        for subscription in &mut subscriptions {
            // Polls twice, like a timer of the same task.
            while subscription.poll_event(&mut context).is_ready() {}
            assert!(subscription.poll_event(&mut context).is_pending());
        }
        topic.publish("1").now_or_never().unwrap().unwrap();
        topic.publish("2").now_or_never().unwrap().unwrap();
        assert_eq!(
            count.0.load(Ordering::Relaxed),
            1_000 * round,
            "a reader that was woken is not woken again"
        );
    }
}

#[test]
fn readers_at_the_same_position_share_one_batch() {
    let topic = Hub::memory().topic("x").unwrap();
    let mut subscriptions: Vec<_> = (0..100).map(|_| topic.subscribe()).collect();
    for number in 0..50 {
        topic
            .publish(number.to_string())
            .now_or_never()
            .unwrap()
            .unwrap();
    }
    let mut context = Context::from_waker(Waker::noop());
    let mut batches = subscriptions.iter_mut().map(|subscription| {
        let std::task::Poll::Ready(Some(bytes)) = subscription.poll_wire(&mut context, 1 << 16)
        else {
            panic!()
        };
        bytes
    });
    let first = batches.next().unwrap();
    assert_eq!(first.iter().filter(|byte| **byte == b'\n').count(), 150);
    assert!(
        batches.all(|batch| batch.as_ptr() == first.as_ptr()),
        "the readers share the bytes"
    );
}
