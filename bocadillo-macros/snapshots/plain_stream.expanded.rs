#[allow(clippy::all)]
fn lines() -> ::bocadillo::ByteStream {
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
    ::bocadillo::private::byte_stream(async move |__yielder| -> () {
            let __yielder = &__yielder;
            let __outcome: () = {
                (__yielder).send("{}\n").await;
            };
            #[allow(unreachable_code, reason = "the body of a generator may never end")]
            return __outcome;
        })
        .content_type(::bocadillo::private::header_value("application/x-ndjson"))
}
fn text(__arg0: ()) -> ::bocadillo::ByteStream {
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
        [(&::bocadillo::private::Probe(&__arg0)).client()]
    };
    ::bocadillo::private::bind(
        ::bocadillo::private::byte_stream_raising(async move |__yielder| -> () {
                let __yielder = &__yielder;
                let __arg0 = __arg0;
                let _ = __arg0;
                let __outcome: () = {
                    let _ = (__yielder).send("text").await;
                };
                #[allow(
                    unreachable_code,
                    reason = "the body of a generator may never end"
                )] return __outcome;
            })
            .content_type(TEXT)
            .with(
                ::bocadillo::private::StreamOptions::new()
                    .cleanup_timeout(Duration::from_secs(1)),
            ),
        __clients,
    )
}
