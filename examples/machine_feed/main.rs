//! A feed of this machine's processors, memory and temperature sensor, if it has one. Each kind of reading is a named
//! event.

use std::time::Duration;

use bocadillo::{App, Html, event_stream, generators, route, routes, server_event};
use sysinfo::{Components, System};

const PACE: Duration = Duration::from_millis(500);

generators!(
    /// Reads the machine twice a second. When the client disconnects, the generator is dropped with all of its values.
    #[route("/machine-feed")]
    #[event_stream]
    async fn machine_feed() -> Result<(), sysinfo::Error> {
        let mut system = System::new()?;
        let mut sensors = Components::new_with_refreshed_list()?;
        loop {
            // The usage is measured since the previous reading, so there is a pause before the first reading too.
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

/// Returns the highest temperature of all sensors. A machine may have no sensor.
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
