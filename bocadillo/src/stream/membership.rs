//! How a stream, or a service, finds the `Streams` that it belongs to.
//!
//! A task-local connects the two, because layers and axum's types may stand between them. If the stream is made in
//! another task, the response connects them.

use std::sync::{Arc, Once, OnceLock};

use tokio::task::futures::TaskLocalFuture;

use crate::stream::streams::Streams;

tokio::task_local! {
    static CURRENT: Streams;
}

impl Streams {
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Runs `future`. The streams that it makes belong to this value.
    pub(crate) fn scope<F: Future>(self, future: F) -> TaskLocalFuture<Self, F> {
        CURRENT.scope(self, future)
    }

    /// Runs `f`. The streams that it makes belong to this value.
    pub(crate) fn sync_scope<R>(self, f: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(self, f)
    }

    /// The `Streams` for a request with these extensions: this value, or this value inside of the one that the request
    /// came through.
    pub(crate) fn for_request(&self, extensions: &http::Extensions) -> Self {
        let outer = Self::current().or_else(|| {
            extensions
                .get::<OuterStreams>()
                .map(|outer| outer.0.clone())
        });
        match outer {
            None => self.clone(),
            // A layer of this app stands between.
            Some(outer) if outer.has_same_origin(self) => outer,
            Some(outer) => self.inside(outer),
        }
    }
}

/// Request extension: the `Streams` outside of the service that gets the request. A service between the two may call the
/// inner one from another task, where the task-local is not set.
#[derive(Clone, Debug)]
pub(crate) struct OuterStreams(pub(crate) Streams);

/// Response extension: the layer of a `Streams` puts it in here for a stream that was made in another task.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamsSlot(Arc<OnceLock<Streams>>);

impl StreamsSlot {
    pub(crate) fn fill(&self, streams: Streams) {
        // The innermost layer comes first, and stays.
        let _ = self.0.set(streams);
    }
}

/// The warning about a stream without `Streams` is logged once in a process.
static WITHOUT_STREAMS: Once = Once::new();

/// The `Streams` that a stream belongs to.
#[derive(Debug)]
pub(crate) enum StreamsLookup {
    /// It was made in the task of a request.
    Known(Streams),
    /// It was made in another task.
    FromResponse(StreamsSlot),
}

impl StreamsLookup {
    pub(crate) fn new() -> Self {
        Streams::current().map_or_else(|| Self::FromResponse(StreamsSlot::default()), Self::Known)
    }

    pub(crate) fn slot(&self) -> Option<StreamsSlot> {
        match self {
            Self::Known(_) => None,
            Self::FromResponse(slot) => Some(slot.clone()),
        }
    }

    pub(crate) fn get(self) -> Option<Streams> {
        match self {
            Self::Known(streams) => Some(streams),
            Self::FromResponse(slot) => {
                let streams = slot.0.get().cloned();
                if streams.is_none() {
                    WITHOUT_STREAMS.call_once(|| {
                        tracing::warn!(
                            "a stream belongs to no `Streams`, so no shutdown ends it: add the layer of `Streams`, and \
                             keep a response's extensions where a layer makes a new response"
                        );
                    });
                }
                streams
            }
        }
    }
}
