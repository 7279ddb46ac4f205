generators!(
    #[route("/temperature-feed")]
    #[event_stream(raise_on_disconnect)]
    async fn temperature_feed() {
        loop {
            let temperature = get_temperature().await;
            if let Err(ClientDisconnect) = yield server_event!(json = {"temperature": temperature}) {
                println!("Disconnecting from the temperature sensor…");
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
);

fn main() -> bocadillo::Result<()> {
    App::new().routes(routes![temperature_feed]).run()
}
