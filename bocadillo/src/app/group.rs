//! An app and the apps that are nested in it, without the types of their states: each is a group of routes.

use std::convert::Infallible;
use std::panic::Location;
use std::sync::Arc;

use http::{Request, Response};
use tower::util::BoxCloneSyncService;

use crate::app::endpoint::{BoundHandler, Route};
use crate::app::route::RouteInfo;
use crate::error::{Error, Result};
use crate::stream::{StreamOptions, Streams};

pub(super) type Layered = BoxCloneSyncService<
    Request<axum_core::body::Body>,
    Response<axum_core::body::Body>,
    Infallible,
>;
pub(super) type Wrap = Box<dyn FnOnce(Layered) -> Layered + Send>;

/// The routes of an app and of all apps that are nested in it.
pub(super) struct Groups {
    pub(super) routes: Vec<GroupRoute>,
    /// The first one is the app itself.
    pub(super) groups: Vec<Group>,
    /// The first prefix that cannot be used.
    error: Option<Error>,
}

/// A route with the state of its app.
#[derive(Clone)]
pub(super) struct GroupRoute {
    pub(super) info: Arc<RouteInfo>,
    pub(super) handler: BoundHandler,
    /// The index of its app.
    pub(super) group: usize,
}

/// What one app has beside its routes.
pub(super) struct Group {
    pub(super) prefix: String,
    /// The index of the app that it is nested in.
    pub(super) parent: Option<usize>,
    pub(super) layers: Vec<Wrap>,
    pub(super) fallback: Option<Layered>,
    pub(super) options: Option<StreamOptions>,
    pub(super) streams: Option<Streams>,
}

impl Group {
    /// The `Streams` of the group, if they are different from those of the app that it is nested in.
    pub(super) fn streams(&self) -> Option<Streams> {
        match (&self.options, &self.streams) {
            (None, None) => None,
            (None, Some(streams)) => Some(streams.clone()),
            (Some(options), streams) => {
                let streams = streams.clone().unwrap_or_default();
                let options = options.clone().or(streams.options());
                Some(streams.defaults(options))
            }
        }
    }
}

impl Groups {
    pub(super) fn new<S: Send + Sync + 'static>(
        group: Group,
        routes: Vec<Route<S>>,
        state: S,
    ) -> Self {
        let state = Arc::new(state);
        let routes = routes.into_iter().map(|route| GroupRoute {
            info: Arc::new(route.info().clone()),
            handler: route.with_state(Arc::clone(&state)),
            group: 0,
        });
        Self {
            routes: routes.collect(),
            groups: vec![group],
            error: None,
        }
    }

    /// Adds apps that are nested in this one.
    pub(super) fn add(&mut self, nested: Self) {
        let first = self.groups.len();
        self.groups
            .extend(nested.groups.into_iter().map(|group| Group {
                parent: Some(group.parent.map_or(0, |parent| parent + first)),
                ..group
            }));
        self.routes
            .extend(nested.routes.into_iter().map(|route| GroupRoute {
                group: route.group + first,
                ..route
            }));
        self.error = self.error.take().or(nested.error);
    }

    /// Puts all paths under a prefix. `place` is where the program does so.
    pub(super) fn under(mut self, prefix: &str, place: &Location<'_>) -> Self {
        if let Some(mistake) = mistake_in(prefix) {
            let text = format!("an app cannot be nested at `{prefix}` ({place}): {mistake}");
            self.error = Some(Error::route(text));
        }
        for route in &mut self.routes {
            let mut info = (*route.info).clone();
            info.pattern = join(prefix, &info.pattern).into();
            route.info = Arc::new(info);
        }
        for group in &mut self.groups {
            group.prefix = join(prefix, &group.prefix);
        }
        self
    }

    /// # Errors
    ///
    /// When a prefix cannot be used, and when an unknown path would have two fallbacks.
    pub(super) fn check(&mut self) -> Result<()> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let with_fallback = |group: &&Group| group.fallback.is_some();
        for (index, group) in self.groups.iter().enumerate() {
            let mut same = self.groups[..index]
                .iter()
                .filter(|other| other.prefix == group.prefix);
            let parent = group.parent.map(|parent| &self.groups[parent].prefix);
            if with_fallback(&group)
                && (parent == Some(&group.prefix) || same.any(|other| with_fallback(&other)))
            {
                return Err(Error::route(format!(
                    "an app that is nested at `{0}` has a fallback, and another app at `{0}` answers unknown paths: give the fallback to that app",
                    group.prefix
                )));
            }
        }
        Ok(())
    }
}

/// The pattern of a route, or the prefix of an app, in an app that is nested at `prefix`.
fn join(prefix: &str, pattern: &str) -> String {
    if prefix.ends_with('/') {
        return format!("{prefix}{}", pattern.trim_start_matches('/'));
    }
    match pattern {
        "/" => prefix.to_owned(),
        _ => format!("{prefix}{pattern}"),
    }
}

/// What is wrong with a prefix.
fn mistake_in(prefix: &str) -> Option<&'static str> {
    if !prefix.starts_with('/') {
        return Some("a prefix begins with `/`");
    }
    if prefix.contains(['{', '}']) {
        return Some("a prefix has no parameters: write them in the patterns of the routes");
    }
    let is_in_a_path = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
    (!prefix.bytes().all(is_in_a_path))
        .then_some("a path holds no such character: write it percent-encoded")
}
