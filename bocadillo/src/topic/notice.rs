//! The two events that a hub adds to a stream: `reset` and `gap`.

use std::sync::Arc;

use serde::Serialize;

use super::position::Tag;
use crate::event::{EventName, ServerEvent};

/// Why a client gets a `reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reason {
    /// The events after its id were removed.
    Evicted,
    /// Its id belongs to another topic or another epoch, or no hub has given it.
    Epoch,
    /// Its text is not an id of a hub.
    Unreadable,
    /// It came without an id, and events may have passed before the broker answered.
    Missed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Reset(Reason),
    Gap { dropped: u64 },
}

/// The position of a cursor, if the cursor has this tag.
///
/// # Errors
///
/// Why the client cannot continue from the cursor. `None` is a cursor that could not be read.
pub(super) fn check_tag<T>(cursor: Option<(Tag, T)>, tag: Tag) -> Result<T, Reason> {
    match cursor {
        None => Err(Reason::Unreadable),
        Some((other, _)) if other != tag => Err(Reason::Epoch),
        Some((_, position)) => Ok(position),
    }
}

/// The names of the two events.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) reset: EventName,
    pub(crate) gap: EventName,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            reset: EventName::from_static("reset"),
            gap: EventName::from_static("gap"),
        }
    }
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    topics: Vec<&'a str>,
}

impl Notice {
    /// `topics` are its topics, in a stream of several topics.
    pub(crate) fn event(self, names: &Names, topics: &[Arc<str>]) -> ServerEvent {
        let (name, reason, dropped) = match self {
            Self::Reset(reason) => (&names.reset, Some(reason), None),
            Self::Gap { dropped } => (&names.gap, None, Some(dropped)),
        };
        let topics = topics.iter().map(|topic| &**topic).collect();
        let data = serde_json::to_string(&Data {
            reason,
            dropped,
            topics,
        })
        .expect("plain text and numbers are JSON");
        ServerEvent::new(data).with_name(name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(notice: Notice, topics: &[Arc<str>], name: &str, data: &str) {
        let event = notice.event(&Names::default(), topics);
        assert_eq!(
            (event.name().unwrap().as_str(), event.data().unwrap()),
            (name, data)
        );
    }

    #[test]
    fn notices_are_json() {
        check(
            Notice::Reset(Reason::Evicted),
            &[],
            "reset",
            r#"{"reason":"evicted"}"#,
        );
        check(
            Notice::Reset(Reason::Epoch),
            &[],
            "reset",
            r#"{"reason":"epoch"}"#,
        );
        check(
            Notice::Reset(Reason::Unreadable),
            &[],
            "reset",
            r#"{"reason":"unreadable"}"#,
        );
        check(
            Notice::Reset(Reason::Missed),
            &[],
            "reset",
            r#"{"reason":"missed"}"#,
        );
        check(Notice::Gap { dropped: 7 }, &[], "gap", r#"{"dropped":7}"#);
        check(
            Notice::Gap { dropped: 7 },
            &["a\"b".into()],
            "gap",
            r#"{"dropped":7,"topics":["a\"b"]}"#,
        );
    }
}
