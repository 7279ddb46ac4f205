//! A feed that reads a temperature sensor every 10 ms while a client is connected. The page at `/` draws the readings.

use std::time::{Duration, UNIX_EPOCH};

use bocadillo::{
    App, ClientDisconnect, Html, event_stream, generators, route, routes, server_event,
};

generators!(
    #[route("/temperature-feed")]
    #[event_stream(raise_on_disconnect)]
    async fn temperature_feed() {
        loop {
            let temperature = get_temperature().await;
            let event = server_event!(json = {"temperature": temperature});
            if let Err(ClientDisconnect) = yield event {
                println!("Disconnecting from the temperature sensor…");
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
);

#[route("/")]
async fn page() -> Html<&'static str> {
    Html(include_str!("index.html"))
}

/// Simulates a sensor: 10 °C ± 2 °C, a slow sine wave with noise.
async fn get_temperature() -> f64 {
    let seconds = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64();
    10.0 + 1.8 * (seconds / 2.0).sin() + 0.2 * (2.0 * fastrand::f64() - 1.0)
}

fn main() -> bocadillo::Result<()> {
    App::new().routes(routes![page, temperature_feed]).run()
}
