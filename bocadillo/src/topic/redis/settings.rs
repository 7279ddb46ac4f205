//! The options of Redis, and their checks.

use std::fmt;
use std::path::PathBuf;

use redis::Client;

use super::tls::Tls;
use crate::error::{Error, ErrorKind, Result};

/// The server of Redis, for [`Hub::redis`](crate::topic::Hub::redis), which lists the forms of the URL.
///
/// # Examples
///
/// ```
/// use bocadillo::topic::{Hub, Redis};
///
/// let redis = Redis::new("rediss://redis.example").root_certificates("/etc/redis/ca.pem");
/// let hub = Hub::redis(redis)?;
/// # Ok::<(), bocadillo::Error>(())
/// ```
#[derive(Clone)]
pub struct Redis {
    url: String,
    root_certificates: Option<PathBuf>,
}

impl Redis {
    /// The server at this URL.
    ///
    /// # Examples
    ///
    /// ```
    /// let redis = bocadillo::topic::Redis::new("redis://127.0.0.1:6379/0");
    /// ```
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            root_certificates: None,
        }
    }

    /// A file with the certificates (PEM) of the authorities that may sign the server's certificate. The default is the authorities
    /// of the system. With a file, only the authorities in the file count. The file is read for each new connection.
    ///
    /// # Examples
    ///
    /// ```
    /// let redis = bocadillo::topic::Redis::new("rediss://redis.example").root_certificates("/etc/redis/ca.pem");
    /// ```
    #[must_use]
    pub fn root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.root_certificates = Some(file.into());
        self
    }
}

impl From<&str> for Redis {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<String> for Redis {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

impl From<&String> for Redis {
    fn from(url: &String) -> Self {
        Self::new(url)
    }
}

/// Not derived, because the URL may have a password.
impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("root_certificates", &self.root_certificates)
            .finish_non_exhaustive()
    }
}

/// The checked options.
pub(super) struct Server {
    pub(super) client: Client,
    pub(super) tls: Option<Tls>,
}

impl TryFrom<Redis> for Server {
    type Error = Error;

    fn try_from(redis: Redis) -> Result<Self> {
        // The URL may hold a password, so no error repeats it.
        let refuse = |why: &dyn fmt::Display| {
            let text = format!("the URL of Redis has to be like `redis://127.0.0.1:6379/0`: {why}");
            Error::new(ErrorKind::Config, text)
        };
        // The client library only sees the decrypted connection.
        let plain = ["rediss://", "valkeys://"].iter().find_map(|scheme| {
            let rest = redis.url.strip_prefix(scheme)?;
            Some(format!("redis://{rest}"))
        });
        let tls = plain.is_some().then_some(Tls {
            root_certificates: redis.root_certificates,
        });
        let url = plain.unwrap_or(redis.url);
        if tls.is_some() && url.contains('#') {
            return Err(refuse(
                &"it must not end in `#…`: certificates are always checked",
            ));
        }
        let client = Client::open(url).map_err(|error| refuse(&error))?;
        Ok(Self { client, tls })
    }
}
