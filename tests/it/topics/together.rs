//! `publish_all` over a broker: no other event comes between the events of one call.

use bocadillo::topic::{Cursor, Hub};
use futures_util::StreamExt;

use crate::support::{Nats, Redis, wait};
use crate::topics::nodes::Broker;

const NODES: usize = 3;
const ROUNDS: usize = 50;
const PARTS: usize = 4;

async fn together(broker: impl Broker) {
    let nodes = [(); NODES].map(|()| broker.hub(Hub::builder()));
    let publishers = nodes.iter().enumerate().map(|(node, hub)| {
        let topic = hub.topic("game").expect("a valid name");
        async move {
            for round in 0..ROUNDS {
                let moves = (0..PARTS).map(|part| format!("{node} {round} {part}"));
                let ids = topic.publish_all(moves).await.expect("the broker is up");
                assert_eq!(ids.len(), PARTS);
            }
        }
    });
    let publishing = futures_util::future::join_all(publishers);
    let reading = async {
        let topic = nodes[0].topic("game").expect("a valid name");
        let mut events = topic.subscribe_from(Cursor::start());
        for _ in 0..NODES * ROUNDS {
            let mut moves = Vec::new();
            for _ in 0..PARTS {
                let event = events.next().await.expect("the stream continues");
                moves.push(event.data().expect("events of topics have data").to_owned());
            }
            let (first, _) = moves[0].rsplit_once(' ').expect("three numbers");
            let whole: Vec<_> = (0..PARTS).map(|part| format!("{first} {part}")).collect();
            assert_eq!(moves, whole);
        }
    };
    wait::within("all moves", async { tokio::join!(publishing, reading) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_are_published_together_stay_together_on_redis() {
    together(Redis::start()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_are_published_together_stay_together_on_nats() {
    together(Nats::start()).await;
}
