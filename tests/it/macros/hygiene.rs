//! Expanded code in modules that hide, rename or shadow the names that it could use.

use futures_util::StreamExt as _;

/// Neither the prelude nor a macro of `std` is in scope.
#[no_implicit_prelude]
mod without_a_prelude {
    ::bocadillo::generators!(
        #[::bocadillo::route("/numbers/{from}")]
        #[::bocadillo::event_stream(raise_on_disconnect)]
        pub(super) async fn numbers(
            from: u8,
            _: ::bocadillo::Client,
        ) -> ::core::result::Result<(), ::bocadillo::ClientDisconnect> {
            (yield ::bocadillo::server_event!("n", id = 1, comment = "c", json = {"from": from, ("to"): [null]}))?;
            ::core::result::Result::Ok(())
        }

        #[::bocadillo::stream(content_type = "text/plain")]
        pub(super) async fn text() {
            yield "text";
        }
    );

    #[::bocadillo::event_stream]
    pub(super) async fn plain() {
        yield_!("plain");
    }

    #[::bocadillo::route("/", methods = [GET])]
    pub(super) async fn index() -> &'static str {
        "index"
    }

    pub(super) fn app() -> ::bocadillo::App {
        ::bocadillo::App::new().routes(::bocadillo::routes![numbers, index])
    }
}

/// Each name that generated code could use means something else here.
#[allow(
    dead_code,
    non_camel_case_types,
    unused_macros,
    reason = "they are there to be in the way"
)]
mod shadowed {
    pub(super) struct Ok;
    pub(super) struct Err;
    pub(super) struct Some;
    pub(super) struct Result;
    pub(super) struct Option;
    pub(super) struct Future;
    pub(super) struct Send;
    pub(super) struct Clone;
    pub(super) struct EventStream;
    pub(super) mod std {}
    pub(super) mod core {}
    pub(super) mod bocadillo {}
    macro_rules! concat {
        ($($any:tt)*) => {
            compile_error!("this is not the `concat!` that is meant")
        };
    }
    macro_rules! stringify {
        ($($any:tt)*) => {
            compile_error!("this is not the `stringify!` that is meant")
        };
    }

    ::bocadillo::generators!(
        #[::bocadillo::route("/{__request}")]
        #[::bocadillo::event_stream]
        pub(super) async fn names(__request: u8, __arg0: ::bocadillo::Client) {
            let __json = __request;
            let __yielder = __json;
            let __clients = __arg0;
            let __outcome = __yielder;
            yield ::bocadillo::server_event!(json = {"outcome": __outcome, "json": __json});
            drop(__clients);
        }
    );
}

/// The crate has another name, and is reached through another module.
mod renamed {
    pub(super) mod web {
        pub(in super::super) use bocadillo as sse;
    }
    use web::sse::generators;

    generators!(
        crate = web::sse;

        #[web::sse::route("/{id}", crate = web::sse)]
        #[web::sse::event_stream(crate = web::sse)]
        pub(super) async fn numbers(id: u8) {
            yield web::sse::server_event!(json = id, crate = web::sse);
        }
    );

    #[web::sse::event_stream(crate = web::sse)]
    pub(super) async fn plain() {
        yield_!("plain");
    }

    pub(super) fn app() -> web::sse::App {
        web::sse::App::new().routes(web::sse::routes![crate = web::sse; numbers])
    }
}

/// A library that uses Bocadillo gives its own path to the macros.
macro_rules! in_a_macro {
    ($name:ident, $path:literal, $argument:ident: $ty:ty, $body:block, $event:expr) => {
        bocadillo::generators!(
            crate = $crate::macros::hygiene::renamed::web::sse;

            #[bocadillo::route($path, crate = $crate::macros::hygiene::renamed::web::sse)]
            #[bocadillo::event_stream(crate = $crate::macros::hygiene::renamed::web::sse)]
            async fn $name($argument: $ty, __yielder: bocadillo::Client) {
                let text = $body;
                yield text;
                yield $event;
                let _ = __yielder;
            }
        );
    };
}

in_a_macro!(made, "/made/{id}", id: u8, { id.to_string() }, "event");

#[tokio::test]
async fn expanded_code_runs_without_a_prelude() {
    use bocadillo::testing::TestClient;

    let client = TestClient::new(without_a_prelude::app()).unwrap();
    let mut stream = client.get("/numbers/3").send().await;
    assert_eq!(
        stream.next_event().await.unwrap().data,
        r#"{"from":3,"to":[null]}"#
    );
    assert_eq!(client.get("/").send().await.text().await, "index");
    let mut text = without_a_prelude::text();
    assert_eq!(text.next().await.unwrap().unwrap(), "text");
    let mut plain = without_a_prelude::plain();
    assert!(plain.next().await.is_some());
}

#[tokio::test]
async fn expanded_code_runs_where_its_names_are_shadowed() {
    let mut stream = shadowed::names(1, bocadillo::Client::new());
    let event = stream.next().await.unwrap().unwrap();
    assert_eq!(event.data(), Some(r#"{"outcome":1,"json":1}"#));
}

#[tokio::test]
async fn expanded_code_runs_with_the_crate_renamed() {
    use bocadillo::testing::TestClient;

    let client = TestClient::new(renamed::app()).unwrap();
    let mut stream = client.get("/5").send().await;
    assert_eq!(stream.next_event().await.unwrap().data, "5");
    assert!(renamed::plain().next().await.is_some());
}

#[tokio::test]
async fn expanded_code_runs_inside_another_macro() {
    let events =
        made(7, bocadillo::Client::new()).map(|event| event.unwrap().data().unwrap().to_owned());
    assert_eq!(events.collect::<Vec<_>>().await, ["7", "event"]);
    let _ = bocadillo::App::new().routes(bocadillo::routes![made]);
}
