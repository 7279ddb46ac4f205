//! `App::run`: the whole process, from the environment to the exit.

use std::env;
use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime;

use crate::app::App;
use crate::error::{Error, Result};

const PORT: u16 = 8000;
const HERE: &str = "127.0.0.1";
const EVERYWHERE: &str = "0.0.0.0";

/// How long blocking tasks may hold up the process's end, once all else has been waited for.
const BLOCKING: Duration = Duration::from_millis(100);

impl<S: Clone + Send + Sync + 'static> App<S> {
    /// Runs the app on a tokio runtime of its own and blocks until it has been shut down by SIGTERM or SIGINT; see
    /// [`serve`](Self::serve).
    ///
    /// It listens on 127.0.0.1:8000, or where [`host`](Self::host) and [`port`](Self::port) say. The variables `HOST`
    /// and `PORT` of the environment go before both; a `PORT` with no host at all means all interfaces, as platforms
    /// that set it expect, and `PORT=0` picks a free port. The address is the first line of the log, the routes follow.
    ///
    /// With the feature `log`, and unless the program has installed a subscriber of its own, the log goes to standard
    /// error at the level `info`; `RUST_LOG` chooses others (`warn`, `bocadillo=debug,info`).
    ///
    /// # Errors
    ///
    /// When `HOST` or `PORT` cannot be read, when the address cannot be listened on, when called from within a runtime
    /// (use [`serve`](Self::serve) there), or as `serve`.
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
        #[cfg(feature = "log")]
        crate::server::log::install();
        let (host, port) = self.address(|name| {
            // What is no Unicode is no host or port either, and is refused below rather than passed over.
            env::var_os(name).map(|value| value.to_string_lossy().into_owned())
        })?;
        // tokio would panic, and with advice that does not fit.
        if runtime::Handle::try_current().is_ok() {
            return Err(Error::listen(
                "`App::run` makes a tokio runtime, and there is one here already: call it in a plain `main`, or write `app.serve(listener).await`",
            ));
        }
        let runtime = runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(Error::listen)?;
        let served = runtime.block_on(async {
            let listener = TcpListener::bind((host.as_str(), port))
                .await
                .map_err(|error| {
                    let instead = match error.kind() {
                        io::ErrorKind::AddrInUse => "; set PORT to another one, or to 0 for any",
                        _ => "",
                    };
                    Error::listen(format!("cannot listen on {host}:{port}: {error}{instead}"))
                })?;
            self.serve(listener).await
        });
        runtime.shutdown_timeout(BLOCKING);
        served
    }

    fn address(&self, variable: impl Fn(&str) -> Option<String>) -> Result<(String, u16)> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let port = set("PORT")
            .map(|text| {
                text.parse().map_err(|_| {
                    Error::listen(format!(
                        "PORT is `{text}`; set it to a number from 0 to 65535"
                    ))
                })
            })
            .transpose()?;
        let host = set("HOST").or_else(|| self.listen_on.0.clone());
        let otherwise = if port.is_some() { EVERYWHERE } else { HERE };
        Ok((
            host.unwrap_or_else(|| otherwise.to_owned()),
            port.or(self.listen_on.1).unwrap_or(PORT),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(app: &App, variables: &[(&str, &str)], expected: &str) {
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        let shown = match app.address(variable) {
            Ok((host, port)) => format!("{host}:{port}"),
            Err(error) => error.chain().to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_environment_goes_before_the_program() {
        let plain = App::new();
        check(&plain, &[], "127.0.0.1:8000");
        check(&plain, &[("PORT", "")], "127.0.0.1:8000");
        check(&plain, &[("HOST", "::1")], "::1:8000");
        check(&plain, &[("PORT", "9000")], "0.0.0.0:9000");
        check(
            &plain,
            &[("PORT", "0"), ("HOST", "127.0.0.1")],
            "127.0.0.1:0",
        );
        let set = App::new().host("localhost").port(5000);
        check(&set, &[], "localhost:5000");
        check(&set, &[("PORT", "9000")], "localhost:9000");
        check(&set, &[("HOST", "0.0.0.0")], "0.0.0.0:5000");
    }

    #[tokio::test]
    async fn a_runtime_that_is_there_is_an_error() {
        let error = App::new().port(0).run().expect_err("there is a runtime");
        assert!(error.is_listen());
        assert!(
            error
                .chain()
                .to_string()
                .contains("app.serve(listener).await")
        );
    }

    #[test]
    fn a_port_that_is_none_is_named() {
        check(
            &App::new(),
            &[("PORT", "http")],
            "the server cannot listen: PORT is `http`; set it to a number from 0 to 65535",
        );
        check(
            &App::new(),
            &[("PORT", "65536")],
            "the server cannot listen: PORT is `65536`; set it to a number from 0 to 65535",
        );
    }
}
