//! Where a server listens.

use std::fmt;
use std::io;

use tokio::net::TcpListener;

use crate::error::{Error, Result};
use crate::server::accept::AnyListener;

/// Where a server listens if the program names no address.
pub(super) const DEFAULT_ADDRESS: &str = "127.0.0.1:8000";

/// Where a server listens.
pub(super) enum BindTarget {
    Address(String),
    Listener(Box<dyn AnyListener>),
}

impl BindTarget {
    pub(super) async fn listen(self) -> Result<Box<dyn AnyListener>> {
        match self {
            Self::Address(address) => Ok(Box::new(bind(&address).await?)),
            Self::Listener(listener) => Ok(listener),
        }
    }
}

async fn bind(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "; use another port, or 0 for any free one (`run` reads it from the variable PORT)"
            }
            _ => "",
        };
        Error::listen(format!("cannot listen on {address}: {error}{hint}"))
    })
}

impl fmt::Debug for BindTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => f.write_str(address),
            Self::Listener(listener) => match listener.local_addr() {
                Ok(address) => f.write_str(&address),
                Err(error) => write!(f, "{error}"),
            },
        }
    }
}
