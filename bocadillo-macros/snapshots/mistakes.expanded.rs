::core::compile_error! {
    "`#[event_stream]` has no option `keep_alvie`: did you mean `keep_alive`?"
}
::core::compile_error! {
    "a closure cannot yield: use a loop in its place, or yield in an `async` block that the generator awaits"
}
::core::compile_error! {
    "this `yield` has nothing to send: write `yield \"hello\"`, for example, or `yield server_event!(…)`"
}
::core::compile_error! {
    "`#[event_stream]` goes on an `async fn`: write `async` before this `fn`"
}
::core::compile_error! {
    "`&` is borrowed only for the call, but the stream outlives the call: take a `String`, or a `&'static str`"
}
::core::compile_error! {
    "the error of a generator needs a named type: write `Result<(), MyError>` or `Result<(), Box<dyn Error + Send + Sync>>`"
}
fn feed(name: &'static str) -> ::bocadillo::EventStream {
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
        [(&::bocadillo::private::Probe(&name)).client()]
    };
    ::bocadillo::private::bind(
        ::bocadillo::private::event_stream::<
            _,
            _,
            _,
        >(async move |__yielder| -> _ {
            let __yielder = &__yielder;
            let name = name;
            let __outcome: _ = {
                items
                    .for_each(|item| {
                        let _ = item;
                        loop {}
                    });
                (__yielder).send("").await;
            };
            #[allow(unreachable_code, reason = "the body of a generator may never end")]
            return __outcome;
        }),
        __clients,
    )
}
::core::compile_error! {
    "the path parameter `{room}` has no argument: did you mean the argument `rom`? both names have to be the same"
}
async fn rooms(rom: String) {}
#[doc(hidden)]
#[non_exhaustive]
struct rooms {}
impl<
    __State: ::core::marker::Send + ::core::marker::Sync + 'static,
> ::bocadillo::private::Endpoint<__State, ()> for rooms {
    const INFO: ::bocadillo::private::RouteInfo = ::bocadillo::private::RouteInfo::new(
        "",
        &[],
        "",
        ("", 0),
        &[],
    );
    async fn call(
        _: ::bocadillo::private::RouteRequest<__State>,
    ) -> ::core::result::Result<
        ::bocadillo::private::Response,
        ::bocadillo::private::Response,
    > {
        loop {}
    }
}
fn event() {
    {
        ::core::compile_error! {
            "`data` and `json` both set the data: keep one of the two"
        }
        ::bocadillo::private::EventBuilder::new().data_literal("x").build()
    };
}
