//! The meaning of an annotated function. It is that of an `async fn` with the same text, as far as possible.

use std::num::ParseIntError;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bocadillo::testing::TestClient;
use bocadillo::{
    App, Client, EventStream, Json, RouteInfo, ServerEvent, State, event_stream, generators, route,
    routes, server_event, stream,
};
use futures_util::StreamExt as _;

/// Returns the events of a stream as texts.
async fn data(stream: EventStream) -> Vec<String> {
    stream
        .map(|event| event.unwrap().data().unwrap_or_default().to_owned())
        .collect()
        .await
}

/// Records its name when it is dropped.
struct Named(&'static str, Arc<Mutex<Vec<&'static str>>>);

impl Drop for Named {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(self.0);
    }
}

generators!(
    #[event_stream]
    async fn every_position(numbers: Vec<u8>) -> Result<(), ParseIntError> {
        yield "statement";
        let () = yield "let";
        for number in numbers {
            yield number.to_string() + "!";
        }
        match (yield "match", 1) {
            ((), 1) => yield "arm",
            _ => yield "never",
        }
        let nested = async { yield "nested" };
        nested.await;
        tokio::join!(async { yield "join" }, async { yield "joined" });
        tokio::select! {
            biased;
            () = std::future::ready(()) => { yield "select"; }
            () = std::future::pending() => yield "never",
        }
        let closure = async |text: &str| yield text.to_owned();
        closure("async closure").await;
        let number: u8 = "7".parse()?;
        yield number.to_string();
        "x".parse::<u8>()?;
        yield "never";
        Ok(())
    }

    #[event_stream(retry = delay, keep_alive = other * 2)]
    async fn options_use_arguments(delay: Duration, other: Duration, mut count: u8) {
        count += 1;
        yield format!("{count} {delay:?}");
        let _ = other;
    }

    #[event_stream]
    async fn arguments(first: Named, _second: Named, _: Named, Wrapped(fourth): Wrapped) {
        yield first.0;
        let _local = Named("local", fourth.1.clone());
    }

    #[event_stream]
    async fn generic<T>(values: impl IntoIterator<Item = T> + Send + 'static, last: T)
    where
        T: ToString + Send + 'static,
    {
        for value in values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>() {
            yield value;
        }
        yield last.to_string();
    }

    impl Wrapped {
        #[event_stream]
        async fn associated(count: u8) {
            const HOW_MANY: u8 = 2;
            yield (count * HOW_MANY).to_string();
        }
    }

    mod inner {
        #[bocadillo::event_stream]
        pub(super) async fn in_a_module() {
            yield "module";
        }
    }

    #[stream]
    async fn chunks() {
        yield "a";
        yield vec![b'b'];
    }

    fn untouched() -> &'static str {
        stringify!(a b)
    }
);

struct Wrapped(Named);

#[event_stream]
async fn plain() {
    bocadillo::yield_!("path");
    yield_!(server_event!("named", data = "event"));
    tokio::select! {
        () = std::future::ready(()) => { yield_!("select"); }
    }
}

#[tokio::test]
async fn yield_works_in_every_position() {
    let (mut events, mut failed) = (Vec::new(), 0);
    let mut stream = every_position(vec![1, 2]);
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => events.push(event.data().unwrap().to_owned()),
            Err(_) => failed += 1,
        }
    }
    let expected = [
        "statement",
        "let",
        "1!",
        "2!",
        "match",
        "arm",
        "nested",
        "join",
        "joined",
        "select",
        "async closure",
        "7",
    ];
    assert_eq!(events, expected);
    assert_eq!(failed, 1);
}

#[tokio::test]
async fn arguments_are_dropped_as_in_an_async_fn() {
    async fn model(first: Named, _second: Named, _: Named, Wrapped(fourth): Wrapped) {
        let _ = first.0;
        let _local = Named("local", fourth.1.clone());
    }
    let log = Arc::new(Mutex::new(Vec::new()));
    let named = |name| Named(name, Arc::clone(&log));
    model(
        named("first"),
        named("second"),
        named("third"),
        Wrapped(named("fourth")),
    )
    .await;
    let expected = std::mem::take(&mut *log.lock().unwrap());

    let mut stream = arguments(
        named("first"),
        named("second"),
        named("third"),
        Wrapped(named("fourth")),
    );
    assert!(stream.next().await.is_some());
    assert_eq!(
        *log.lock().unwrap(),
        Vec::<&str>::new(),
        "an unused argument lives as long as the generator"
    );
    assert!(stream.next().await.is_none());
    assert_eq!(*log.lock().unwrap(), expected);
}

#[tokio::test]
async fn options_may_use_arguments_that_are_copy() {
    let second = Duration::from_secs(1);
    let events = data(options_use_arguments(second, second, 1)).await;
    assert_eq!(events.last().unwrap(), "2 1s");
}

#[tokio::test]
async fn generators_may_be_generic_methods_or_in_modules() {
    assert_eq!(data(generic([1, 2], 3)).await, ["1", "2", "3"]);
    assert_eq!(data(Wrapped::associated(2)).await, ["4"]);
    assert_eq!(data(inner::in_a_module()).await, ["module"]);
    assert_eq!(untouched(), "a b");
}

#[tokio::test]
async fn a_plain_attribute_makes_the_same_stream_as_the_keyword() {
    assert_eq!(data(plain()).await, ["path", "event", "select"]);
}

#[tokio::test]
async fn a_plain_stream_gives_its_chunks() {
    let chunks: Vec<_> = chunks().map(|chunk| chunk.unwrap()).collect().await;
    assert_eq!(chunks.concat(), b"ab");
}

#[test]
fn server_event_sets_each_field() {
    let text = String::from("run time");
    let event: ServerEvent = server_event!(
        "greeting",
        id = 7,
        comment = "why",
        retry = Duration::from_secs(1),
        data = [text.as_str(), "two"],
    )
    .unwrap();
    assert_eq!(event.name().unwrap().as_str(), "greeting");
    assert_eq!(event.id().unwrap().as_str(), "7");
    assert_eq!(event.data(), Some("run time\ntwo"));
    let name = String::from("a\nb");
    assert!(server_event!(name, data = "x").is_err());
    assert!(server_event!(id = "a\0".to_owned()).is_err());
    assert!(server_event!(json = f64::NAN).is_err());
    let json =
        server_event!(json = {"a": [1, {"b": null}, [], {}], ("c"): text, "d": true, "e": [0; 2],});
    assert_eq!(
        json.unwrap().data(),
        Some(r#"{"a":[1,{"b":null},[],{}],"c":"run time","d":true,"e":[0,0]}"#)
    );
    assert_eq!(server_event!(json = null).unwrap().data(), Some("null"));
}

#[tokio::test]
async fn await_and_question_mark_work_in_json() {
    async fn inner() -> bocadillo::Result<ServerEvent> {
        async fn number() -> Result<u8, bocadillo::Error> {
            Ok(3)
        }
        server_event!(json = {"number": number().await?, "block": { "x": 1 }})
    }
    assert_eq!(
        inner().await.unwrap().data(),
        Some(r#"{"number":3,"block":{"x":1}}"#)
    );
}

mod api {
    use super::*;

    #[route("/rooms/{room}/{*rest}", methods = [POST, PUT])]
    pub(super) async fn view(
        State(greeting): State<String>,
        rest: String,
        info: axum::extract::Extension<std::sync::Arc<RouteInfo>>,
        room: u32,
        Json(body): Json<String>,
    ) -> Result<String, bocadillo::Problem> {
        assert_eq!(info.name, concat!(module_path!(), "::view"));
        assert_eq!(info.file, file!());
        Ok(format!("{greeting} {room} {rest} {body}"))
    }

    /// The handler checks first, then streams.
    #[route("/then/{id}")]
    pub(super) async fn then_stream(id: u8) -> EventStream {
        generic([id], id)
    }

    generators!(
        #[route("/outer/{id}")]
        #[event_stream]
        pub(super) async fn route_first(id: u8, State(state): State<String>, client: Client) {
            yield format!("{id} {state}");
            client.disconnected().await;
        }

        #[event_stream]
        #[route("/inner/{id}")]
        pub(super) async fn route_last(id: u8, State(state): State<String>) {
            yield format!("{id} {state}");
        }
    );

    #[route("/type/{type}")]
    pub(super) async fn keyword(r#type: String) -> String {
        r#type
    }
}

#[tokio::test]
async fn routes_bind_their_arguments() {
    use api::{route_first, view};

    let routes = routes![
        view,
        api::then_stream,
        route_first,
        api::route_last,
        api::keyword
    ];
    let client = TestClient::new(App::with_state("hello".to_owned()).routes(routes)).unwrap();
    let answer = client.post("/rooms/3/a/b").json(&"body").send().await;
    assert_eq!(answer.text().await, "hello 3 a/b body");
    assert_eq!(
        client
            .post("/rooms/x/a")
            .json(&"body")
            .send()
            .await
            .status(),
        400
    );
    assert_eq!(client.get("/rooms/3/a").send().await.status(), 405);
    for path in ["/outer/1", "/inner/1"] {
        let mut stream = client.get(path).send().await;
        assert_eq!(stream.next_event().await.unwrap().data, "1 hello", "{path}");
    }
    let mut stream = client.get("/then/2").send().await;
    assert_eq!(stream.next_event().await.unwrap().data, "2");
    assert_eq!(
        client.get("/type/keyword").send().await.text().await,
        "keyword"
    );
}

/// A function with `#[route]` stays a function.
#[tokio::test]
async fn routes_can_be_called() {
    assert_eq!(api::keyword("x".to_owned()).await, "x");
    assert_eq!(
        data(api::route_last(1, State("s".to_owned()))).await,
        ["1 s"]
    );
}

/// The functions here do not import `yield_`.
#[deny(warnings)]
mod without_an_import {
    use bocadillo::{event_stream, route, stream};

    macro_rules! tick {
        ($text:expr) => {
            yield_!($text)
        };
    }

    macro_rules! feed {
        ($name:ident, $text:expr) => {
            #[event_stream]
            pub(super) async fn $name() {
                yield_!($text);
                yield_!("fixed");
            }
        };
    }

    feed!(made, "made");

    #[event_stream]
    pub(super) async fn events() {
        yield_!("statement");
        let () = yield_!["brackets"];
        yield_! { "braces" }
        bocadillo::yield_!("path");
        ::bocadillo::yield_!("absolute path");
        tokio::select! {
            () = std::future::ready(()) => { yield_!("select"); }
        }
        tokio::join!(async { yield_!("join") }, async {
            ::bocadillo::yield_!("join path")
        });
        println!("{:?}", yield_!("inside of println"));
        tick!("helper");
        tokio::select! {
            () = std::future::ready(()) => { tick!("helper in select"); }
        }
        macro_rules! local {
            () => {
                yield_!("local helper")
            };
        }
        local!();
        let nested = async { yield_!("async block") };
        nested.await;
    }

    #[event_stream(raise_on_disconnect)]
    pub(super) async fn raising() {
        let _ = tick!("one");
        if yield_!("two").is_err() {}
    }

    #[event_stream]
    pub(super) async fn only_by_a_helper() {
        tick!("helper alone");
    }

    #[route("/chunks")]
    #[stream]
    pub(super) async fn chunks() {
        yield_!("a");
        tick!("b");
    }

    pub(super) struct Of;

    impl Of {
        #[event_stream]
        pub(super) async fn method() {
            yield_!("method");
        }
    }

    pub(super) fn in_a_function() -> bocadillo::EventStream {
        #[event_stream]
        async fn inner() {
            yield_!("in a function");
        }
        inner()
    }
}

/// The functions here import `yield_` although they do not need to.
#[deny(warnings)]
mod with_an_import {
    pub(super) mod by_name {
        use bocadillo::{event_stream, yield_};

        macro_rules! tick {
            () => {
                yield_!("helper")
            };
        }

        #[event_stream]
        pub(in super::super) async fn feed() {
            yield_!("by name");
            tick!();
        }
    }

    pub(super) mod by_glob {
        use bocadillo::*;

        #[event_stream]
        pub(in super::super) async fn feed() {
            yield_!("by glob");
        }
    }

    pub(super) mod in_the_body {
        #[bocadillo::event_stream]
        pub(in super::super) async fn feed() {
            use bocadillo::yield_;
            yield_!("in the body");
        }
    }

    pub(super) mod renamed {
        use bocadillo as b;

        #[b::event_stream]
        pub(in super::super) async fn feed() {
            b::yield_!("renamed");
            yield_!("bare");
        }
    }
}

#[tokio::test]
async fn yield_works_in_a_plain_attribute_without_an_import() {
    let expected = [
        "statement",
        "brackets",
        "braces",
        "path",
        "absolute path",
        "select",
        "join",
        "join path",
        "inside of println",
        "helper",
        "helper in select",
        "local helper",
        "async block",
    ];
    assert_eq!(data(without_an_import::events()).await, expected);
    assert_eq!(data(without_an_import::made()).await, ["made", "fixed"]);
    assert_eq!(data(without_an_import::raising()).await, ["one", "two"]);
    assert_eq!(
        data(without_an_import::only_by_a_helper()).await,
        ["helper alone"]
    );
    assert_eq!(data(without_an_import::Of::method()).await, ["method"]);
    assert_eq!(
        data(without_an_import::in_a_function()).await,
        ["in a function"]
    );
    let app = App::new().routes(routes![without_an_import::chunks]);
    let client = TestClient::new(app).unwrap();
    assert_eq!(client.get("/chunks").send().await.text().await, "ab");
}

#[tokio::test]
async fn an_import_of_yield_causes_no_warning() {
    assert_eq!(
        data(with_an_import::by_name::feed()).await,
        ["by name", "helper"]
    );
    assert_eq!(data(with_an_import::by_glob::feed()).await, ["by glob"]);
    assert_eq!(
        data(with_an_import::in_the_body::feed()).await,
        ["in the body"]
    );
    assert_eq!(
        data(with_an_import::renamed::feed()).await,
        ["renamed", "bare"]
    );
}

generators!(
    #[event_stream]
    async fn questions_of_its_closures_and_blocks() {
        let number =
            |text: &str| -> Result<u8, std::num::ParseIntError> { Ok(text.parse::<u8>()? + 1) };
        let later = async { Ok::<_, std::num::ParseIntError>("2".parse::<u8>()? + 1) };
        yield number("1").unwrap_or_default().to_string();
        yield later.await.unwrap_or_default().to_string();
        yield server_event!(json = {"four": (|| Some("3".parse::<u8>().ok()? + 1))()});
    }
);

#[tokio::test]
async fn closures_and_blocks_may_use_the_question_mark_if_the_generator_cannot() {
    let data = data(questions_of_its_closures_and_blocks()).await;
    assert_eq!(data, ["2", "3", r#"{"four":4}"#]);
}
