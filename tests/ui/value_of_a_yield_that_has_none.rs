use bocadillo::{ClientDisconnect, event_stream, generators};

generators!(
    #[event_stream]
    async fn feed() -> Result<(), ClientDisconnect> {
        if let Err(ClientDisconnect) = yield "one" {
            return Ok(());
        }
        (yield "two")?;
        Ok(())
    }
);

fn main() {
    feed();
}
