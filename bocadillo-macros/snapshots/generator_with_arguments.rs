/// Documented.
#[event_stream(
    keep_alive = Duration::from_secs(5),
    retry = RETRY,
    max_lifetime = Duration::from_secs(3600)
)]
pub(crate) async fn feed<T: Source>(
    State(sensor): State<Sensor>,
    mut count: u32,
    client: Client,
    _guard: Guard,
    _: T,
) -> Result<(), SensorError>
where
    T: Send + 'static,
{
    yield_!(sensor.read()?);
    count += 1;
    tokio::select! {
        _ = client.disconnected() => {}
        () = sensor.changed() => { yield_!("changed"); }
    }
    Ok(())
}
