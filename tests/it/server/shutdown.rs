//! A signal ends a process with open streams.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Example, wait};

fn open(example: &Example, path: &str) -> BufReader<TcpStream> {
    let mut connection = TcpStream::connect(example.address).expect("the example listens");
    write!(connection, "GET {path} HTTP/1.1\r\nHost: here\r\n\r\n").expect("the example reads");
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    while !line.starts_with("data: ") {
        line.clear();
        assert_ne!(
            reader.read_line(&mut line).expect("the example writes"),
            0,
            "it closed before an event"
        );
    }
    reader
}

fn signal(example: &Example, name: &str) {
    let sent = Command::new("kill")
        .args([name, &example.pid().to_string()])
        .status()
        .expect("`kill` is installed");
    assert!(sent.success());
}

#[test]
fn sigterm_ends_a_hundred_streams_in_order_and_waits_for_their_clean_ups() {
    let mut example = Example::start("clean_up");
    let mut streams: Vec<_> = (0..99)
        .map(|n| open(&example, &format!("/exports/{n}")))
        .collect();
    // The hundredth stream cleans up when the signal arrives.
    drop(open(&example, "/exports/99"));
    example.stdout.wait_for("export 99: nobody waits");

    let start = Instant::now();
    signal(&example, "-TERM");
    for stream in &mut streams {
        let mut rest = String::new();
        stream
            .read_to_string(&mut rest)
            .expect("the stream is not cut");
        assert!(
            rest.ends_with("\r\n0\r\n\r\n"),
            "the body has its end: {rest:?}"
        );
    }
    let status = example.wait();
    println!("100 streams ended {:?} after SIGTERM", start.elapsed());
    assert_eq!(status.code(), Some(0));
    // The default time-out of a shutdown is 20 seconds. The clean-ups run at the same time and take two seconds.
    assert!(start.elapsed() < Duration::from_secs(20));
    for n in 0..100 {
        example.stdout.wait_for(&format!("export {n}: removed"));
    }
    example.stderr.wait_for("SIGTERM");
}

#[test]
fn sigint_ends_a_hundred_streams_in_order_and_waits_for_their_clean_ups() {
    let mut example = Example::start("clean_up");
    let mut stream = open(&example, "/exports/1");
    signal(&example, "-INT");
    let mut rest = String::new();
    stream
        .read_to_string(&mut rest)
        .expect("the stream is not cut");
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "{rest:?}");
    assert_eq!(example.wait().code(), Some(0));
    example.stdout.wait_for("export 1: removed");
}

#[test]
fn a_draining_server_accepts_no_connection_and_a_second_signal_ends_the_wait() {
    let mut example = Example::start("clean_up");
    let _stream = open(&example, "/exports/1");
    signal(&example, "-TERM");
    example.stdout.wait_for("export 1: nobody waits");
    wait::until("no more connections", || {
        TcpStream::connect(example.address).is_err().then_some(())
    });
    let start = Instant::now();
    signal(&example, "-TERM");
    assert_eq!(example.wait().code(), Some(0));
    println!("ended {:?} after the second signal", start.elapsed());
    assert!(
        !example
            .stdout
            .so_far()
            .iter()
            .any(|line| line.contains("removed"))
    );
}
