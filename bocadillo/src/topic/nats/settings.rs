//! Where the broker is, and how the stream is to be: what can be wrong about it is found here.

use std::time::Duration;

use async_nats::ServerAddr;

use super::Nats;
use crate::error::{Error, Kind, Result};
use crate::topic::history::History;

#[derive(Debug)]
pub(super) struct Settings {
    pub(super) servers: Vec<ServerAddr>,
    pub(super) stream: String,
    /// Messages of a topic: its history, and the one before it, which shows whoever has that one that nothing is missing.
    pub(super) max_messages: u64,
    pub(super) max_age: Option<Duration>,
    pub(super) max_bytes: Option<u64>,
    pub(super) replicas: usize,
    pub(super) wait: Duration,
}

impl Settings {
    /// The stream keeps as much of a topic as the most generous of the histories.
    pub(super) fn new(
        nats: Nats,
        prefix: Option<&str>,
        histories: &[History],
        wait: Duration,
    ) -> Result<Self> {
        // The URLs may have passwords, so no error repeats them.
        let servers = nats.servers.split(',').map(|server| server.trim().parse());
        let servers = servers.collect::<Result<Vec<ServerAddr>, _>>().map_err(|error| {
            refuse(format!("the URL of NATS has to be like `nats://localhost:4222`, or several with commas in between: {error}"))
        })?;
        let prefix = prefix.unwrap_or("bocadillo");
        let stream = prefix.trim_end_matches([':', '.', '/']).to_owned();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if stream.is_empty() || !stream.bytes().all(is_plain) {
            let text = format!(
                "`{prefix}` cannot be the name of a stream of NATS: use letters, digits, `-` and `_` for the prefix"
            );
            return Err(refuse(text));
        }
        let ages: Option<Vec<Duration>> = histories.iter().map(History::max_age).collect();
        Ok(Self {
            servers,
            stream,
            max_messages: histories
                .iter()
                .map(History::max_events)
                .max()
                .map_or(1, messages),
            // JetStream takes none below 100 ms.
            max_age: ages
                .and_then(|ages| ages.into_iter().max())
                .map(|age| age.max(Duration::from_millis(100))),
            max_bytes: nats.max_bytes,
            replicas: nats.replicas,
            wait,
        })
    }
}

/// How many messages are kept for so many events.
pub(super) fn messages(events: usize) -> u64 {
    (events as u64).saturating_add(1)
}

fn refuse(text: String) -> Error {
    Error::new(Kind::Topic, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(servers: &str, prefix: Option<&str>) -> Result<Settings> {
        let histories = [
            History::new(),
            History::none().age(Duration::from_secs(900)),
        ];
        Settings::new(Nats::new(servers), prefix, &histories, Duration::ZERO)
    }

    #[test]
    fn the_most_generous_history_decides() {
        let settings = settings("nats://a:4222, tls://b", Some("shop:")).unwrap();
        assert_eq!((settings.servers.len(), &*settings.stream), (2, "shop"));
        assert_eq!(
            (settings.max_messages, settings.max_age),
            (1_001, Some(Duration::from_secs(900)))
        );
    }

    #[test]
    fn what_is_wrong_is_named_without_a_password() {
        for (servers, prefix, text) in [
            (
                "nats://user:secret@[::bad",
                None,
                "has to be like `nats://localhost:4222`",
            ),
            (
                "http://user:secret@localhost",
                None,
                "has to be like `nats://localhost:4222`",
            ),
            (
                "nats://localhost",
                Some("a.b"),
                "`a.b` cannot be the name of a stream",
            ),
            (
                "nats://localhost",
                Some(""),
                "`` cannot be the name of a stream",
            ),
        ] {
            let error = settings(servers, prefix).unwrap_err();
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(
                source.contains(text) && !source.contains("secret"),
                "{source}"
            );
        }
    }
}
