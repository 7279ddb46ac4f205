//! A stream that cleans up when its client disconnects, and when the server shuts down.
//!
//! Run `cargo run --example clean_up`, then `curl -N 127.0.0.1:8000/exports/7`. Stop curl or the server with Ctrl-C. In
//! both cases the generator gets an error from `yield`, and the process waits for it.

use std::time::Duration;

use bocadillo::{
    App, Client, ClientDisconnect, event_stream, generators, route, routes, server_event,
};
use tokio::time::{interval, sleep};

generators!(
    #[route("/exports/{export}")]
    #[event_stream(raise_on_disconnect, cleanup_timeout = Duration::from_secs(10))]
    async fn progress(export: u32, client: Client) {
        let mut tick = interval(Duration::from_millis(500));
        for percent in 0..=100 {
            tokio::select! {
                _ = tick.tick() => {}
                // Without this, the generator would notice the disconnect at its next `yield`.
                () = client.disconnected() => break,
            }
            let event = server_event!("progress", json = {"export": export, "percent": percent});
            if let Err(ClientDisconnect) = yield event {
                break;
            }
        }
        if client.is_disconnected() {
            println!("export {export}: nobody waits for it, removing what there is");
            sleep(Duration::from_secs(2)).await;
            println!("export {export}: removed");
        }
    }
);

fn main() -> bocadillo::Result<()> {
    App::new().routes(routes![progress]).run()
}
