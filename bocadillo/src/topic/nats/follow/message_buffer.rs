//! Keeps new messages while earlier messages are read.

use super::*;

/// New messages that arrive while earlier messages are read, up to a limit. Reading ends when it reaches them.
#[derive(Default)]
pub(super) struct MessageBuffer {
    messages: Vec<Message>,
    bytes: usize,
    newest: u64,
    /// Whether more may have come and were dropped.
    is_flooded: bool,
}

pub(super) enum Buffered {
    /// No later message has come.
    Nothing,
    /// These messages are next.
    Next(Vec<Message>),
    /// Earlier messages have to be read first.
    Gap,
}

impl MessageBuffer {
    pub(super) fn add(&mut self, messages: Vec<Message>) {
        self.is_flooded |= messages.len() >= CAPACITY;
        for message in messages {
            if let Some(repeated) = record::repeated(&message) {
                self.newest = self.newest.max(repeated.sequence);
                self.bytes += message.length;
                self.messages.push(message);
            }
        }
        if self.bytes > PIECE {
            // This message is read from the stream.
            self.messages = Vec::new();
            self.bytes = 0;
        }
    }

    pub(super) fn after(&mut self, at: u64) -> Buffered {
        let sequence =
            |message: &Message| record::repeated(message).map_or(0, |repeated| repeated.sequence);
        self.messages.retain(|message| sequence(message) > at);
        let first = self.messages.first().and_then(record::repeated);
        match first {
            _ if std::mem::take(&mut self.is_flooded) => Buffered::Gap,
            None if self.newest <= at => Buffered::Nothing,
            Some(first) if first.previous <= at => {
                self.bytes = 0;
                Buffered::Next(std::mem::take(&mut self.messages))
            }
            _ => Buffered::Gap,
        }
    }
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;
    use async_nats::header::{NATS_LAST_SEQUENCE, NATS_SEQUENCE};

    use super::*;

    fn message(sequence: u64, length: usize) -> Message {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_SEQUENCE, sequence.to_string());
        headers.insert(NATS_LAST_SEQUENCE, (sequence - 1).to_string());
        Message {
            subject: "bocadillo.live.a".into(),
            reply: None,
            payload: vec![b'x'; length].into(),
            headers: Some(headers),
            status: None,
            description: None,
            length,
        }
    }

    #[test]
    fn the_buffer_of_new_messages_is_bounded() {
        let mut buffer = MessageBuffer::default();
        for sequence in 1..=1_000 {
            buffer.add(vec![message(sequence, 10_000)]);
            let held: usize = buffer.messages.iter().map(|message| message.length).sum();
            assert!(held <= 512 * 1024, "{held}");
        }
        assert!(
            matches!(buffer.after(500), Buffered::Gap),
            "the messages are read from the stream"
        );
        assert!(matches!(buffer.after(1_000), Buffered::Nothing));

        let mut buffer = MessageBuffer::default();
        (2..=40).for_each(|sequence| buffer.add(vec![message(sequence, 10_000)]));
        assert!(matches!(buffer.after(1), Buffered::Next(next) if next.len() == 39));
    }

    #[test]
    fn after_too_many_messages_the_stream_is_read_once_more() {
        let mut buffer = MessageBuffer::default();
        buffer.add((1..=CAPACITY as u64).map(|at| message(at, 1)).collect());
        let last = CAPACITY as u64;
        assert!(matches!(buffer.after(last), Buffered::Gap));
        assert!(matches!(buffer.after(last), Buffered::Nothing));
    }
}
