//! The answer of a handler when a publish fails. The client learns what it can do. It does not get the broker's message.

use std::time::Duration;

use bocadillo::testing::TestClient;
use bocadillo::topic::Hub;
use bocadillo::{App, EventStream, Problem, State, route, routes};

use crate::support::{Log, Nats, Redis, wait};

#[route("/{topic}", methods = [POST])]
async fn publish(topic: String, State(hub): State<Hub>, text: String) -> Result<String, Problem> {
    Ok(hub.topic(&topic)?.publish(text).await?.to_string())
}

#[route("/{topic}")]
async fn listen(topic: String, State(hub): State<Hub>) -> Result<EventStream, Problem> {
    Ok(hub.topic(&topic)?.subscribe().into())
}

#[route("/all/{topics}")]
async fn listen_to_all(topics: String, State(hub): State<Hub>) -> Result<EventStream, Problem> {
    Ok(hub.subscribe(topics.split(','))?.into())
}

fn client(hub: &Hub) -> TestClient {
    let app = App::with_state(hub.clone()).routes(routes![publish, listen, listen_to_all]);
    TestClient::new(app).expect("valid routes")
}

/// Publishes through a handler. Returns the status, `Retry-After` and the body of the answer.
async fn answer(hub: &Hub, topic: &str, text: &str) -> (u16, Option<String>, String) {
    let request = client(hub).post(&format!("/{topic}")).body(text.to_owned());
    let response = wait::within("an answer", request.send()).await;
    let status = response.status().as_u16();
    let retry_after = response.header("retry-after").map(str::to_owned);
    (status, retry_after, response.text().await)
}

async fn publishes(hub: &Hub, topic: &str) {
    let (status, _, body) = answer(hub, topic, "first").await;
    assert_eq!(status, 200, "{body}");
}

/// Checks a broker that refuses to publish on `topic`: the log has the broker's message, and the answer does not.
async fn check_refused(hub: &Hub, topic: &str, text: &str, said: &str) {
    let log = Log::start();
    let (status, retry_after, body) = answer(hub, topic, text).await;
    assert_eq!((status, retry_after), (500, None), "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).expect("a problem is JSON");
    let expected = serde_json::json!({ "status": 500, "title": "Internal Server Error" });
    assert_eq!(body, expected);
    assert!(
        !log.lines(said).is_empty(),
        "`{said}` is not logged, but {:?}",
        log.lines("")
    );
}

/// Checks a broker that is away: the log has the error of the network, and the answer does not.
async fn check_away(hub: &Hub) {
    let error = wait::within("an error with a known result", async {
        loop {
            match hub.topic("x").unwrap().publish("x").await {
                Err(error) if error.is_unavailable() => return error,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    });
    let said = std::error::Error::source(&error.await).unwrap().to_string();
    let log = Log::start();
    let (status, retry_after, body) = answer(hub, "x", "x").await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(retry_after.as_deref(), Some("1"));
    assert!(body.contains("nothing was published"), "{body}");
    assert!(!body.contains(&said), "{body}");
    assert!(!log.lines("the broker is away").is_empty());
}

#[tokio::test]
async fn the_reason_of_a_refusal_by_redis_is_logged_and_not_sent() {
    let redis = Redis::start();
    redis.command("ACL SETUSER app on >secret allcommands ~bocadillo:*");
    let url = redis.url().replace("redis://", "redis://app:secret@");
    let hub = Hub::redis(url).unwrap();
    publishes(&hub, "x").await;

    redis.command("CONFIG SET maxmemory 1");
    check_refused(&hub, "x", "x", "OOM").await;
    redis.command("CONFIG SET maxmemory 0");
    publishes(&hub, "x").await;

    redis.command(
        "ACL SETUSER app resetkeys ~bocadillo:epoch ~bocadillo:positions ~bocadillo:wake:*",
    );
    check_refused(&hub, "x", "x", "no permissions").await;
    redis.command("ACL SETUSER app ~bocadillo:*");
    publishes(&hub, "x").await;

    redis.command("SET bocadillo:topic:text text");
    check_refused(&hub, "text", "x", "WRONGTYPE").await;
}

#[tokio::test]
async fn the_reason_of_a_refusal_by_nats_is_logged_and_not_sent() {
    let nats = Nats::configured(
        "no_auth_user: app\nauthorization { users: [ { user: app, password: app, permissions: { publish: { deny: [\"bocadillo.events.secret\"] } } } ] }\n",
    );
    let hub = Hub::nats(nats.url()).unwrap();
    publishes(&hub, "x").await;
    check_refused(&hub, "secret", "x", "bocadillo.events.secret").await;
    // By default NATS takes messages of up to 1 MiB.
    check_refused(&hub, "x", &"x".repeat((1 << 20) + 1), "payload").await;
    publishes(&hub, "x").await;
}

#[tokio::test]
async fn a_refusal_of_redis_when_a_hub_starts_is_not_an_outage() {
    let redis = Redis::start();
    redis.command("ACL SETUSER app on >secret allcommands ~bocadillo:*");
    let url = |password: &str| {
        redis
            .url()
            .replace("redis://", &format!("redis://app:{password}@"))
    };
    check_refused(
        &Hub::redis(url("guessed")).unwrap(),
        "x",
        "x",
        "the broker refuses",
    )
    .await;

    redis.command("CONFIG SET maxmemory 1");
    check_refused(&Hub::redis(url("secret")).unwrap(), "x", "x", "OOM").await;
    redis.command("CONFIG SET maxmemory 0");

    redis.command("ACL SETUSER app resetkeys");
    let hub = Hub::redis(url("secret")).unwrap();
    check_refused(&hub, "x", "x", "no permissions").await;
    // The hub tries again by itself.
    redis.command("ACL SETUSER app ~bocadillo:*");
    wait::within("a publish that is allowed", async {
        while answer(&hub, "x", "x").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_refusal_of_nats_when_a_hub_starts_is_not_an_outage() {
    let settings = |denied: &str| {
        format!(
            "authorization {{ users: [ {{ user: app, password: secret, permissions: {{ publish: {{ deny: [{denied}] }} }} }} ] }}\n"
        )
    };
    let nats = Nats::configured(&settings("\"$JS.API.>\""));
    let url = |password: &str| {
        nats.url()
            .replace("nats://", &format!("nats://app:{password}@"))
    };
    check_refused(&Hub::nats(url("guessed")).unwrap(), "x", "x", "credentials").await;

    let hub = Hub::nats(url("secret")).unwrap();
    check_refused(&hub, "x", "x", "$JS.API").await;
    // The hub tries again by itself.
    nats.reload(&settings("\"other\""));
    wait::within("a publish that is allowed", async {
        while answer(&hub, "x", "x").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn clients_get_503_and_retry_after_while_redis_is_away() {
    let mut redis = Redis::start();
    let hub = Hub::redis(redis.url()).unwrap();
    publishes(&hub, "x").await;
    redis.kill();
    check_away(&hub).await;
}

#[tokio::test]
async fn clients_get_503_and_retry_after_while_nats_is_away() {
    let mut nats = Nats::start();
    let hub = Hub::nats(nats.url()).unwrap();
    publishes(&hub, "x").await;
    nats.kill();
    check_away(&hub).await;
}

#[tokio::test]
async fn an_invalid_topic_name_is_400_on_every_hub() {
    let (redis, nats) = (Redis::start(), Nats::start());
    for hub in [
        Hub::memory(),
        Hub::redis(redis.url()).unwrap(),
        Hub::nats(nats.url()).unwrap(),
    ] {
        let long = "x".repeat(201);
        for path in [
            &*format!("/{long}"),
            "/a%0Ab",
            "/all/a,,b",
            "/all/1,2,3,4,5,6,7,8,9",
        ] {
            let response = client(&hub).get(path).send().await;
            let status = response.status();
            let body = response.text().await;
            assert_eq!(status, 400, "{path}: {body}");
            assert!(body.contains("topic"), "the reason is sent: {body}");
        }
        let (status, _, body) = answer(&hub, &long, "x").await;
        assert_eq!(status, 400, "{body}");
    }
}

#[tokio::test]
async fn each_error_of_a_topic_has_one_kind() {
    let errors = [
        Hub::memory().topic("").unwrap_err(),
        Hub::redis("http://127.0.0.1").unwrap_err(),
        Hub::nats("http://127.0.0.1").unwrap_err(),
        Hub::builder()
            .prefix("a.b")
            .nats("nats://127.0.0.1")
            .unwrap_err(),
    ];
    let kinds = errors.map(|error| {
        [
            error.is_topic(),
            error.is_config(),
            error.is_event(),
            error.is_unavailable(),
            error.is_refused(),
            error.is_unconfirmed(),
        ]
    });
    let topic = [true, false, false, false, false, false];
    let config = [false, true, false, false, false, false];
    assert_eq!(kinds, [topic, config, config, config]);
}
