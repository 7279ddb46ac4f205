//! The bytes of an event stream: an encoder and a decoder. They do no input or output.
//!
//! This is the grammar of [section 9.2.5][grammar] of the WHATWG HTML standard. [Section 9.2.6][meaning] says what a client
//! does with it.
//!
//! ```abnf
//! stream        = [ bom ] *event
//! event         = *( comment / field ) end-of-line
//! comment       = colon *any-char end-of-line
//! field         = 1*name-char [ colon [ space ] *any-char ] end-of-line
//! end-of-line   = ( cr lf / cr / lf )
//!
//! lf            = %x000A              ; LINE FEED
//! cr            = %x000D              ; CARRIAGE RETURN
//! space         = %x0020              ; SPACE
//! colon         = %x003A              ; COLON
//! bom           = %xFEFF              ; BYTE ORDER MARK
//! name-char     = %x0000-0009 / %x000B-000C / %x000E-0039 / %x003B-10FFFF
//!                                     ; a scalar value other than LF, CR, or COLON
//! any-char      = %x0000-0009 / %x000B-000C / %x000E-10FFFF
//!                                     ; a scalar value other than LF or CR
//! ```
//!
//! [`encode`] writes only the forms that all clients read in the same way. [`Decoder`] reads the whole grammar.
//!
//! # Examples
//!
//! ```
//! use bocadillo::ServerEvent;
//! use bocadillo::wire::{self, Decoded, Decoder};
//!
//! let mut bytes = bytes::BytesMut::new();
//! wire::encode(&ServerEvent::new("two\r\nlines").with_id(1), &mut bytes);
//!
//! let Some(Decoded::Event(event)) = Decoder::new().decode(&mut &bytes[..])? else { panic!() };
//! assert_eq!(event.data, "two\nlines");
//! assert_eq!(event.last_event_id, "1");
//! # Ok::<(), bocadillo::Error>(())
//! ```
//!
//! [grammar]: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
//! [meaning]: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

mod decode;
mod encode;
mod message;

pub use decode::Decoder;
pub(crate) use encode::encode_data;
pub use encode::{KEEP_ALIVE, encode};
pub use message::{Decoded, Message};

#[cfg(test)]
mod properties;
