//! Prices at a market: of each symbol only the newest matters, so a slow reader is given that, and is never late.
//!
//! The page at `/` has two readers: one that takes all, and one that you can make as slow as you like.

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
    /// When, in milliseconds since 1970.
    at: u64,
}

/// The newest price of each symbol, then each change; to a reader that does not keep up, the newest ones.
#[route("/prices")]
async fn prices(cursor: Cursor, State(prices): State<Topic>) -> EventStream {
    prices.subscribe_from(cursor.or_start()).into()
}

generators!(
    /// The same to a client that looks now and then only: every half second, say, by `?pause=500`.
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
    /// In milliseconds.
    pause: u64,
}

#[route("/")]
async fn page() -> Html<&'static str> {
    Html(include_str!("index.html"))
}

/// A price takes the place of an older one of its symbol that is not on its way yet.
fn newest_by_symbol() -> SlowPolicy {
    SlowPolicy::conflate(|event| {
        let price: Price = serde_json::from_str(event.data()?).ok()?;
        Some(price.symbol)
    })
}

/// Stands in for a market that is worth its cost only while somebody watches.
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
