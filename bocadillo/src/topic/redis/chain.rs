//! The chain of a topic's events: each names the one before it, so that a reader can tell whether it missed any.

use super::super::encoded::Draft;
use super::super::position::Position;
use super::reply::Entry;

/// What follows for a reader that stands at one position, where the chain goes on from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The reader has missed nothing.
    Whole,
    /// Events after the reader's are gone.
    Evicted,
    /// The reader's own event is unknown: Redis lost it, or never had it.
    Lost,
}

/// Only the same position proves that nothing is missing: `stands_at` is the last event that a reader has got, `goes_on_from` the one
/// that the next event names, or the topic's last one where there is no next event.
pub(super) fn judge(stands_at: Position, goes_on_from: Position) -> Verdict {
    match goes_on_from.cmp(&stands_at) {
        std::cmp::Ordering::Equal => Verdict::Whole,
        std::cmp::Ordering::Greater => Verdict::Evicted,
        std::cmp::Ordering::Less => Verdict::Lost,
    }
}

/// What a walk along entries has found.
#[derive(Debug)]
pub(super) struct Walk {
    /// The events up to the first hole.
    pub(super) events: Vec<(Position, Draft)>,
    /// The hole, and the entries from there on.
    pub(super) hole: Option<(Verdict, Position, Vec<Entry>)>,
}

/// Follows the chain from `link`, which `None` means to begin anywhere. Entries of other programs are not part of it.
pub(super) fn walk(mut link: Option<Position>, entries: Vec<Entry>) -> Walk {
    let mut events = Vec::new();
    let mut rest = entries.into_iter();
    while let Some(entry) = rest.next() {
        let Some(event) = entry.event else {
            continue;
        };
        let verdict = link.map_or(Verdict::Whole, |link| judge(link, event.before));
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
        link = Some(entry.position);
        events.push((entry.position, event.draft));
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
            draft: Draft::from_payload(b"data: x\n\n", None).unwrap(),
        });
        Entry {
            position: at(position),
            event,
        }
    }

    #[track_caller]
    fn check(link: Option<u64>, entries: Vec<Entry>, events: &[u64], hole: Option<(Verdict, u64)>) {
        let walked = walk(link.map(at), entries);
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
    fn only_an_unbroken_chain_is_whole() {
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
