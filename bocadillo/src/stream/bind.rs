//! Finds a generator's `Client` arguments, and binds them to its stream.

use crate::stream::{ByteStream, Client, EventStream};

/// Finds out whether an argument is a [`Client`]: `(&Probe(&argument)).client()`.
///
/// The compiler's method resolution decides, so aliases of the type work.
#[derive(Debug)]
pub struct Probe<'a, T: ?Sized>(pub &'a T);

impl Probe<'_, Client> {
    /// The argument.
    #[must_use]
    pub fn client(&self) -> Option<Client> {
        Some(self.0.clone())
    }
}

/// The method for every other type.
pub trait ProbeAny {
    /// `None`: the argument is not a [`Client`].
    fn client(&self) -> Option<Client>;
}

impl<T: ?Sized> ProbeAny for Probe<'_, T> {
    fn client(&self) -> Option<Client> {
        None
    }
}

/// A stream that disconnects a [`Client`] when it ends.
pub trait Bind: Sized {
    /// The stream, bound to `client`.
    #[must_use]
    fn bind_client(self, client: Client) -> Self;
}

impl Bind for EventStream {
    fn bind_client(self, client: Client) -> Self {
        self.bind(client)
    }
}

impl Bind for ByteStream {
    fn bind_client(self, client: Client) -> Self {
        self.bind(client)
    }
}

/// Binds `stream` to each argument that is a [`Client`].
pub fn bind<B: Bind>(stream: B, clients: impl IntoIterator<Item = Option<Client>>) -> B {
    clients.into_iter().flatten().fold(stream, B::bind_client)
}
