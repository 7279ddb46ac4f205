/// Documented.
pub(crate) fn feed<T: Source>(
    __arg0: State<Sensor>,
    count: u32,
    client: Client,
    _guard: Guard,
    __arg4: T,
) -> ::bocadillo::EventStream
where
    T: Send + 'static,
{
    const _: () = {
        #[allow(
            unused_imports,
            clippy::wildcard_imports,
            reason = "the module may not have it"
        )]
        use self::*;
        #[allow(
            unused_imports,
            clippy::wildcard_imports,
            reason = "the module may have it"
        )]
        use ::bocadillo::private::words::*;
        yield_! {
            @
        }
    };
    let __clients = {
        use ::bocadillo::private::ProbeAny as _;
        [
            (&::bocadillo::private::Probe(&__arg0)).client(),
            (&::bocadillo::private::Probe(&count)).client(),
            (&::bocadillo::private::Probe(&client)).client(),
            (&::bocadillo::private::Probe(&_guard)).client(),
            (&::bocadillo::private::Probe(&__arg4)).client(),
        ]
    };
    ::bocadillo::private::bind(
        ::bocadillo::private::event_stream::<
            Result<(), SensorError>,
            _,
            _,
        >(async move |__yielder| -> Result<(), SensorError> {
                let __yielder = &__yielder;
                let __arg0 = __arg0;
                let State(sensor) = __arg0;
                let mut count = count;
                let client = client;
                let _guard = _guard;
                let __arg4 = __arg4;
                let _ = __arg4;
                let __outcome: Result<(), SensorError> = {
                    (__yielder).send(sensor.read()?).await;
                    count += 1;
                    tokio::select! {
                        _ = client.disconnected() => {} () = sensor.changed() => {
                        ::bocadillo::yield_!(@ __yielder, "changed"); }
                    }
                    Ok(())
                };
                #[allow(
                    unreachable_code,
                    reason = "the body of a generator may never end"
                )] return __outcome;
            })
            .with(
                ::bocadillo::private::StreamOptions::new()
                    .keep_alive(Duration::from_secs(5))
                    .retry(RETRY)
                    .max_lifetime(Duration::from_secs(3600)),
            ),
        __clients,
    )
}
