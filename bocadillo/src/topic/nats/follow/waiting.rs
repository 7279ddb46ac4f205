//! New messages that wait while earlier messages are read.

use super::*;

/// New messages that arrive while earlier messages are read, up to a limit. Reading ends when it reaches them.
#[derive(Default)]
pub(super) struct Waiting {
    messages: Vec<Message>,
    bytes: usize,
    newest: u64,
    /// Whether more may have come and were dropped.
    is_flooded: bool,
}

pub(super) enum Join {
    /// No later message has come.
    Nothing,
    /// These messages are next.
    Next(Vec<Message>),
    /// More has to be read before them.
    Later,
}

impl Waiting {
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

    pub(super) fn after(&mut self, at: u64) -> Join {
        let sequence =
            |message: &Message| record::repeated(message).map_or(0, |repeated| repeated.sequence);
        self.messages.retain(|message| sequence(message) > at);
        let first = self.messages.first().and_then(record::repeated);
        match first {
            _ if std::mem::take(&mut self.is_flooded) => Join::Later,
            None if self.newest <= at => Join::Nothing,
            Some(first) if first.previous <= at => {
                self.bytes = 0;
                Join::Next(std::mem::take(&mut self.messages))
            }
            _ => Join::Later,
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
    fn what_waits_while_earlier_messages_are_read_is_bounded() {
        let mut waiting = Waiting::default();
        for sequence in 1..=1_000 {
            waiting.add(vec![message(sequence, 10_000)]);
            let held: usize = waiting.messages.iter().map(|message| message.length).sum();
            assert!(held <= 512 * 1024, "{held}");
        }
        assert!(matches!(waiting.after(500), Join::Later), "it is read");
        assert!(matches!(waiting.after(1_000), Join::Nothing));

        let mut waiting = Waiting::default();
        (2..=40).for_each(|sequence| waiting.add(vec![message(sequence, 10_000)]));
        assert!(matches!(waiting.after(1), Join::Next(next) if next.len() == 39));
    }

    #[test]
    fn after_a_flood_the_stream_is_read_once_more() {
        let mut waiting = Waiting::default();
        waiting.add((1..=CAPACITY as u64).map(|at| message(at, 1)).collect());
        let last = CAPACITY as u64;
        assert!(matches!(waiting.after(last), Join::Later));
        assert!(matches!(waiting.after(last), Join::Nothing));
    }
}
