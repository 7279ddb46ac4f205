fn temperature_feed() -> ::bocadillo::EventStream {
    ::bocadillo::private::event_stream_raising(async move |__yielder| -> () {
        let __yielder = &__yielder;
        let __outcome: () = {
            loop {
                let temperature = get_temperature().await;
                if let Err(ClientDisconnect) = (__yielder)
                    .send(
                        ::bocadillo::private::EventBuilder::new()
                            .json({
                                let mut __json = ::bocadillo::private::JsonWriter::new();
                                __json.begin_object();
                                __json.key("temperature");
                                __json.value(&(temperature));
                                __json.end_object();
                                __json
                            })
                            .build(),
                    )
                    .await
                {
                    println!("Disconnecting from the temperature sensor…");
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        #[allow(unreachable_code, reason = "the body of a generator may never end")]
        return __outcome;
    })
}
#[doc(hidden)]
#[non_exhaustive]
struct temperature_feed {}
impl<__State> ::bocadillo::private::Endpoint<__State, ()> for temperature_feed
where
    __State: ::core::clone::Clone + ::core::marker::Send + ::core::marker::Sync
        + 'static,
{
    const INFO: ::bocadillo::private::RouteInfo = ::bocadillo::private::RouteInfo::new(
        "/temperature-feed",
        &["GET"],
        ::core::concat!(::core::module_path!(), "::temperature_feed"),
        (::core::file!(), ::core::line!()),
        &[],
    );
    async fn call(
        _request: ::bocadillo::private::RouteRequest<__State>,
    ) -> ::core::result::Result<
        ::bocadillo::private::Response,
        ::bocadillo::private::Response,
    > {
        ::core::result::Result::Ok(::bocadillo::private::respond(temperature_feed()))
    }
}
fn main() -> bocadillo::Result<()> {
    App::new()
        .routes([<temperature_feed as ::bocadillo::private::Endpoint<_, _>>::route()])
        .run()
}
