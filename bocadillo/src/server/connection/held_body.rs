//! The body of a request that is being read, as its connection sees it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::stream::outgoing::Outgoing;

pin_project! {
    /// A request's body that records whether it may still be read. While it may, the end of the client's bytes is the end
    /// of the request, and not a sign that the client has left.
    pub(crate) struct HeldBody<B> {
        #[pin]
        body: B,
        in_use: Option<InUse>,
    }
}

struct InUse(Arc<AtomicBool>);

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl<B: Body> HeldBody<B> {
    pub(crate) fn new(body: B, outgoing: Option<&Arc<Outgoing>>) -> Self {
        let in_use = outgoing.filter(|_| !body.is_end_stream()).map(|outgoing| {
            let in_use = outgoing.request();
            in_use.store(true, Ordering::Relaxed);
            InUse(Arc::clone(in_use))
        });
        Self { body, in_use }
    }
}

impl<B: Body> Body for HeldBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
