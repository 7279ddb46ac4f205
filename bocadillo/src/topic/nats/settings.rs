//! The options of NATS, and their checks.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;

use crate::error::{Error, ErrorKind, Result};
use crate::topic::history::History;

/// The servers of NATS and the options of the stream, for [`Hub::nats`](crate::topic::Hub::nats).
///
/// # Examples
///
/// ```
/// use bocadillo::topic::{Hub, Nats};
///
/// let nats = Nats::new("nats://user:password@a:4222,nats://user:password@b:4222").replicas(3);
/// let hub = Hub::nats(nats)?;
/// # Ok::<(), bocadillo::Error>(())
/// ```
#[derive(Clone)]
pub struct Nats {
    servers: String,
    replicas: usize,
    max_bytes: Option<u64>,
    root_certificates: Option<PathBuf>,
}

impl Nats {
    /// The server at this URL, as `nats://host:4222` or `tls://host:4222`. The default scheme is `nats://`, and the default port is
    /// 4222.
    ///
    /// If the server needs credentials, write `user:password@` or `token@` before the host. Percent-encode reserved
    /// characters in them: `,` is `%2C`, `@` is `%40`.
    ///
    /// For a cluster, write several URLs with commas between them. Write the credentials in one URL or the same in all,
    /// because the servers of a cluster share their users.
    ///
    /// # Examples
    ///
    /// ```
    /// let nats = bocadillo::topic::Nats::new("tls://token@nats.example:4222");
    /// ```
    #[must_use]
    pub fn new(servers: impl Into<String>) -> Self {
        Self {
            servers: servers.into(),
            replicas: 1,
            max_bytes: None,
            root_certificates: None,
        }
    }

    /// A file with the certificates (PEM) of the authorities that may sign the server's certificate. The default is the authorities
    /// of the system. With a file, only the authorities in the file count.
    ///
    /// # Examples
    ///
    /// ```
    /// let nats = bocadillo::topic::Nats::new("tls://nats.example").root_certificates("/etc/nats/ca.pem");
    /// ```
    #[must_use]
    pub fn root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.root_certificates = Some(file.into());
        self
    }

    /// The number of servers of a cluster that store the stream. The default is 1.
    ///
    /// # Examples
    ///
    /// ```
    /// let nats = bocadillo::topic::Nats::new("nats://a:4222,nats://b:4222,nats://c:4222").replicas(3);
    /// ```
    #[must_use]
    pub fn replicas(mut self, servers: usize) -> Self {
        self.replicas = servers;
        self
    }

    /// The maximum number of bytes of the stream, for all topics together. The oldest events are removed first. The default is no
    /// limit.
    ///
    /// # Examples
    ///
    /// ```
    /// let nats = bocadillo::topic::Nats::new("nats://127.0.0.1:4222").max_bytes(1024 * 1024 * 1024);
    /// ```
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }
}

impl From<&str> for Nats {
    fn from(servers: &str) -> Self {
        Self::new(servers)
    }
}

impl From<String> for Nats {
    fn from(servers: String) -> Self {
        Self::new(servers)
    }
}

/// Not derived, because the URL may have a password.
impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            servers: _,
            replicas,
            max_bytes,
            root_certificates,
        } = self;
        f.debug_struct("Nats")
            .field("replicas", replicas)
            .field("max_bytes", max_bytes)
            .field("root_certificates", root_certificates)
            .finish_non_exhaustive()
    }
}

/// The credentials of a URL.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    User { name: String, password: String },
    Token(String),
}

/// Not derived, because a log must not have a password.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

#[derive(Debug)]
pub(super) struct Settings {
    /// Without credentials, because the client library logs the URLs.
    pub(super) servers: Vec<ServerAddr>,
    pub(super) credentials: Option<Credentials>,
    pub(super) root_certificates: Option<std::path::PathBuf>,
    pub(super) stream: String,
    /// The messages of a topic: its history and one more. A client that has the last message before the history has missed nothing.
    pub(super) max_messages: u64,
    pub(super) max_age: Option<Duration>,
    pub(super) max_bytes: Option<u64>,
    pub(super) replicas: usize,
    pub(super) wait: Duration,
}

impl Settings {
    /// The stream has the limits of the largest of these histories.
    pub(super) fn new(
        nats: Nats,
        prefix: Option<&str>,
        histories: &[History],
        wait: Duration,
    ) -> Result<Self> {
        let mut credentials = None;
        let mut servers = Vec::new();
        for server in nats.servers.split(',') {
            let (server, own) = parse(server.trim())?;
            servers.push(server);
            match (&credentials, own) {
                (Some(first), Some(own)) if *first != own => {
                    return Err(refuse("all servers of NATS must have the same credentials: the servers of a cluster share their users".to_owned()));
                }
                (None, own) => credentials = own,
                _ => {}
            }
        }
        let prefix = prefix.unwrap_or("bocadillo");
        let stream = prefix.trim_end_matches([':', '.', '/']).to_owned();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if stream.is_empty() || !stream.bytes().all(is_plain) {
            let text = format!(
                "`{prefix}` cannot be the name of a stream of NATS: use letters, digits, `-` and `_` for the prefix"
            );
            return Err(refuse(text));
        }
        let ages: Option<Vec<Duration>> = histories.iter().map(|history| history.max_age).collect();
        Ok(Self {
            servers,
            credentials,
            root_certificates: nats.root_certificates,
            stream,
            max_messages: histories
                .iter()
                .map(|history| history.max_events)
                .max()
                .map_or(1, messages),
            // JetStream refuses an age below 100 ms, and has no longer one than 292 years.
            max_age: ages
                .and_then(|ages| ages.into_iter().max())
                .filter(|age| i64::try_from(age.as_nanos()).is_ok())
                .map(|age| age.max(Duration::from_millis(100))),
            max_bytes: nats.max_bytes,
            replicas: nats.replicas,
            wait,
        })
    }
}

/// A server, and the credentials of its URL.
fn parse(server: &str) -> Result<(ServerAddr, Option<Credentials>)> {
    // The URL may have a password, so no error repeats it.
    let wrong = |why: &dyn std::fmt::Display| {
        refuse(format!(
            "the URL of NATS has to be like `nats://localhost:4222`, or several with commas in between: {why}"
        ))
    };
    let server: ServerAddr = server.parse().map_err(|error| wrong(&error))?;
    if server.is_websocket() {
        return Err(wrong(&"WebSocket is not supported"));
    }
    if server.host().is_empty() {
        return Err(wrong(&"there is no host"));
    }
    let decode = |text: &str| {
        let text = percent_decode_str(text).decode_utf8();
        text.map(String::from)
            .map_err(|_| wrong(&"the credentials are not UTF-8"))
    };
    let credentials = match (server.username(), server.password()) {
        (None, None) => None,
        (Some(token), None) => Some(Credentials::Token(decode(token)?)),
        (name, Some(password)) => Some(Credentials::User {
            name: decode(name.unwrap_or_default())?,
            password: decode(password)?,
        }),
    };
    let mut url = server.into_inner();
    let is_cleared = url.set_username("").is_ok() && url.set_password(None).is_ok();
    if credentials.is_some() && !is_cleared {
        return Err(wrong(&"there is no host"));
    }
    let server = ServerAddr::from_url(url).map_err(|error| wrong(&error))?;
    Ok((server, credentials))
}

/// The number of messages to keep for this number of events.
pub(super) fn messages(events: usize) -> u64 {
    (events as u64).saturating_add(1)
}

fn refuse(text: String) -> Error {
    Error::new(ErrorKind::Config, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(servers: &str, prefix: Option<&str>) -> Result<Settings> {
        let histories = [
            History::new(),
            History::none().max_age(Duration::from_secs(900)),
        ];
        Settings::new(Nats::new(servers), prefix, &histories, Duration::ZERO)
    }

    #[test]
    fn the_largest_history_decides() {
        let settings = settings("nats://a:4222, tls://b", Some("shop:")).unwrap();
        assert_eq!((settings.servers.len(), &*settings.stream), (2, "shop"));
        assert_eq!(
            (settings.max_messages, settings.max_age),
            (1_001, Some(Duration::from_secs(900)))
        );
    }

    #[test]
    fn the_shortest_age_is_what_jetstream_takes() {
        let histories = [History::new().max_age(Duration::from_millis(1))];
        let settings = Settings::new(Nats::new("a"), None, &histories, Duration::ZERO).unwrap();
        assert_eq!(settings.max_age, Some(Duration::from_millis(100)));
    }

    #[test]
    fn credentials_are_taken_out_of_the_url() {
        let user = |name: &str, password: &str| {
            Some(Credentials::User {
                name: name.to_owned(),
                password: password.to_owned(),
            })
        };
        for (url, credentials, host, port) in [
            ("nats://a", None, "a", 4222),
            ("a:5", None, "a", 5),
            (
                "tls://t%40ken@[::1]",
                Some(Credentials::Token("t@ken".to_owned())),
                "::1",
                4222,
            ),
            ("nats://u%3A:p%2C%2F@a:1", user("u:", "p,/"), "a", 1),
            ("u:p@a,b", user("u", "p"), "a", 4222),
            ("a,u:p@b", user("u", "p"), "a", 4222),
        ] {
            let settings = settings(url, None).unwrap();
            assert_eq!(settings.credentials, credentials, "{url}");
            let server = &settings.servers[0];
            assert_eq!((server.host(), server.port()), (host, port), "{url}");
            assert_eq!(server.username(), None, "{url}");
            assert!(!format!("{settings:?}").contains("p,/"));
        }
    }

    #[test]
    fn an_error_of_the_settings_does_not_show_the_password() {
        for (servers, prefix, text) in [
            (
                "nats://user:secret@[::bad",
                None,
                "has to be like `nats://localhost:4222`",
            ),
            (
                "nats://user:secret@a,nats://user:other-secret@b",
                None,
                "must have the same credentials",
            ),
            ("ws://user:secret@a", None, "WebSocket is not supported"),
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
