//! Server-Sent Events over hyper.

mod error;
mod event;
pub mod wire;

#[doc(hidden)]
pub mod private;

pub use error::{Error, Result};
pub use event::{EventId, EventName, FieldError, IntoEvent, ServerEvent};
