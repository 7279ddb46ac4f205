//! The options of a topic, and the patterns of topic names.

use super::history::History;
use super::policy::SlowPolicy;

/// Options for some topics of a hub. See [`HubBuilder::topics`](super::HubBuilder::topics).
///
/// # Examples
///
/// ```
/// use bocadillo::topic::{History, Hub, SlowPolicy};
///
/// let hub = Hub::builder()
///     .topics("prices", |topic| {
///         topic.history(History::new().max_events(100)).slow_clients(SlowPolicy::conflate_by_name())
///     })
///     .memory();
/// ```
#[derive(Clone, Debug, Default)]
pub struct TopicOptions {
    pub(crate) history: History,
    pub(crate) slow: SlowPolicy,
}

impl TopicOptions {
    /// How many events the topics keep for clients that reconnect. The default is the history of the hub.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::{History, Hub};
    ///
    /// let hub = Hub::builder().topics("typing/*", |topic| topic.history(History::none())).memory();
    /// ```
    #[must_use]
    pub fn history(mut self, history: History) -> Self {
        self.history = history;
        self
    }

    /// What happens to subscribers that do not keep up. The default is the policy of the hub.
    ///
    /// # Examples
    ///
    /// ```
    /// use bocadillo::topic::{Hub, SlowPolicy};
    ///
    /// let hub = Hub::builder().topics("log", |topic| topic.slow_clients(SlowPolicy::drop_oldest())).memory();
    /// ```
    #[must_use]
    pub fn slow_clients(mut self, policy: SlowPolicy) -> Self {
        self.slow = policy;
        self
    }
}

/// Whether a topic's name matches a pattern, in which `*` matches any text.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_any_text() {
        for (pattern, name) in [
            ("a", "a"),
            ("*", ""),
            ("*", "x/y"),
            ("users/*", "users/7"),
            ("*/in", "7/in"),
            ("a*b*c", "abc"),
            ("a*b*c", "a12b3bc"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("a", "ab"),
            ("a", ""),
            ("users/*", "user/7"),
            ("*/in", "7/out"),
            ("a*b*c", "acb"),
            ("ab*ba", "aba"),
            ("", "x"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
