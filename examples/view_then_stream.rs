//! A handler that checks the request before it streams. So a refusal is an ordinary response with its own status.
//!
//! ```text
//! curl -i localhost:8000/sensors/cellar/temperature-feed                                 401
//! curl -i localhost:8000/sensors/cellar/temperature-feed -H 'Authorization: Bearer bo'   403
//! curl -i localhost:8000/sensors/attic/temperature-feed  -H 'Authorization: Bearer ada'  404
//! curl -N localhost:8000/sensors/cellar/temperature-feed -H 'Authorization: Bearer ada'  the stream
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bocadillo::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use bocadillo::http::request::Parts;
use bocadillo::{
    App, EventStream, FromRequestParts, Problem, State, StatusCode, event_stream, generators,
    route, routes, server_event,
};

generators!(
    #[event_stream]
    async fn temperature_feed(sensor: Sensor) {
        loop {
            yield server_event!(json = {"temperature": sensor.read().await});
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
);

#[route("/sensors/{name}/temperature-feed")]
async fn view(
    name: String,
    user: User,
    State(sensors): State<Sensors>,
) -> Result<EventStream, Problem> {
    let sensor = sensors.find(&name)?;
    user.may_read(sensor)?;
    Ok(temperature_feed(sensor.clone()))
}

/// The user who sends the request. In this example the bearer token is the name of the user.
struct User {
    name: String,
}

impl User {
    fn may_read(&self, sensor: &Sensor) -> Result<(), Problem> {
        if sensor.owner == self.name {
            return Ok(());
        }
        let detail = format!("this sensor is not {}'s to read", self.name);
        Err(Problem::new(StatusCode::FORBIDDEN).detail(detail))
    }
}

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let header = parts.headers.get(AUTHORIZATION);
        match header.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer ")) {
            Some(name) => Ok(Self {
                name: name.to_owned(),
            }),
            None => Err(Problem::new(StatusCode::UNAUTHORIZED)
                .detail("say who you are: `Authorization: Bearer ada`")
                .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        }
    }
}

#[derive(Clone)]
struct Sensor {
    owner: &'static str,
    celsius: f64,
}

impl Sensor {
    async fn read(&self) -> f64 {
        self.celsius + fastrand::f64()
    }
}

#[derive(Clone)]
struct Sensors(Arc<BTreeMap<&'static str, Sensor>>);

impl Sensors {
    fn find(&self, name: &str) -> Result<&Sensor, Problem> {
        let missing = || {
            let known: Vec<_> = self.0.keys().copied().collect();
            Problem::new(StatusCode::NOT_FOUND)
                .detail(format!("there is no sensor `{name}`"))
                .with("known", known)
        };
        self.0.get(name).ok_or_else(missing)
    }
}

fn main() -> bocadillo::Result<()> {
    let cellar = Sensor {
        owner: "ada",
        celsius: 10.0,
    };
    let roof = Sensor {
        owner: "bo",
        celsius: 24.0,
    };
    let sensors = Sensors(Arc::new(BTreeMap::from([
        ("cellar", cellar),
        ("roof", roof),
    ])));
    App::with_state(sensors).routes(routes![view]).run()
}
