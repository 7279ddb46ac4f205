//! A stream of one topic.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};

use super::cursor::Cursor;
use super::notice::{Notice, check_tag};
use super::position::{Tag, one_id, read_one};
use super::reader::{Next, Reader};
use crate::event::EventId;
use crate::event::wire;

/// A stream of one topic.
pub(super) struct Single {
    pub(super) reader: Reader,
    /// The cursor of the client, until the topic has begun.
    cursor: Option<Cursor>,
    /// A `reset` to send first.
    opening: Option<Notice>,
}

impl Single {
    pub(super) fn new(reader: Reader, cursor: Cursor) -> Self {
        Self {
            reader,
            cursor: Some(cursor),
            opening: None,
        }
    }

    /// Reads the cursor when the feed of the topic has begun.
    pub(super) fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { reader, cursor, .. } = self;
        let Some(cursor) = cursor else {
            return Poll::Ready(());
        };
        ready!(reader.poll_ready(cx));
        let outcome = match cursor.after.as_deref() {
            None => reader.begin(),
            Some(text) => {
                let epoch = reader.current_epoch();
                let tag = Tag::new(epoch, reader.topic().name());
                match check_tag(read_one(text), tag) {
                    Ok(position) => reader.begin_after(position, epoch),
                    Err(reason) => {
                        let _ = reader.begin();
                        Err(reason)
                    }
                }
            }
        };
        self.opening = outcome.err().map(Notice::Reset);
        self.cursor = None;
        Poll::Ready(())
    }

    pub(super) fn poll_wire(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Option<Bytes>> {
        ready!(self.poll_begin(cx));
        let notice = match self.opening.take() {
            Some(notice) => notice,
            None => match ready!(self.reader.poll::<Bytes>(cx, limit)) {
                Next::Events(bytes) => return Poll::Ready(Some(bytes)),
                Next::Notice(notice) => notice,
                Next::End => return Poll::Ready(None),
            },
        };
        let mut event = notice.event(&self.reader.topic().hub().names, &[]);
        event.id = self.last_id();
        let mut bytes = BytesMut::new();
        wire::encode(&event, &mut bytes);
        Poll::Ready(Some(bytes.freeze()))
    }

    pub(super) fn last_id(&self) -> Option<EventId> {
        if self.cursor.is_some() || self.opening.is_some() {
            return None;
        }
        Some(one_id(self.reader.tag(), self.reader.position()))
    }
}
