//! `Source`: where the items of a stream come from. `RunningSource` tells a source when its client has gone, and runs its
//! clean-up.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tracing::{Instrument, Span};

use crate::error::Result;
use crate::stream::Client;
use crate::stream::drain::Registration;
use crate::stream::options::StreamOptions;

/// An item of a stream: an event or bytes.
pub(crate) trait Payload: Sized + Send + 'static {
    fn write(self, frame: &mut FrameBuffer);
}

/// What is ready of a stream: the content of the next frame.
#[derive(Debug, Default)]
pub(crate) struct FrameBuffer {
    /// Bytes that only this stream sends. Its memory is used again for the next frame.
    pub(crate) own: BytesMut,
    /// Bytes that other streams send as well. They are not copied, and go out after `own`.
    pub(crate) shared: Option<Bytes>,
    /// How the source has ended. `None` while it has not.
    pub(crate) end: Option<Result<()>>,
    /// How many items of this frame have written nothing. Each counts as one byte: otherwise a source of such items would
    /// keep its thread for ever.
    pub(crate) empty: usize,
}

impl FrameBuffer {
    pub(crate) fn has_room(&self, limit: usize) -> bool {
        self.own.len() + self.empty < limit && self.shared.is_none() && self.end.is_none()
    }

    fn has_something(&self) -> bool {
        !self.own.is_empty() || self.shared.is_some() || self.end.is_some()
    }

    /// Ready when there is something to send.
    pub(crate) fn poll(&self, cx: &Context<'_>, limit: usize) -> Poll<()> {
        if self.has_something() {
            return Poll::Ready(());
        }
        if !self.has_room(limit) {
            // The source has more, and so it wakes nobody.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// Where the items of a stream come from.
pub(crate) trait Source<T: Payload>: Send {
    /// The next item. The source is not polled again after `None` or an `Err`.
    fn poll_item(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T>>>;

    /// Collects what is ready, up to about `limit` bytes. Ready when there is something in `frame`.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        frame: &mut FrameBuffer,
        limit: usize,
    ) -> Poll<()> {
        frame.empty = 0;
        while frame.has_room(limit) {
            match self.as_mut().poll_item(cx) {
                Poll::Ready(Some(Ok(item))) => item.write(frame),
                Poll::Ready(Some(Err(error))) => frame.end = Some(Err(error)),
                Poll::Ready(None) => frame.end = Some(Ok(())),
                Poll::Pending => break,
            }
        }
        frame.poll(cx, limit)
    }

    /// Ready once the source is going to end because its client is too slow. It is polled while no item is asked for.
    fn poll_lost(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    /// Tells the source that the client has gone. Returns whether there is a clean-up to run.
    fn disconnect(self: Pin<&mut Self>) -> bool {
        false
    }

    /// Runs the clean-up that [`disconnect`](Self::disconnect) has announced.
    fn poll_clean_up(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The span in which the source was made.
    fn span(&self) -> &Span;
}

/// A source that runs for one client.
pub(crate) struct RunningSource<T: Payload> {
    /// `None` once the source has ended.
    source: Option<Pin<Box<dyn Source<T>>>>,
    /// `None` stands for options of which none is set: most streams have none of their own.
    options: Option<Arc<StreamOptions>>,
    pub(crate) clients: Vec<Client>,
    /// The entry in the registry of a drain, which also waits for the clean-up. `None` before the stream has started.
    pub(crate) registration: Option<Registration>,
}

impl<T: Payload> RunningSource<T> {
    pub(crate) fn new(source: impl Source<T> + 'static) -> Self {
        Self {
            source: Some(Box::pin(source)),
            options: None,
            clients: Vec::new(),
            registration: None,
        }
    }

    pub(crate) fn options(&self) -> &StreamOptions {
        self.options.as_deref().unwrap_or(&StreamOptions::UNSET)
    }

    /// Sets options. Those that were set before stay where `options` has none.
    pub(crate) fn set_options(&mut self, options: StreamOptions) {
        self.options = Some(Arc::new(options.or(self.options())));
    }

    /// Sets options where the stream has none of its own.
    pub(crate) fn set_defaults(&mut self, defaults: &Arc<StreamOptions>) {
        self.options = Some(match self.options.take() {
            None => Arc::clone(defaults),
            Some(own) => Arc::new(Arc::unwrap_or_clone(own).or(defaults)),
        });
    }

    pub(crate) fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let Some(source) = &mut self.source else {
            return Poll::Ready(None);
        };
        let item = source.as_mut().poll_item(cx);
        if matches!(item, Poll::Ready(None | Some(Err(_)))) {
            self.finish();
        }
        item
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        frame: &mut FrameBuffer,
        limit: usize,
    ) -> Poll<()> {
        let Some(source) = &mut self.source else {
            frame.end = Some(Ok(()));
            return Poll::Ready(());
        };
        let polled = source.as_mut().poll_frame(cx, frame, limit);
        if let Some(end) = &frame.end {
            if let Err(error) = end {
                source.span().in_scope(
                    || tracing::error!(error = %error.chain(), "a stream ended with an error"),
                );
            }
            self.finish();
        }
        polled
    }

    /// Ready once the source is going to end because its client is too slow.
    pub(crate) fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.source {
            Some(source) => source.as_mut().poll_lost(cx),
            None => Poll::Pending,
        }
    }

    /// Whether a drain has begun that has to end the stream.
    pub(crate) fn is_draining(&self) -> bool {
        (self.registration.as_ref()).is_some_and(|registration| registration.drain().is_draining())
    }

    fn finish(&mut self) {
        self.source = None;
        self.clients
            .drain(..)
            .for_each(|client| client.set_disconnected());
    }

    /// Tells the source that the client has gone, and runs its clean-up. Dropping this does the same.
    pub(crate) fn disconnect(&mut self) {
        let Some(mut source) = self.source.take() else {
            return;
        };
        let has_clean_up = source.as_mut().disconnect();
        self.finish();
        if !has_clean_up {
            return;
        }
        let span = source.span().clone();
        let Ok(runtime) = Handle::try_current() else {
            span.in_scope(|| {
                tracing::warn!("a stream was dropped outside of a runtime: its clean-up cannot run")
            });
            return;
        };
        let clean_up =
            run_clean_up(source, self.options().cleanup_timeout_or_default()).instrument(span);
        match &self.registration {
            Some(registration) => {
                drop(registration.drain().tasks.spawn_on(clean_up, &runtime));
            }
            None => drop(runtime.spawn(clean_up)),
        }
    }
}

async fn run_clean_up<T: Payload>(mut source: Pin<Box<dyn Source<T>>>, timeout: Duration) {
    let finished = std::future::poll_fn(|cx| source.as_mut().poll_clean_up(cx));
    match tokio::time::timeout(timeout, finished).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(error = %error.chain(), "a clean-up ended with an error"),
        Err(_) => tracing::warn!(
            ?timeout,
            "a clean-up did not finish within its time-out and was dropped"
        ),
    }
}

impl<T: Payload> Drop for RunningSource<T> {
    fn drop(&mut self) {
        self.disconnect();
    }
}

impl<T: Payload> fmt::Debug for RunningSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningSource")
            .field("ended", &self.source.is_none())
            .field("options", &self.options)
            .finish()
    }
}
