//! How a generator's `Client` arguments are found and bound to its stream.

use crate::stream::{ByteStream, Client, EventStream};

/// Finds out whether an argument is a [`Client`]: `(&Probe(&argument)).client()`.
///
/// Method resolution decides, so the name of the type does not matter.
#[derive(Debug)]
pub struct Probe<'a, T: ?Sized>(pub &'a T);

impl Probe<'_, Client> {
    /// The argument.
    #[must_use]
    pub fn client(&self) -> Option<Client> {
        Some(self.0.clone())
    }
}

/// The answer for every other type.
pub trait ProbeAny {
    /// `None`: the argument is not a [`Client`].
    fn client(&self) -> Option<Client>;
}

impl<T: ?Sized> ProbeAny for Probe<'_, T> {
    fn client(&self) -> Option<Client> {
        None
    }
}

/// A stream that tells a [`Client`] when it is over.
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
