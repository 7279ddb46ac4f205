//! Publishing, the same for all brokers: waits, publishes, and makes the ids.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::super::channel::Channel;
use super::super::encoded::EventWithoutId;
use super::super::position::{Tag, one_id};
use super::super::registry::TopicRef;
use super::Broker;
use crate::error::Result;
use crate::event::EventId;
use crate::stream::deadline::after;

/// How long a publish waits for the broker's answer to an earlier follow of its topic. If the broker works, that takes one round trip.
pub(in super::super) const FOLLOW_TIMEOUT: Duration = Duration::from_secs(2);

/// Publishes events: all or none. Returns their ids.
pub(in super::super) async fn publish(
    topic: &TopicRef,
    events: Vec<EventWithoutId>,
) -> Result<Vec<EventId>> {
    // A loop that only publishes must let subscribers on its thread run.
    tokio::task::coop::consume_budget().await;
    let broker = topic.broker();
    wait_for_follow(topic.channel(), &**broker).await;
    wait_for_room(topic.channel(), &events).await;
    let published = broker.publish(topic.channel(), events).await?;
    topic.hub().keep_swept();
    let tag = Tag::new(published.epoch, topic.name());
    let positions = published.positions.into_iter();
    Ok(positions.map(|position| one_id(tag, position)).collect())
}

/// Waits until the broker has answered the follow that was made before this call, if there is one. What is published
/// then reaches the subscribers that were there before. After [`FOLLOW_TIMEOUT`] the follow counts as interrupted.
async fn wait_for_follow(channel: &Channel, broker: &dyn Broker) {
    let Some(following) = channel.lock().unanswered() else {
        return;
    };
    broker.start();
    let deadline = Instant::now() + FOLLOW_TIMEOUT;
    loop {
        let mut answered = pin!(channel.publishers.notified());
        answered.as_mut().enable();
        if channel.lock().unanswered() != Some(following) {
            return;
        }
        if timeout_at(deadline, answered).await.is_err() {
            let mut state = channel.lock();
            if state.unanswered() == Some(following) {
                state.interrupted = true;
            }
            drop(state);
            channel.publishers.notify_waiters();
            return;
        }
    }
}

/// Waits for slow subscribers if the topic's policy says so. Several publishers that wait may continue at once, so a
/// subscriber may be disconnected a little earlier than with one publisher.
async fn wait_for_room(channel: &Channel, events: &[EventWithoutId]) {
    let Some(up_to) = channel.options().slow.blocks() else {
        return;
    };
    let bytes = events.iter().map(EventWithoutId::size).sum();
    let deadline = after(Instant::now(), up_to);
    loop {
        let mut room = pin!(channel.publishers.notified());
        room.as_mut().enable();
        if channel.has_room(events.len(), bytes) || timeout_at(deadline, room).await.is_err() {
            return;
        }
    }
}
