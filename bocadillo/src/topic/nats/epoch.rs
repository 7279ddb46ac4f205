//! The epoch of a stream. It is stored in the description of the stream, so that all nodes see it.

use crate::topic::hash::fnv;

const TITLE: &str = "Topics of Bocadillo";

/// A new stream has another creation time. A stream that lost its last messages has the same creation time, so the first node
/// that notices the loss begins the next epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StreamEpoch {
    number: u64,
    start: u64,
}

impl StreamEpoch {
    pub(super) fn read(description: Option<&str>) -> Self {
        let numbers =
            description.and_then(|text| text.strip_prefix(TITLE)?.strip_prefix(": epoch "));
        let numbers = numbers.and_then(|text| text.split_once(" after "));
        let numbers =
            numbers.and_then(|(number, start)| Some((number.parse().ok()?, start.parse().ok()?)));
        let (number, start) = numbers.unwrap_or_default();
        Self { number, start }
    }

    pub(super) fn write(self) -> String {
        if self.number == 0 {
            TITLE.to_owned()
        } else {
            format!("{TITLE}: epoch {} after {}", self.number, self.start)
        }
    }

    /// Several nodes may notice the loss at once. They write the same.
    pub(super) fn next(self, last: u64) -> Self {
        Self {
            number: self.number.saturating_add(1),
            start: last,
        }
    }

    /// The sequence after which it begins.
    pub(super) fn start(self) -> u64 {
        self.start
    }

    /// The number of the epoch in ids. `created` is the text of JetStream.
    pub(super) fn epoch(self, created: &str) -> u64 {
        fnv(created.bytes().chain(self.number.to_le_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_reads_back() {
        let epoch = StreamEpoch::default();
        assert_eq!(StreamEpoch::read(Some(&epoch.write())), epoch);
        let next = epoch.next(41);
        assert_eq!(next.write(), "Topics of Bocadillo: epoch 1 after 41");
        assert_eq!(StreamEpoch::read(Some(&next.write())), next);
        assert_ne!(
            epoch.epoch("2026-01-01T00:00:00Z"),
            next.epoch("2026-01-01T00:00:00Z")
        );
        assert_ne!(
            epoch.epoch("2026-01-01T00:00:00Z"),
            epoch.epoch("2026-01-01T00:00:01Z")
        );
        for other in [
            None,
            Some(""),
            Some("my stream"),
            Some("Topics of Bocadillo: epoch x after 2"),
            Some("Topics of Bocadillo: epoch 1"),
        ] {
            assert_eq!(
                StreamEpoch::read(other),
                StreamEpoch::default(),
                "{other:?}"
            );
        }
    }
}
