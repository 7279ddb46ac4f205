fn outermost(id: u8) -> ::bocadillo::EventStream {
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
        [(&::bocadillo::private::Probe(&id)).client()]
    };
    ::bocadillo::private::bind(
        ::bocadillo::private::event_stream(async move |__yielder| -> () {
            let __yielder = &__yielder;
            let id = id;
            let __outcome: () = {
                (__yielder).send(id).await;
            };
            #[allow(unreachable_code, reason = "the body of a generator may never end")]
            return __outcome;
        }),
        __clients,
    )
}
#[doc(hidden)]
#[non_exhaustive]
struct outermost {}
impl<__State> ::bocadillo::private::Endpoint<__State, ()> for outermost
where
    __State: ::core::clone::Clone + ::core::marker::Send + ::core::marker::Sync
        + 'static,
{
    const INFO: ::bocadillo::private::RouteInfo = ::bocadillo::private::RouteInfo::new(
        "/inner/{id}",
        &["GET"],
        ::core::concat!(::core::module_path!(), "::outermost"),
        (::core::file!(), ::core::line!()),
        &[::bocadillo::private::RouteArgument::new("id", "u8", true)],
    );
    async fn call(
        __request: ::bocadillo::private::RouteRequest<__State>,
    ) -> ::core::result::Result<
        ::bocadillo::private::Response,
        ::bocadillo::private::Response,
    > {
        let __arg0 = __request.path_parameter::<u8>("id")?;
        ::core::result::Result::Ok(::bocadillo::private::respond(outermost(__arg0)))
    }
}
fn innermost(id: u8) -> ::bocadillo::EventStream {
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
        [(&::bocadillo::private::Probe(&id)).client()]
    };
    ::bocadillo::private::bind(
        ::bocadillo::private::event_stream(async move |__yielder| -> () {
            let __yielder = &__yielder;
            let id = id;
            let __outcome: () = {
                (__yielder).send(id).await;
            };
            #[allow(unreachable_code, reason = "the body of a generator may never end")]
            return __outcome;
        }),
        __clients,
    )
}
#[doc(hidden)]
#[non_exhaustive]
struct innermost {}
impl<__State> ::bocadillo::private::Endpoint<__State, ()> for innermost
where
    __State: ::core::clone::Clone + ::core::marker::Send + ::core::marker::Sync
        + 'static,
{
    const INFO: ::bocadillo::private::RouteInfo = ::bocadillo::private::RouteInfo::new(
        "/outer/{id}",
        &["GET"],
        ::core::concat!(::core::module_path!(), "::innermost"),
        (::core::file!(), ::core::line!()),
        &[::bocadillo::private::RouteArgument::new("id", "u8", true)],
    );
    async fn call(
        __request: ::bocadillo::private::RouteRequest<__State>,
    ) -> ::core::result::Result<
        ::bocadillo::private::Response,
        ::bocadillo::private::Response,
    > {
        let __arg0 = __request.path_parameter::<u8>("id")?;
        ::core::result::Result::Ok(::bocadillo::private::respond(innermost(__arg0)))
    }
}
