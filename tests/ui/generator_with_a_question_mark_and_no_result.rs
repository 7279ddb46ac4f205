use std::io;

use bocadillo::{ClientDisconnect, event_stream, generators, server_event, stream};

fn read() -> io::Result<String> {
    Ok("hello".to_owned())
}

generators!(
    #[event_stream]
    async fn at_its_level() {
        let text = read()?;
        yield text;
    }

    #[event_stream]
    async fn in_a_loop_and_in_an_operand() {
        loop {
            yield server_event!(data = "hello")?;
        }
    }

    #[event_stream(raise_on_disconnect)]
    async fn on_the_value_of_a_yield() {
        (yield "hello")?;
    }

    #[event_stream]
    async fn in_a_value_of_an_event() {
        yield server_event!(json = {"text": [read()?]});
    }

    #[stream]
    async fn of_bytes() {
        yield read()?;
    }

    #[event_stream]
    async fn where_it_is_allowed() {
        let read_it = || -> io::Result<String> { Ok(read()? + "!") };
        let later = async { Ok::<_, io::Error>(read()? + "!") };
        yield read_it();
        yield later.await;
        yield server_event!(json = {"text": (|| Some(read().ok()?))()});
    }

    #[event_stream(raise_on_disconnect)]
    async fn with_a_result() -> Result<(), ClientDisconnect> {
        (yield "hello")?;
        Ok(())
    }
);

fn main() {
    at_its_level();
    in_a_loop_and_in_an_operand();
    on_the_value_of_a_yield();
    in_a_value_of_an_event();
    of_bytes();
    where_it_is_allowed();
    with_a_result();
}
