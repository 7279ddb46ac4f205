//! Prices of a market. Only the newest price of each symbol matters, so a slow client gets only the newest prices.
//!
//! The page at `/` has two readers: one that reads all prices, and one whose speed you can set.

use std::time::{Duration, UNIX_EPOCH};

use bocadillo::topic::{Cursor, Hub, SlowPolicy, Topic};
use bocadillo::{
    App, EventStream, Html, Query, Server, ServerEvent, State, event_stream, generators, route,
    routes,
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

const SYMBOLS: [&str; 8] = [
    "ATUN", "BACON", "CALAMAR", "CHORIZO", "JAMON", "LOMO", "QUESO", "TORTILLA",
];
const PACE: Duration = Duration::from_millis(1);

#[derive(Deserialize, Serialize)]
struct Price {
    symbol: String,
    price: f64,
    /// The time in milliseconds since 1970.
    at: u64,
}

/// Sends the newest price of each symbol, then each change. A client that is too slow gets only the newest prices.
#[route("/prices")]
async fn prices(cursor: Cursor, State(prices): State<Topic>) -> EventStream {
    prices.subscribe_from(cursor.or_start()).into()
}

generators!(
    /// The same for a client that reads with pauses. `?pause=500` means every half second.
    #[route("/slow-prices")]
    #[event_stream]
    async fn slow_prices(
        Query(Slow { pause }): Query<Slow>,
        cursor: Cursor,
        State(prices): State<Topic>,
    ) {
        let prices = prices.subscribe_from(cursor.or_start());
        let mut looks = prices.ready_chunks(SYMBOLS.len());
        while let Some(look) = looks.next().await {
            for price in look {
                yield price;
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
);

#[derive(Deserialize)]
struct Slow {
    /// The pause in milliseconds.
    pause: u64,
}

#[route("/")]
async fn page() -> Html<&'static str> {
    Html(include_str!("index.html"))
}

/// A new price replaces an older price of its symbol that has not been sent.
fn newest_by_symbol() -> SlowPolicy {
    SlowPolicy::conflate(|event| {
        let price: Price = serde_json::from_str(event.data()?).ok()?;
        Some(price.symbol)
    })
}

/// Simulates a market. It runs only while a client is connected, to save work.
async fn trade(prices: &Topic) {
    let mut walk = SYMBOLS.map(|symbol| (symbol, 100.0));
    let mut interval = tokio::time::interval(PACE);
    loop {
        interval.tick().await;
        let (symbol, price) = &mut walk[fastrand::usize(..SYMBOLS.len())];
        *price *= 1.0 + 0.002 * (fastrand::f64() - 0.5);
        let price = Price {
            symbol: (*symbol).to_owned(),
            price: (*price * 100.0).round() / 100.0,
            at: UNIX_EPOCH.elapsed().unwrap_or_default().as_millis() as u64,
        };
        if let Err(error) = prices.publish(ServerEvent::json(&price)).await {
            tracing::warn!(%error, "a price is not published");
        }
    }
}

fn main() -> bocadillo::Result<()> {
    let hub = Hub::builder().slow_clients(newest_by_symbol()).memory();
    let prices = hub.topic("prices")?;
    let market = prices.clone();
    let app = App::with_state(prices).routes(routes![page, prices, slow_prices]);
    Server::new(app)
        .background(async move { market.while_subscribed(|| trade(&market)).await })
        .run()
}
