//! `Server::run` and `App::run`: the whole process, from the environment to its end.

use std::env;
use std::time::Duration;

use tokio::runtime;

use crate::app::App;
use crate::error::{Error, Result};
use crate::server::Server;
use crate::server::bind::{BindTarget, DEFAULT_ADDRESS};

/// The host if the environment sets a port and nothing sets a host.
const ALL_INTERFACES: &str = "0.0.0.0";

/// How long blocking tasks may delay the end of the process, after everything else has ended.
const BLOCKING: Duration = Duration::from_millis(100);

impl<S: Clone + Send + Sync + 'static> App<S> {
    /// Runs the app in a server with the default settings: the same as `Server::new(app).run()`; see
    /// [`Server::run`].
    ///
    /// # Errors
    ///
    /// The same as [`Server::run`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use bocadillo::{App, route, routes};
    ///
    /// #[route("/hello")]
    /// async fn hello() -> &'static str { "hello" }
    ///
    /// fn main() -> bocadillo::Result<()> {
    ///     App::new().routes(routes![hello]).run()
    /// }
    /// ```
    pub fn run(self) -> Result<()> {
        Server::new(self).run()
    }
}

impl Server {
    /// Runs the server on a tokio runtime of its own, and blocks until it has been shut down by SIGTERM or SIGINT.
    ///
    /// The variables `HOST` and `PORT` of the environment replace the host and the port of the first address of
    /// [`bind`](Self::bind), or of the default 127.0.0.1:8000. If `PORT` is set, and neither `HOST` nor the program sets a
    /// host, the host is 0.0.0.0, because platforms that set `PORT` expect it. Other addresses and listeners stay as
    /// they are. A server with listeners and without an address does not use the two variables.
    ///
    /// With the feature `log`, and unless the program has installed a subscriber of its own, the log goes to standard
    /// error at the level `info`. `RUST_LOG` sets other levels (`warn`, `bocadillo=debug,info`).
    ///
    /// # Errors
    ///
    /// When `PORT` is not a port, when it is called from within a runtime (use [`serve`](Self::serve) there), and the
    /// same as `serve`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use bocadillo::{App, Server};
    ///
    /// fn main() -> bocadillo::Result<()> {
    ///     Server::new(App::new()).bind("127.0.0.1:3000").run()
    /// }
    /// ```
    pub fn run(mut self) -> Result<()> {
        #[cfg(feature = "log")]
        crate::server::log::install();
        self.read_environment(|name| {
            // Text that is not Unicode is kept, so that it is refused below instead of ignored.
            env::var_os(name).map(|value| value.to_string_lossy().into_owned())
        })?;
        // tokio would panic, and its advice does not fit here.
        if runtime::Handle::try_current().is_ok() {
            return Err(Error::listen(
                "`run` makes a tokio runtime, and there is one here already: call it in a plain `main`, or write `Server::new(app).signals().serve().await`",
            ));
        }
        let runtime = runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(Error::listen)?;
        let served = runtime.block_on(self.signals().serve());
        runtime.shutdown_timeout(BLOCKING);
        served
    }

    /// Applies `HOST` and `PORT`.
    fn read_environment(&mut self, variable: impl Fn(&str) -> Option<String>) -> Result<()> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let (host, port) = (set("HOST"), set("PORT"));
        if let Some(text) = &port
            && text.parse::<u16>().is_err()
        {
            return Err(Error::listen(format!(
                "PORT is `{text}`; set it to a number from 0 to 65535"
            )));
        }
        if self.targets.is_empty() {
            let host = match (&host, &port) {
                (None, Some(_)) => Some(ALL_INTERFACES),
                _ => host.as_deref(),
            };
            let address = replaced(DEFAULT_ADDRESS, host, port.as_deref());
            self.targets.push(BindTarget::Address(address));
            return Ok(());
        }
        let first = self.targets.iter_mut().find_map(|place| match place {
            BindTarget::Address(address) => Some(address),
            BindTarget::Listener(_) => None,
        });
        if let Some(address) = first {
            *address = replaced(address, host.as_deref(), port.as_deref());
        }
        Ok(())
    }
}

/// The address with another host or port.
fn replaced(address: &str, host: Option<&str>, port: Option<&str>) -> String {
    if host.is_none() && port.is_none() {
        return address.to_owned();
    }
    let (own_host, own_port) = address.rsplit_once(':').unwrap_or((address, "8000"));
    let (host, port) = (host.unwrap_or(own_host), port.unwrap_or(own_port));
    if host.contains(':') && !host.starts_with('[') {
        return format!("[{host}]:{port}");
    }
    format!("{host}:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mut server: Server, variables: &[(&str, &str)], expected: &[&str]) {
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        let shown = match server.read_environment(variable) {
            Ok(()) => server
                .targets
                .iter()
                .map(|place| format!("{place:?}"))
                .collect(),
            Err(error) => vec![error.chain().to_string()],
        };
        assert_eq!(shown, expected);
    }

    fn plain() -> Server {
        Server::new(App::new())
    }

    #[test]
    fn the_environment_goes_before_the_program() {
        check(plain(), &[], &["127.0.0.1:8000"]);
        check(plain(), &[("PORT", "")], &["127.0.0.1:8000"]);
        check(plain(), &[("HOST", "::1")], &["[::1]:8000"]);
        check(plain(), &[("HOST", "[::1]")], &["[::1]:8000"]);
        check(plain(), &[("PORT", "9000")], &["0.0.0.0:9000"]);
        check(
            plain(),
            &[("PORT", "0"), ("HOST", "127.0.0.1")],
            &["127.0.0.1:0"],
        );
        let set = || plain().bind("localhost:5000");
        check(set(), &[], &["localhost:5000"]);
        check(set(), &[("PORT", "9000")], &["localhost:9000"]);
        check(set(), &[("HOST", "0.0.0.0")], &["0.0.0.0:5000"]);
        check(
            plain().bind("[::1]:1"),
            &[("PORT", "9000")],
            &["[::1]:9000"],
        );
    }

    #[test]
    fn the_environment_changes_the_first_address_only() {
        let two = plain().bind("localhost:1").bind("localhost:2");
        check(two, &[("PORT", "9000")], &["localhost:9000", "localhost:2"]);
    }

    #[tokio::test]
    async fn the_environment_adds_no_address_beside_a_listener() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("there is a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        check(plain().listener(listener), &[("PORT", "9000")], &[&url]);
    }

    #[tokio::test]
    async fn run_within_a_runtime_is_an_error() {
        let error = App::new().run().expect_err("there is a runtime");
        assert!(error.is_listen());
        assert!(error.chain().to_string().contains(".serve().await"));
    }

    #[test]
    fn a_port_that_is_not_a_port_is_named() {
        check(
            plain(),
            &[("PORT", "http")],
            &["the server cannot listen: PORT is `http`; set it to a number from 0 to 65535"],
        );
        check(
            plain(),
            &[("PORT", "65536")],
            &["the server cannot listen: PORT is `65536`; set it to a number from 0 to 65535"],
        );
    }
}
