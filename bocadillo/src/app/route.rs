//! `RouteInfo`: the description of a route. How its function is called is in `endpoint.rs`.

use std::borrow::Cow;
use std::fmt::{self, Display};

/// The description of a `#[route]` function: for logs, metrics and the documentation of an API.
///
/// When a route has been found for a request, its `Arc<RouteInfo>` is among the extensions of the request. Handlers,
/// extractors and the layers of [nested](crate::App::nest) apps can read it there.
///
/// # Examples
///
/// ```
/// use bocadillo::{App, route, routes};
///
/// #[route("/rooms/{room}")]
/// async fn room(room: u32) -> String { room.to_string() }
///
/// # fn main() {
/// let app = App::new().routes(routes![room]);
/// let info = app.route_infos().next().expect("there is one");
/// assert_eq!((&*info.pattern, info.methods), ("/rooms/{room}", ["GET"].as_slice()));
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteInfo {
    /// The whole pattern: the prefix of a nested app, and the pattern of the attribute.
    pub pattern: Cow<'static, str>,
    /// The methods, in the order in which they are written. A `GET` answers `HEAD` as well.
    pub methods: &'static [&'static str],
    /// The function's path.
    pub name: &'static str,
    /// The file of the function.
    pub file: &'static str,
    /// The line of the function in that file.
    pub line: u32,
    /// The function's arguments, in order.
    pub arguments: &'static [RouteArgument],
}

/// One argument of a route's function.
///
/// # Examples
///
/// ```
/// use bocadillo::{App, LastEventId, route, routes};
///
/// #[route("/rooms/{room}")]
/// async fn room(room: u32, last: LastEventId) -> String { format!("{room} from {last:?}") }
///
/// # fn main() {
/// let app = App::new().routes(routes![room]);
/// let [room, last] = app.route_infos().next().expect("there is one").arguments else { panic!() };
/// assert_eq!((room.name, room.ty, room.in_path), ("room", "u32", true));
/// assert_eq!((last.name, last.ty, last.in_path), ("last", "LastEventId", false));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteArgument {
    /// The argument's name; `_` for a pattern.
    pub name: &'static str,
    /// Its type, as it is written.
    pub ty: &'static str,
    /// Whether it is a parameter of the path, and not an extractor.
    pub in_path: bool,
}

impl RouteInfo {
    /// For generated code.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(
        pattern: &'static str,
        methods: &'static [&'static str],
        name: &'static str,
        (file, line): (&'static str, u32),
        arguments: &'static [RouteArgument],
    ) -> Self {
        Self {
            pattern: Cow::Borrowed(pattern),
            methods,
            name,
            file,
            line,
            arguments,
        }
    }
}

impl RouteArgument {
    /// For generated code.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(name: &'static str, ty: &'static str, in_path: bool) -> Self {
        Self { name, ty, in_path }
    }
}

/// `GET /rooms/{room} (chat::room, src/chat.rs:12)`.
impl Display for RouteInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pattern,
            name,
            file,
            line,
            ..
        } = self;
        write!(
            f,
            "{} {pattern} ({name}, {file}:{line})",
            self.methods.join("|")
        )
    }
}
