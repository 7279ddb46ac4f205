//! The drain of streams: the registry of the streams that it ends, and the tasks that it waits for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use slab::Slab;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[cfg(feature = "server")]
mod drained;

#[cfg(feature = "server")]
pub(crate) use drained::Drained;

/// How many streams are taken from the registry at once, so that its lock is held for a short time.
const AT_ONCE: usize = 64;

/// How long a drain waits before it tries again to end a stream that another thread is polling.
const RETRY: Duration = Duration::from_millis(1);

/// A registry that had room for more than this gives its memory back when the last stream has gone.
const KEPT: usize = 64;

/// A stream that a drain can end.
pub(crate) trait Drainable: Send + Sync {
    /// Ends the stream and releases its source. Returns `false` if another thread is polling it right now.
    fn drain(&self) -> bool;

    /// Ends the stream if its lifetime is over, or if its client is too slow. See `sweep.rs`.
    fn end_if_due(&self) {}
}

/// The drain of one `Streams`, or of one inside of another.
#[derive(Default)]
pub(crate) struct Drain {
    /// A drain waits for these.
    pub(crate) tasks: TaskTracker,
    /// Requests under way, without streams.
    pub(crate) requests: TaskTracker,
    is_draining: AtomicBool,
    /// Whether the drain has come to all streams that were open when it began.
    all_reached: AtomicBool,
    begun_at: OnceLock<Instant>,
    begun: CancellationToken,
    finished: CancellationToken,
    registry: Mutex<Registry>,
    /// Whether the task of `sweep.rs` runs.
    pub(super) is_swept: AtomicBool,
    /// They are drained with this one.
    inner: Mutex<Vec<Weak<Drain>>>,
}

#[derive(Default)]
struct Registry {
    /// The streams that have started and are not dropped.
    open: Slab<Weak<dyn Drainable>>,
    /// Streams that were polled by another thread when the drain came to them.
    busy: Vec<Weak<dyn Drainable>>,
}

impl Drain {
    /// The drain of streams that belong to both. It begins when one of the two begins.
    pub(crate) fn inside(own: &Self, outer: &Self) -> Arc<Self> {
        let both = Arc::new(Self::default());
        for of in [own, outer] {
            let mut inner = of.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.retain(|known| known.strong_count() > 0);
            inner.push(Arc::downgrade(&both));
            drop(inner);
            if of.is_draining() {
                both.begin();
            }
        }
        both
    }

    fn inner(&self) -> Vec<Arc<Self>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.iter().filter_map(Weak::upgrade).collect()
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a stream that the drain has to end. If the drain has begun, [`is_draining`](Self::is_draining) is true when
    /// this returns, and the stream has to end by itself.
    pub(crate) fn register(self: &Arc<Self>, stream: Weak<dyn Drainable>) -> Registration {
        Registration {
            key: self.registry().open.insert(stream),
            drain: Arc::clone(self),
        }
    }

    /// How many streams have started and are not dropped.
    pub(crate) fn open_streams(&self) -> usize {
        let inner = self.inner();
        let open = self.registry().open.len();
        open + inner
            .iter()
            .map(|inner| inner.open_streams())
            .sum::<usize>()
    }

    /// Ends all streams.
    pub(crate) fn begin(&self) {
        self.begun_at.get_or_init(Instant::now);
        let end = {
            // A stream that is registered before is found below. A later one sees the flag.
            let registry = self.registry();
            if self.is_draining.swap(true, Ordering::AcqRel) {
                return;
            }
            registry.open.capacity()
        };
        self.begun.cancel();
        self.tasks.close();
        self.for_each_chunk(end, |streams| {
            let busy = still_busy(streams);
            self.registry().busy.extend(busy);
        });
        self.all_reached.store(true, Ordering::Release);
        self.inner().iter().for_each(|inner| inner.begin());
    }

    /// Calls `f` with the streams that are open, some at a time. Those that are opened meanwhile may be missing.
    fn for_each_chunk(&self, end: usize, mut f: impl FnMut(Vec<Weak<dyn Drainable>>)) {
        for first in (0..end).step_by(AT_ONCE) {
            let streams = {
                let registry = self.registry();
                (first..first + AT_ONCE)
                    .filter_map(|key| registry.open.get(key).cloned())
                    .collect()
            };
            f(streams);
        }
    }

    /// Ends the streams that have to end, although nobody polls their bodies. Returns `false` if no stream is open: the
    /// caller is not called again then.
    pub(super) fn sweep(&self) -> bool {
        let end = {
            let registry = self.registry();
            if registry.open.is_empty() {
                // A stream that is registered later starts another task.
                self.is_swept.store(false, Ordering::Release);
                return false;
            }
            registry.open.capacity()
        };
        self.for_each_chunk(end, |streams| {
            for stream in streams.iter().filter_map(Weak::upgrade) {
                contain_panic(|| stream.end_if_due());
            }
        });
        true
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Ready when all streams have released their sources and the tasks have ended, those of the inner ones too.
    pub(crate) async fn finished(&self) {
        loop {
            let all_reached = self.all_reached.load(Ordering::Acquire);
            let busy = std::mem::take(&mut self.registry().busy);
            let busy = still_busy(busy);
            if all_reached && busy.is_empty() {
                break;
            }
            self.registry().busy.extend(busy);
            sleep(RETRY).await;
        }
        self.tasks.wait().await;
        for inner in self.inner() {
            Box::pin(inner.finished()).await;
        }
    }

    /// How many tasks have not ended.
    pub(crate) fn tasks(&self) -> usize {
        let inner = self.inner();
        self.tasks.len() + inner.iter().map(|inner| inner.tasks()).sum::<usize>()
    }

    /// Ready when the drain has begun.
    pub(crate) async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// Marks the drain as finished, in time or not.
    pub(crate) fn set_finished(&self) {
        self.finished.cancel();
    }

    /// Ready when the drain has finished, in time or not. Returns when it has begun.
    pub(crate) async fn wait_until_finished(&self) -> Instant {
        self.finished.cancelled().await;
        *self.begun_at.get_or_init(Instant::now)
    }

    /// Ready when no request is under way.
    pub(crate) async fn requests_ended(&self) {
        self.requests.close();
        self.requests.wait().await;
        for inner in self.inner() {
            Box::pin(inner.requests_ended()).await;
        }
    }
}

/// Ends the streams, and returns those that are being polled. No lock is held here: the end of a stream runs code of the
/// user, which may open another stream.
fn still_busy(streams: Vec<Weak<dyn Drainable>>) -> Vec<Weak<dyn Drainable>> {
    let is_busy = |stream: &Weak<dyn Drainable>| {
        let Some(stream) = stream.upgrade() else {
            return false;
        };
        contain_panic(|| stream.drain()) == Some(false)
    };
    streams.into_iter().filter(is_busy).collect()
}

/// Calls `end`, which releases the source of a stream, and so runs code of the user.
fn contain_panic<T>(end: impl FnOnce() -> T) -> Option<T> {
    let ended = catch_unwind(AssertUnwindSafe(end));
    if ended.is_err() {
        tracing::error!("the source of a stream panicked when it was released");
    }
    ended.ok()
}

impl std::fmt::Debug for Drain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drain")
            .field("is_draining", &self.is_draining())
            .field("open_streams", &self.open_streams())
            .field("tasks", &self.tasks())
            .finish_non_exhaustive()
    }
}

/// A stream's entry in the registry of its drain. Dropping it removes the entry.
#[derive(Debug)]
pub(crate) struct Registration {
    drain: Arc<Drain>,
    key: usize,
}

impl Registration {
    pub(crate) fn drain(&self) -> &Drain {
        &self.drain
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut registry = self.drain.registry();
        registry.open.try_remove(self.key);
        if registry.open.is_empty() && registry.open.capacity() > KEPT {
            registry.open = Slab::new();
        }
    }
}

#[cfg(test)]
mod tests;
