use bocadillo::{event_stream, generators};

struct Sensor {
    name: String,
}

generators!(
    impl Sensor {
        #[event_stream]
        async fn feed(&self) {
            yield self.name.clone();
        }
    }
);

fn main() {
    let sensor = Sensor { name: String::new() };
    sensor.feed();
    drop(sensor.name);
}
