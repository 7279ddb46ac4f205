//! Each event names the event before it. So a reader notices whether events are missing.

use super::super::encoded::EventWithoutId;
use super::super::position::Position;
use super::reply::Entry;

/// Whether a reader has missed events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The reader has missed nothing.
    Whole,
    /// Events after the reader's last event were removed.
    Evicted,
    /// Redis does not know the reader's last event: it was lost, or it never existed.
    Lost,
}

/// `reader_at` is the last event of the reader. `previous` is the event before the next one, or the last event of the topic if there
/// is no next event. Nothing is missing only if they are the same.
pub(super) fn judge(reader_at: Position, previous: Position) -> Verdict {
    match previous.cmp(&reader_at) {
        std::cmp::Ordering::Equal => Verdict::Whole,
        std::cmp::Ordering::Greater => Verdict::Evicted,
        std::cmp::Ordering::Less => Verdict::Lost,
    }
}

/// The result of [`walk`].
#[derive(Debug)]
pub(super) struct Walk {
    /// The events before the first missing one.
    pub(super) events: Vec<(Position, EventWithoutId)>,
    /// What is missing, the position before the next event, and the entries from there on.
    pub(super) hole: Option<(Verdict, Position, Vec<Entry>)>,
}

/// Checks that each entry follows the one before it, beginning after `last_event`. With `None` it begins with any entry. Entries of other
/// programs are skipped.
pub(super) fn walk(mut last_event: Option<Position>, entries: Vec<Entry>) -> Walk {
    let mut events = Vec::new();
    let mut rest = entries.into_iter();
    while let Some(entry) = rest.next() {
        let Some(event) = entry.event else {
            continue;
        };
        let verdict =
            last_event.map_or(Verdict::Whole, |last_event| judge(last_event, event.before));
        if verdict != Verdict::Whole {
            let before = event.before;
            let first = Entry {
                event: Some(event),
                ..entry
            };
            let left = std::iter::once(first).chain(rest).collect();
            return Walk {
                events,
                hole: Some((verdict, before, left)),
            };
        }
        last_event = Some(entry.position);
        events.push((entry.position, event.encoded));
    }
    Walk { events, hole: None }
}

#[cfg(test)]
mod tests {
    use super::super::reply::Event;
    use super::*;

    fn at(position: u64) -> Position {
        Position::new(position, 0)
    }

    fn entry(position: u64, before: Option<u64>) -> Entry {
        let event = before.map(|before| Event {
            before: at(before),
            encoded: EventWithoutId::from_payload(b"data: x\n\n", None).unwrap(),
        });
        Entry {
            position: at(position),
            event,
        }
    }

    #[track_caller]
    fn check(
        last_event: Option<u64>,
        entries: Vec<Entry>,
        events: &[u64],
        hole: Option<(Verdict, u64)>,
    ) {
        let walked = walk(last_event.map(at), entries);
        let got: Vec<_> = walked
            .events
            .iter()
            .map(|(position, _)| position.major)
            .collect();
        assert_eq!(got, events);
        let found = walked
            .hole
            .map(|(verdict, before, _)| (verdict, before.major));
        assert_eq!(found, hole);
    }

    #[test]
    fn walk_stops_at_a_missing_event() {
        let ours = || vec![entry(2, Some(1)), entry(3, None), entry(4, Some(2))];
        check(Some(1), ours(), &[2, 4], None);
        check(None, ours(), &[2, 4], None);
        check(Some(0), ours(), &[], Some((Verdict::Evicted, 1)));
        check(Some(2), ours(), &[], Some((Verdict::Lost, 1)));
        let hole = vec![entry(2, Some(1)), entry(5, Some(4))];
        check(Some(1), hole, &[2], Some((Verdict::Evicted, 4)));
        let lost = vec![entry(2, Some(1)), entry(5, Some(1))];
        check(Some(1), lost, &[2], Some((Verdict::Lost, 1)));
    }
}
