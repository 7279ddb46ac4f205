//! Several topics in one stream: their events in the order in which they came, under ids that say where all of them
//! stand.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::encoded::Encoded;
use super::notice::{Notice, Reason};
use super::position::{Position, Tag, read_several, write_several};
use super::reader::{Next, Reader};
use super::subscription::{event_id, known};
use crate::wire;

/// Readers of several topics, by name.
pub(super) struct Several {
    pub(super) readers: Vec<Reader>,
    tag: Tag,
    /// What the client has got of each topic.
    sent: Vec<Position>,
    /// What has been taken, on its way out.
    queue: VecDeque<(usize, Item)>,
    has_ended: bool,
}

enum Item {
    Event(Encoded),
    Notice(Notice),
}

impl Several {
    pub(super) fn new(readers: Vec<Reader>) -> Self {
        Self {
            sent: vec![Position::default(); readers.len()],
            readers,
            tag: Tag::of_all(std::iter::empty()),
            queue: VecDeque::new(),
            has_ended: false,
        }
    }

    fn tag(&self) -> Tag {
        Tag::of_all(self.readers.iter().filter_map(Reader::tag))
    }

    pub(super) fn open(&mut self, after: Option<&str>) -> Option<(Notice, Vec<Arc<str>>)> {
        self.tag = self.tag();
        let cursor = match after.map(|text| known(read_several(text), Some(self.tag))) {
            None => None,
            Some(Ok(positions)) if positions.len() == self.readers.len() => Some(Ok(positions)),
            Some(Ok(_)) => Some(Err(Reason::Unreadable)),
            Some(Err(reason)) => Some(Err(reason)),
        };
        let mut reset: Option<(Notice, Vec<Arc<str>>)> = None;
        for (at, reader) in self.readers.iter_mut().enumerate() {
            let outcome = match &cursor {
                Some(Ok(positions)) => reader.begin_after(positions[at]),
                Some(Err(reason)) => {
                    let _ = reader.begin();
                    Err(*reason)
                }
                None => reader.begin(),
            };
            self.sent[at] = reader.position();
            if let Err(reason) = outcome {
                let (_, topics) = reset.get_or_insert((Notice::Reset(reason), Vec::new()));
                topics.push(Arc::clone(reader.lease().name()));
            }
        }
        reset
    }

    pub(super) fn write_id(&self, out: &mut Vec<u8>) {
        write_several(self.tag, &self.sent, out);
    }

    pub(super) fn poll_wire(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Option<Bytes>> {
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
        Poll::Ready(Some(bytes.freeze()))
    }

    /// Takes from each topic what is there, and puts it into the order in which it came.
    fn fill(&mut self, cx: &mut Context<'_>, limit: usize) {
        let limit = limit / self.readers.len();
        let mut taken: Vec<(Option<Instant>, usize, Item)> = Vec::new();
        for (at, reader) in self.readers.iter_mut().enumerate() {
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
        // Stable, so that each topic stays in order. A notice comes before the events that it explains: it is alone
        // of its topic.
        taken.sort_by_key(|(time, ..)| *time);
        self.queue
            .extend(taken.into_iter().map(|(_, at, item)| (at, item)));
    }

    fn write(&mut self, at: usize, item: Item, id: &mut Vec<u8>, out: &mut BytesMut) {
        id.clear();
        match item {
            Item::Event(event) => {
                self.sent[at] = event.position;
                self.write_id(id);
                out.reserve(event.payload().len() + id.len() + "id: \n".len());
                out.extend_from_slice(b"id: ");
                out.extend_from_slice(id);
                out.extend_from_slice(b"\n");
                out.extend_from_slice(event.payload());
            }
            Item::Notice(notice) => {
                let reader = &self.readers[at];
                self.sent[at] = reader.position();
                let mut topics = vec![Arc::clone(reader.lease().name())];
                // A broker that comes back empty does so for all of its topics: one `reset` speaks for those that are
                // known by now.
                while let Some((other, Item::Notice(next))) = self.queue.front()
                    && *next == notice
                    && matches!(notice, Notice::Reset(_))
                {
                    let reader = &self.readers[*other];
                    self.sent[*other] = reader.position();
                    topics.push(Arc::clone(reader.lease().name()));
                    self.queue.pop_front();
                }
                self.tag = self.tag();
                self.write_id(id);
                let mut event = notice.event(&self.readers[at].lease().hub().names, &topics);
                event.id = event_id(std::mem::take(id));
                wire::encode(&event, out);
            }
        }
    }
}

impl Item {
    /// About how many bytes it takes.
    fn size(&self) -> usize {
        match self {
            Self::Event(event) => event.wire.len(),
            Self::Notice(_) => 0,
        }
    }
}
