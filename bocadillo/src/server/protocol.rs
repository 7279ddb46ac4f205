//! Detects the protocol of a connection by its first bytes.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The first bytes of a client of HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Reads until the protocol is known. Returns the bytes that it has read, and the connection.
pub(crate) async fn detect<C: AsyncRead + Unpin>(
    mut connection: C,
) -> io::Result<(Protocol, BytesMut, C)> {
    let mut head = BytesMut::new();
    let protocol = loop {
        let common = head.len().min(PREFACE.len());
        if head[..common] != PREFACE[..common] {
            break Protocol::Http1;
        }
        if common == PREFACE.len() {
            break Protocol::Http2;
        }
        let mut missing = [0; PREFACE.len()];
        let read = connection.read(&mut missing[common..]).await?;
        if read == 0 {
            break Protocol::Http1;
        }
        head.extend_from_slice(&missing[common..common + read]);
    };
    Ok((protocol, head, connection))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(chunks: &[&[u8]], expected: Protocol) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut connection = tokio_test_io(chunks);
            let (protocol, head, rest) = detect(&mut connection)
                .await
                .expect("no error is made here");
            assert_eq!(protocol, expected);
            let mut all = head.to_vec();
            rest.read_to_end(&mut all)
                .await
                .expect("no error is made here");
            assert_eq!(all, chunks.concat());
        });
    }

    fn tokio_test_io(chunks: &[&[u8]]) -> impl AsyncRead + Unpin + use<> {
        let chunks: Vec<io::Result<bytes::Bytes>> = chunks
            .iter()
            .map(|chunk| Ok(bytes::Bytes::copy_from_slice(chunk)))
            .collect();
        tokio_util::io::StreamReader::new(futures_util::stream::iter(chunks))
    }

    #[test]
    fn the_first_bytes_tell_the_protocol() {
        check(&[PREFACE, b"frames"], Protocol::Http2);
        check(
            &[b"PRI * HT", b"TP/2.0\r\n\r\nSM\r\n", b"\r\n", b"frames"],
            Protocol::Http2,
        );
        check(&[b"GET / HTTP/1.1\r\n\r\n"], Protocol::Http1);
        check(&[b"P", b"OST / HTTP/1.1\r\n\r\n"], Protocol::Http1);
        check(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", b"!"], Protocol::Http1);
        check(&[b"PRI"], Protocol::Http1);
        check(&[], Protocol::Http1);
    }
}
