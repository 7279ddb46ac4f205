use bocadillo::event_stream;

#[event_stream]
async fn feed() {
    println!("nothing");
}

fn main() {
    feed();
}
