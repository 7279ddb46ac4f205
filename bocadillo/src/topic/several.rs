//! A stream of several topics: their events in the order in which they came, with ids that hold the positions in all topics.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::encoded::Encoded;
use super::notice::{Notice, Reason, check_tag};
use super::position::{Position, Tag, event_id, read_several, write_several};
use super::reader::{Next, Reader};
use crate::event::EventId;
use crate::event::wire;

/// The readers of several topics, ordered by name. A topic joins the stream when its feed begins.
pub(super) struct Several {
    pub(super) readers: Vec<Reader>,
    /// The cursor of the client, until the first topic has begun. It cannot be read before.
    cursor: Option<Option<String>>,
    /// The topics that have not begun, and where each of them will begin.
    waiting: Vec<(usize, Start)>,
    tag: Tag,
    /// The epoch and the position of the last event of each topic that the client has received.
    sent: Vec<Option<(u64, Position)>>,
    /// The epoch of topics of which the client has received nothing. All topics of a hub are in the same epoch, except while it
    /// changes.
    epoch: u64,
    /// Events and notices that were taken from the topics and not sent yet.
    queue: VecDeque<(usize, Item)>,
    has_ended: bool,
}

/// Where a topic begins.
#[derive(Clone, Copy)]
enum Start {
    Fresh,
    After(u64, Position),
    /// As `Fresh`, after a `reset` with this reason.
    Reset(Reason),
}

enum Item {
    Event(Encoded),
    Notice(Notice),
}

impl Several {
    pub(super) fn new(readers: Vec<Reader>, cursor: Option<String>) -> Self {
        Self {
            cursor: Some(cursor),
            waiting: (0..readers.len()).map(|at| (at, Start::Fresh)).collect(),
            tag: Tag::of_all(std::iter::empty()),
            sent: vec![None; readers.len()],
            readers,
            epoch: 0,
            queue: VecDeque::new(),
            has_ended: false,
        }
    }

    /// Begins with the topics whose feeds have begun since the last call. Ready once all topics have begun.
    pub(super) fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let readers = &mut self.readers;
        let ready: Vec<usize> = self
            .waiting
            .iter()
            .map(|(at, _)| *at)
            .filter(|at| readers[*at].poll_ready(cx).is_ready())
            .collect();
        if let Some(first) = ready.first() {
            self.epoch = self.readers[*first].current_epoch();
            if let Some(cursor) = self.cursor.take() {
                self.read_cursor(cursor.as_deref());
            }
            self.begin(&ready);
        }
        if self.waiting.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Whether at least one topic has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.cursor.is_none()
    }

    /// Reads from the cursor where each topic begins.
    fn read_cursor(&mut self, after: Option<&str>) {
        let Some(after) = after else {
            return;
        };
        let tag = self.tag_in(std::iter::repeat(self.epoch));
        let positions = check_tag(read_several(after), tag).and_then(|positions| {
            let is_of_these = positions.len() == self.readers.len();
            is_of_these.then_some(positions).ok_or(Reason::Unreadable)
        });
        for (at, start) in &mut self.waiting {
            *start = match &positions {
                Err(reason) => Start::Reset(*reason),
                Ok(positions) => match positions[*at] {
                    None => Start::Reset(Reason::Missed),
                    Some(position) => {
                        self.sent[*at] = Some((self.epoch, position));
                        Start::After(self.epoch, position)
                    }
                },
            };
        }
    }

    fn begin(&mut self, ready: &[usize]) {
        let mut reset = None;
        for at in ready {
            let Some(waiting) = self.waiting.iter().position(|(waiting, _)| waiting == at) else {
                continue;
            };
            let (_, start) = self.waiting.remove(waiting);
            let reader = &mut self.readers[*at];
            let outcome = match start {
                Start::Fresh => reader.begin(),
                Start::After(epoch, position) => reader.begin_after(position, epoch),
                Start::Reset(reason) => {
                    let _ = reader.begin();
                    Err(reason)
                }
            };
            match outcome {
                Ok(()) => self.sent[*at] = Some((reader.epoch(), reader.position())),
                // The client is at the new position when it has received the notice.
                Err(reason) => {
                    let notice = Notice::Reset(*reset.get_or_insert(reason));
                    self.queue.push_back((*at, Item::Notice(notice)));
                }
            }
        }
        self.set_tag();
    }

    fn tag_in(&self, epochs: impl Iterator<Item = u64>) -> Tag {
        let names = self.readers.iter().map(|reader| reader.topic().name());
        Tag::of_all(names.zip(epochs).map(|(name, epoch)| Tag::new(epoch, name)))
    }

    fn set_tag(&mut self) {
        let epochs = self
            .sent
            .iter()
            .map(|sent| sent.map_or(self.epoch, |(epoch, _)| epoch));
        self.tag = self.tag_in(epochs);
    }

    /// The client has received a notice of this topic, so it is at the position of the reader.
    fn set_sent(&mut self, at: usize) {
        let reader = &self.readers[at];
        self.epoch = reader.epoch();
        self.sent[at] = Some((reader.epoch(), reader.position()));
    }

    /// `None` if the client has received nothing of any topic.
    pub(super) fn last_id(&self) -> Option<EventId> {
        self.sent.iter().find(|sent| sent.is_some())?;
        let mut id = Vec::new();
        self.write_id(&mut id);
        Some(event_id(id))
    }

    fn write_id(&self, out: &mut Vec<u8>) {
        let positions = self
            .sent
            .iter()
            .map(|sent| sent.map(|(_, position)| position));
        write_several(self.tag, positions, out);
    }

    /// The next events, after a topic has begun.
    pub(super) fn poll_wire(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Option<Bytes>> {
        if self.poll_begin(cx).is_pending() && !self.has_begun() {
            return Poll::Pending;
        }
        if self.queue.is_empty() && !self.has_ended {
            self.fill(cx, limit);
        }
        if self.queue.is_empty() {
            return if self.has_ended {
                Poll::Ready(None)
            } else {
                Poll::Pending
            };
        }
        let mut bytes = BytesMut::new();
        let mut id = Vec::new();
        while let Some((at, item)) = self.queue.pop_front() {
            self.write(at, item, &mut id, &mut bytes);
            if self
                .queue
                .front()
                .is_none_or(|(_, next)| bytes.len() + next.size() > limit)
            {
                break;
            }
        }
        if self.queue.is_empty() {
            // Frees the memory, because there may be many quiet clients.
            self.queue = VecDeque::new();
        }
        Poll::Ready(Some(bytes.freeze()))
    }

    /// Takes the events of each topic, and sorts them by the time at which they came.
    fn fill(&mut self, cx: &mut Context<'_>, limit: usize) {
        let limit = limit / self.readers.len();
        let mut taken: Vec<(Option<Instant>, usize, Item)> = Vec::new();
        for (at, reader) in self.readers.iter_mut().enumerate() {
            if self.waiting.iter().any(|(waiting, _)| *waiting == at) {
                continue;
            }
            match reader.poll::<Vec<(Instant, Encoded)>>(cx, limit) {
                Poll::Pending => {}
                Poll::Ready(Next::Events(events)) => {
                    taken.extend(
                        events
                            .into_iter()
                            .map(|(time, event)| (Some(time), at, Item::Event(event))),
                    );
                }
                Poll::Ready(Next::Notice(notice)) => taken.push((None, at, Item::Notice(notice))),
                Poll::Ready(Next::End) => self.has_ended = true,
            }
        }
        // The sort is stable, so each topic stays in order. A notice is alone of its topic, so it comes before the later events.
        taken.sort_by_key(|(time, ..)| *time);
        self.queue
            .extend(taken.into_iter().map(|(_, at, item)| (at, item)));
    }

    fn write(&mut self, at: usize, item: Item, id: &mut Vec<u8>, out: &mut BytesMut) {
        id.clear();
        match item {
            Item::Event(event) => {
                // The epoch is that of the last notice.
                if let Some((_, position)) = &mut self.sent[at] {
                    *position = event.position;
                }
                self.write_id(id);
                out.reserve(event.payload().len() + id.len() + "id: \n".len());
                out.extend_from_slice(b"id: ");
                out.extend_from_slice(id);
                out.extend_from_slice(b"\n");
                out.extend_from_slice(event.payload());
            }
            Item::Notice(notice) => {
                self.set_sent(at);
                let mut topics = vec![Arc::clone(self.readers[at].topic().name())];
                // If a broker has lost its data, all topics get a `reset`. One event is sent for those that are in the queue.
                while let Some((other, Item::Notice(next))) = self.queue.front()
                    && *next == notice
                    && matches!(notice, Notice::Reset(_))
                {
                    let other = *other;
                    self.set_sent(other);
                    topics.push(Arc::clone(self.readers[other].topic().name()));
                    self.queue.pop_front();
                }
                self.set_tag();
                self.write_id(id);
                let mut event = notice.event(&self.readers[at].topic().hub().names, &topics);
                event.id = Some(event_id(std::mem::take(id)));
                wire::encode(&event, out);
            }
        }
    }
}

impl Item {
    /// About how many bytes the item has.
    fn size(&self) -> usize {
        match self {
            Self::Event(event) => event.wire.len(),
            Self::Notice(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::super::cursor::Fallback;
    use super::super::registry::TopicRef;
    use super::super::{History, Hub};
    use super::*;

    /// The taken events need memory for this client alone.
    #[tokio::test]
    async fn a_client_holds_one_batch_and_nothing_when_it_has_all() {
        const LIMIT: usize = 16 * 1024;
        let hub = Hub::builder().history(History::new()).memory();
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let readers = names.map(|name| {
            let topic = TopicRef::new(&hub.inner, name);
            Reader::new(topic, Fallback::Live)
        });
        let mut several = Several::new(readers.into(), None);
        let mut context = Context::from_waker(Waker::noop());
        assert!(several.poll_wire(&mut context, LIMIT).is_pending());
        for name in names {
            for _ in 0..100 {
                hub.topic(name)
                    .unwrap()
                    .publish("x".repeat(500))
                    .await
                    .unwrap();
            }
        }
        several.fill(&mut context, LIMIT);
        let held: usize = several.queue.iter().map(|(_, item)| item.size()).sum();
        assert!((LIMIT * 3 / 4..=LIMIT).contains(&held), "{held}");
        while several.poll_wire(&mut context, LIMIT).is_ready() {
            let held: usize = several.queue.iter().map(|(_, item)| item.size()).sum();
            assert!(held <= LIMIT, "{held}");
        }
        assert_eq!(several.queue.capacity(), 0);
    }
}
