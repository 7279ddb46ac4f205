//! This machine's own processors, memory and, where there is one, temperature sensor: a named event for each kind.

use std::time::Duration;

use bocadillo::{App, Html, event_stream, generators, route, routes, server_event};
use sysinfo::{Components, System};

const PACE: Duration = Duration::from_millis(500);

generators!(
    /// Reads the machine twice a second until the client goes; it is dropped then, with all that it holds.
    #[route("/machine-feed")]
    #[event_stream]
    async fn machine_feed() -> Result<(), sysinfo::Error> {
        let mut system = System::new()?;
        let mut sensors = Components::new_with_refreshed_list()?;
        loop {
            // Usage is what was used since the reading before, so the first one comes after a pause as well.
            tokio::time::sleep(PACE).await;
            system.refresh_cpu_usage();
            system.refresh_memory();
            sensors.refresh(false);

            yield server_event!("cpu", json = {
                "percent": system.global_cpu_usage(),
                "cores": system.cpus().len(),
            });
            yield server_event!("memory", json = {
                "used": system.used_memory(),
                "total": system.total_memory(),
            });
            if let Some((label, celsius)) = hottest(&sensors) {
                yield server_event!("temperature", json = {"sensor": label, "celsius": celsius});
            }
        }
    }
);

/// The sensor that reads most; a machine may well have none.
fn hottest(sensors: &Components) -> Option<(&str, f32)> {
    let readings = sensors
        .iter()
        .filter_map(|sensor| Some((sensor.label(), sensor.temperature()?)));
    readings
        .filter(|(_, celsius)| celsius.is_finite())
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
}

#[route("/")]
async fn page() -> Html<&'static str> {
    Html(include_str!("index.html"))
}

fn main() -> bocadillo::Result<()> {
    App::new().routes(routes![page, machine_feed]).run()
}
