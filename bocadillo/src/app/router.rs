//! Finds the route of a method and a path, and conflicts between routes.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;

use crate::app::endpoint::PathParameters;
use crate::app::group::GroupRoute;
use crate::app::route::RouteInfo;
use crate::error::{Error, Result};

/// The routes of an app, by path and method.
pub(crate) struct Router {
    /// From a path to an index into `patterns`.
    paths: matchit::Router<usize>,
    patterns: Vec<Pattern>,
}

struct Pattern {
    /// With indexes into the app's routes.
    routes: Vec<(Method, usize)>,
    /// The value of the header `Allow` for this pattern.
    allow: Arc<str>,
}

/// What a router finds for a request. The numbers are indexes into the app's routes.
#[derive(Clone)]
pub(crate) enum Found {
    Route(usize, PathParameters),
    /// The path is known, but not with this method. The index is that of the first route of this path.
    OtherMethods(usize, Arc<str>),
    Nothing,
}

impl Router {
    pub(crate) fn new(routes: &[GroupRoute]) -> Result<Self> {
        let mut paths = matchit::Router::new();
        let mut patterns: Vec<Pattern> = Vec::new();
        let mut known: HashMap<&str, usize> = HashMap::new();
        for (number, route) in routes.iter().enumerate() {
            let info = &*route.info;
            let index = match known.get(&*info.pattern) {
                Some(index) => *index,
                None => {
                    let index = patterns.len();
                    paths
                        .insert(&*info.pattern, index)
                        .map_err(|error| refused(info, &error, routes))?;
                    known.insert(&info.pattern, index);
                    patterns.push(Pattern {
                        routes: Vec::new(),
                        allow: Arc::default(),
                    });
                    index
                }
            };
            let pattern = &mut patterns[index];
            for method in info.methods {
                let method: Method = method.parse().map_err(|_| {
                    Error::route(format!("{info}: `{method}` is not an HTTP method"))
                })?;
                if let Some((_, other)) = pattern.routes.iter().find(|(known, _)| *known == method)
                {
                    return Err(Error::route(format!(
                        "two routes answer the same requests: {} and {info}",
                        routes[*other].info
                    )));
                }
                pattern.routes.push((method, number));
            }
        }
        for pattern in &mut patterns {
            let mut methods: Vec<&str> = pattern
                .routes
                .iter()
                .map(|(method, _)| method.as_str())
                .collect();
            if methods.contains(&"GET") && !methods.contains(&"HEAD") {
                methods.push("HEAD");
            }
            methods.sort_unstable();
            pattern.allow = methods.join(", ").into();
        }
        Ok(Self { paths, patterns })
    }

    pub(crate) fn find(&self, method: &Method, path: &str) -> Found {
        let Ok(matched) = self.paths.at(path) else {
            return Found::Nothing;
        };
        let pattern = &self.patterns[*matched.value];
        let with = |wanted: &Method| {
            pattern
                .routes
                .iter()
                .find(|(known, _)| known == wanted)
                .map(|(_, route)| *route)
        };
        let route = with(method).or_else(|| with(&Method::GET).filter(|_| method == Method::HEAD));
        match route {
            Some(route) => {
                let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
                Found::Route(
                    route,
                    PathParameters(matched.params.iter().map(own).collect()),
                )
            }
            None => match pattern.routes.first() {
                Some((_, first)) => Found::OtherMethods(*first, Arc::clone(&pattern.allow)),
                None => Found::Nothing,
            },
        }
    }
}

fn refused(info: &RouteInfo, error: &matchit::InsertError, routes: &[GroupRoute]) -> Error {
    let text = match error {
        matchit::InsertError::Conflict { with } => {
            match routes.iter().find(|route| route.info.pattern == **with) {
                Some(other) => {
                    let other = &*other.info;
                    let same_method = |method| other.methods.contains(method);
                    let instead = if shape(&other.pattern) == shape(&info.pattern)
                        && !info.methods.iter().any(same_method)
                    {
                        ": to share them, give their parameters the same names"
                    } else {
                        ""
                    };
                    format!("two routes match the same paths: {other} and {info}{instead}")
                }
                None => format!("the route {info} conflicts with `{with}`"),
            }
        }
        other => format!("the pattern of {info} cannot be served: {other}"),
    };
    Error::route(text)
}

/// The pattern without the names of its parameters.
fn shape(pattern: &str) -> String {
    let mut in_name = false;
    pattern
        .chars()
        .filter(|character| {
            in_name = match character {
                '{' => true,
                '}' => false,
                _ => in_name,
            };
            !in_name || matches!(character, '{' | '*')
        })
        .collect()
}
