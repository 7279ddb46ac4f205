//! Where a topic stands in Redis, and what that means to one who has got its events up to some position.

use super::super::position::Position;

/// Where a topic stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    /// It has no key: it never had one, or its history is over.
    Absent,
    Stream {
        /// The last id that it gave, trimmed or not.
        last: Position,
        /// The first that it holds.
        first: Option<Position>,
        /// Whether it has let go of any.
        is_trimmed: bool,
        /// The last that was taken out by name, by another program.
        deleted: Position,
        /// Whether it holds the one that was asked for.
        has: bool,
    },
}

/// How far somebody has got.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub(super) at: Position,
    /// Whether there certainly was an event at this position: otherwise it may be a place where the topic had no key.
    pub(super) was_event: bool,
    /// The time, as Redis counts it, at which certainly nothing was missing.
    pub(super) since: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All that came behind the position is there.
    Whole,
    /// Something behind it may have gone.
    Evicted,
    /// Redis had the position once, and has not any more; or never had it.
    Lost,
}

impl Stand {
    /// `lifetime` is for how long the key stays after the last event, in milliseconds; `now` the time in Redis.
    pub(super) fn judge(&self, progress: &Progress, lifetime: Option<u64>, now: u64) -> Verdict {
        let Progress {
            at,
            was_event,
            since,
        } = *progress;
        // Whether a key of the topic could have come and gone unseen, before a time.
        let may_have_gone =
            |before: u64| lifetime.is_some_and(|lifetime| since.saturating_add(lifetime) < before);
        match *self {
            Self::Absent => {
                let is_due =
                    lifetime.is_some_and(|lifetime| at.major.saturating_add(lifetime) <= now);
                if at.major > now || (was_event && !is_due) {
                    Verdict::Lost
                } else if may_have_gone(now) {
                    Verdict::Evicted
                } else {
                    Verdict::Whole
                }
            }
            Self::Stream { last, .. } if at > last => Verdict::Lost,
            Self::Stream { has: true, .. } => Verdict::Whole,
            Self::Stream {
                last, first: None, ..
            } if at == last => Verdict::Whole,
            Self::Stream { first: None, .. } => Verdict::Evicted,
            Self::Stream {
                first: Some(first),
                deleted,
                ..
            } if at >= first => {
                if at <= deleted {
                    Verdict::Whole
                } else {
                    Verdict::Lost
                }
            }
            Self::Stream {
                is_trimmed: true, ..
            } => Verdict::Evicted,
            Self::Stream {
                first: Some(first), ..
            } => {
                if may_have_gone(first.major) {
                    Verdict::Evicted
                } else {
                    Verdict::Whole
                }
            }
        }
    }

    /// The position behind which new events come. Where there is no key, a time serves as one, so that an id says
    /// when its client was last in step.
    pub(super) fn end(&self, now: u64) -> Position {
        match *self {
            Self::Absent => Position::new(now.saturating_sub(1), 0),
            Self::Stream { last, .. } => last,
        }
    }

    /// The position from which one goes on in a new epoch who had got as far as `at`: all that there is later, and where that is
    /// all that there is, all of it.
    pub(super) fn begin_anew(&self, at: Position, now: u64) -> Position {
        match *self {
            Self::Stream {
                first: Some(first), ..
            } if at < first => Position::new(first.major.saturating_sub(1), 0),
            Self::Stream { last, .. } => at.min(last),
            Self::Absent => self.end(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: u64 = 100;

    fn stream(first: Option<u64>, last: u64, is_trimmed: bool, has: bool) -> Stand {
        let position = |at| Position::new(at, 0);
        Stand::Stream {
            last: position(last),
            first: first.map(position),
            is_trimmed,
            deleted: position(0),
            has,
        }
    }

    #[track_caller]
    fn check(stand: Stand, at: u64, was_event: bool, since: u64, now: u64, expected: Verdict) {
        let progress = Progress {
            at: Position::new(at, 0),
            was_event,
            since,
        };
        assert_eq!(stand.judge(&progress, Some(LIFETIME), now), expected);
    }

    #[test]
    fn a_key_that_is_gone_is_over_or_lost() {
        check(Stand::Absent, 1_000, true, 1_050, 1_100, Verdict::Whole);
        check(Stand::Absent, 1_000, true, 1_050, 1_099, Verdict::Lost);
        check(Stand::Absent, 1_000, false, 1_050, 1_099, Verdict::Whole);
        check(Stand::Absent, 1_000, false, 1_000, 1_101, Verdict::Evicted);
        check(Stand::Absent, 2_000, false, 1_000, 1_001, Verdict::Lost);
        let forever = Progress {
            at: Position::new(5, 0),
            was_event: true,
            since: 5,
        };
        assert_eq!(Stand::Absent.judge(&forever, None, 1 << 40), Verdict::Lost);
    }

    #[test]
    fn a_stream_says_whether_it_has_all_behind_a_position() {
        check(
            stream(Some(1_000), 2_000, false, true),
            1_500,
            true,
            1_500,
            2_000,
            Verdict::Whole,
        );
        check(
            stream(Some(1_000), 2_000, false, false),
            2_001,
            true,
            2_001,
            2_002,
            Verdict::Lost,
        );
        check(
            stream(Some(1_000), 2_000, true, false),
            1_500,
            true,
            1_500,
            2_000,
            Verdict::Lost,
        );
        check(
            stream(Some(1_000), 2_000, true, false),
            950,
            true,
            950,
            2_000,
            Verdict::Evicted,
        );
        check(
            stream(Some(1_000), 2_000, false, false),
            950,
            false,
            950,
            2_000,
            Verdict::Whole,
        );
        check(
            stream(Some(1_000), 2_000, false, false),
            899,
            false,
            899,
            2_000,
            Verdict::Evicted,
        );
        check(
            stream(None, 2_000, true, false),
            2_000,
            true,
            2_000,
            2_000,
            Verdict::Whole,
        );
        check(
            stream(None, 2_000, true, false),
            1_999,
            true,
            1_999,
            2_000,
            Verdict::Evicted,
        );
    }

    #[test]
    fn what_another_program_took_out_was_not_lost() {
        let position = |at| Position::new(at, 0);
        let stand = Stand::Stream {
            last: position(9),
            first: Some(position(1)),
            is_trimmed: true,
            deleted: position(5),
            has: false,
        };
        check(stand, 5, true, 5, 9, Verdict::Whole);
        check(stand, 6, true, 6, 9, Verdict::Lost);
    }

    #[test]
    fn a_new_epoch_begins_with_all_that_it_has() {
        let at = Position::new(1_500, 3);
        assert_eq!(
            stream(Some(2_000), 3_000, false, false).begin_anew(at, 4_000),
            Position::new(1_999, 0)
        );
        assert_eq!(
            stream(Some(1_000), 1_200, false, false).begin_anew(at, 4_000),
            Position::new(1_200, 0)
        );
        assert_eq!(
            stream(Some(1_000), 3_000, false, false).begin_anew(at, 4_000),
            at
        );
        assert_eq!(Stand::Absent.begin_anew(at, 4_000), Position::new(3_999, 0));
    }
}
