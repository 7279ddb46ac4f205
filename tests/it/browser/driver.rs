//! Controls a headless Chromium through chromedriver, with the few WebDriver commands that the tests need.
//!
//! It uses no WebDriver crate, because these crates make the first build of each example 50% longer.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Lines, target, wait};

/// Only one browser runs at a time. Several are too slow on a small machine.
static ONE: Mutex<()> = Mutex::new(());

pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    scratch: PathBuf,
    _one: MutexGuard<'static, ()>,
}

/// Which part of a screenshot has a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Painted {
    pub(crate) pixels: u64,
    /// Columns of the picture that have at least one such pixel.
    pub(crate) columns: u64,
}

const PAINTED: &str = r"
const [png, colour] = arguments;
const image = new Image();
image.src = 'data:image/png;base64,' + png;
await image.decode();
const paper = new OffscreenCanvas(image.width, image.height).getContext('2d');
paper.fillStyle = colour;
paper.fillRect(0, 0, 1, 1);
const [red, green, blue] = paper.getImageData(0, 0, 1, 1).data;
paper.drawImage(image, 0, 0);
const { data } = paper.getImageData(0, 0, image.width, image.height);
const columns = new Set();
let pixels = 0;
for (let at = 0; at < data.length; at += 4) {
    if (Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue) > 12) continue;
    pixels += 1;
    columns.add((at / 4) % image.width);
}
return { pixels, columns: columns.size };
";

impl Browser {
    /// Starts a browser with an empty profile.
    pub(crate) fn start() -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let scratch = empty_folder();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("TMPDIR", &scratch)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| match error.kind() {
                ErrorKind::NotFound => {
                    panic!("chromedriver is not installed: `cargo xtask test` installs it")
                }
                _ => panic!("chromedriver does not start: {error}"),
            });
        let output = Lines::read(driver.stdout.take().expect("the output is piped"));
        let line = output.wait_for("successfully on port ");
        let port = line
            .trim_end_matches('.')
            .rsplit(' ')
            .next()
            .and_then(|port| port.parse().ok());
        let mut browser = Self {
            driver,
            port: port.unwrap_or_else(|| panic!("no port in {line:?}")),
            session: String::new(),
            scratch,
            _one: one,
        };
        let answer = browser.command("POST", "/session", &browser.wishes());
        browser.session = answer["sessionId"]
            .as_str()
            .expect("a session has an id")
            .to_owned();
        browser
    }

    pub(crate) fn open(&self, url: &str) {
        self.in_session("POST", "/url", &json!({ "url": url }));
    }

    /// Runs the body of a function in the page. Awaits a promise. Returns the result.
    pub(crate) fn eval(&self, body: &str) -> Value {
        self.eval_with(body, &[])
    }

    /// The same as [`eval`](Self::eval), with values that the body reads from `arguments`.
    pub(crate) fn eval_with(&self, body: &str, arguments: &[Value]) -> Value {
        let script = format!("return (async function () {{ {body} }})(...arguments)");
        self.in_session(
            "POST",
            "/execute/sync",
            &json!({ "script": script, "args": arguments }),
        )
    }

    /// Waits until an expression is true in the page.
    #[track_caller]
    pub(crate) fn wait_until(&self, expression: &str) {
        let body = format!("return Boolean({expression})");
        wait::until(expression, || (self.eval(&body) == true).then_some(()));
    }

    /// Takes a screenshot of the page, a PNG in base64.
    pub(crate) fn screenshot(&self) -> String {
        let image = self.in_session("GET", "/screenshot", &Value::Null);
        image.as_str().expect("a screenshot is text").to_owned()
    }

    /// Finds a CSS colour in a screenshot. The browser decodes the picture.
    pub(crate) fn painted(&self, colour: &str) -> Painted {
        let found = self.eval_with(PAINTED, &[self.screenshot().into(), colour.into()]);
        let number = |field: &str| found[field].as_u64().expect("a count");
        Painted {
            pixels: number("pixels"),
            columns: number("columns"),
        }
    }

    fn wishes(&self) -> Value {
        let profile = format!("--user-data-dir={}", self.scratch.join("profile").display());
        // Chromium has no sandbox in a container or for root. The pages are our own, so it is not needed.
        let switches = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1000,700",
            &profile,
        ];
        json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": switches },
            "timeouts": { "script": 60_000, "pageLoad": 60_000 },
        }}})
    }

    fn in_session(&self, method: &str, path: &str, body: &Value) -> Value {
        self.command(method, &format!("/session/{}{path}", self.session), body)
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self
            .exchange(method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert!(
            answer["value"].get("error").is_none(),
            "{method} {path}: {} (`cargo xtask test` installs Chromium with its driver)",
            answer["value"]["message"].as_str().unwrap_or_default(),
        );
        answer["value"].clone()
    }

    /// Sends one request on a new connection.
    fn exchange(&self, method: &str, path: &str, body: &Value) -> std::io::Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(wait::LONG + Duration::from_secs(10)))?;
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len(),
        )?;
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line == "\r\n" {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().map_err(std::io::Error::other)?;
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer)?;
        Ok(serde_json::from_slice(&answer)?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // At this request the driver ends the browser before it answers. If the driver is killed, the browser goes on.
        if !self.session.is_empty() {
            let _ = self.exchange(
                "DELETE",
                &format!("/session/{}", self.session),
                &Value::Null,
            );
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

/// Makes a folder for the profile and the temporary files of the browser.
fn empty_folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = target()
        .join("tmp")
        .join(format!("browser-{}-{number}", std::process::id()));
    // An earlier process with the same number may have left a folder.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the folder for tests can be written");
    folder
}
