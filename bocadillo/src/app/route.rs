//! What `#[route]` says of a function. The route itself, and how the function is called, is in `endpoint.rs`.

use std::borrow::Cow;
use std::fmt::{self, Display};

/// What a `#[route]` function says of itself: for logs, metrics and descriptions of an API.
///
/// The one of the matched route is among a request's extensions, as `Arc<RouteInfo>`, for handlers, extractors and the
/// layers of [nested](crate::App::nest) apps.
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
    /// The whole pattern: as it is written, after the prefix of the app if that is nested.
    pub pattern: Cow<'static, str>,
    /// The methods, in the order in which they are written. A `GET` answers `HEAD` as well.
    pub methods: &'static [&'static str],
    /// The function's path.
    pub name: &'static str,
    /// The file in which the function stands.
    pub file: &'static str,
    /// The line at which it stands.
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
