//! What a node asks of Redis, and what it keeps, is bounded. Requests, entries, bytes and connections are counted.

mod replays;

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::history::lifetime;
use super::link::Link;
use super::*;
use crate::support::{Log, Monitor, is_soak};

/// A link that is as fast as this machine.
const FAST: usize = 1 << 40;

/// What a node asks for, told by the shape of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// To wait for events, of at most so many entries of a topic.
    Events {
        count: usize,
    },
    /// Where so many topics stand.
    Stands {
        topics: usize,
    },
    /// A page of a replay or of a backlog.
    Page,
    Ping,
    Other,
}

fn asked(monitor: &Monitor) -> Vec<Asked> {
    let commands = monitor.commands();
    commands.iter().map(|command| one(command)).collect()
}

fn one(command: &[String]) -> Asked {
    match command[0].to_lowercase().as_str() {
        "ping" => Asked::Ping,
        "xread" => {
            let at = command.iter().position(|word| word == "COUNT").unwrap();
            Asked::Events {
                count: command[at + 1].parse().unwrap(),
            }
        }
        "evalsha" => {
            let keys: usize = command[2].parse().unwrap();
            let words = command.len() - 3;
            if words == keys + 1 + 3 * (keys - 2).max(1) && keys > 2 {
                Asked::Stands { topics: keys - 2 }
            } else if words == 10 {
                Asked::Page
            } else {
                Asked::Other
            }
        }
        _ => Asked::Other,
    }
}

fn count(asked: &[Asked], is_one: impl Fn(&Asked) -> bool) -> usize {
    asked.iter().filter(|asked| is_one(asked)).count()
}

fn is_events(asked: &Asked) -> bool {
    matches!(asked, Asked::Events { .. })
}

fn is_stands(asked: &Asked) -> bool {
    matches!(asked, Asked::Stands { .. })
}

/// Waits for a condition without keeping the runtime from its other tasks.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    wait::within(what, waiting).await;
}

/// Leaves a topic as a publish does whose event is gone at once.
fn lose_an_event(redis: &Redis, topic: &str) {
    redis.command(&format!(
        "HSET bocadillo:positions {topic} 99999999999999-0"
    ));
}

#[tokio::test]
async fn one_question_is_about_256_topics() {
    const TOPICS: usize = 1_000;
    let redis = Redis::start();
    let monitor = redis.monitor();
    let hub = hub(&redis);
    // The runtime has one thread, so the node asks when all are there.
    let mut clients: Vec<_> = (0..TOPICS)
        .map(|number| topic(&hub, &number.to_string()).subscribe())
        .collect();
    for client in &mut clients {
        known(client).await;
    }
    let asked = asked(&monitor);
    let largest = asked.iter().map(|asked| match asked {
        Asked::Stands { topics } => *topics,
        _ => 0,
    });
    assert_eq!(largest.max(), Some(256));
    // The first one is sent again, because Redis did not know the script.
    let questions = count(&asked, is_stands);
    assert!((4..=8).contains(&questions), "{questions} questions");
}

#[tokio::test]
async fn an_idle_node_asks_three_things_every_two_seconds_and_notices_what_is_gone() {
    let redis = Redis::start();
    let link = Link::new(&redis, FAST).await;
    let x = topic(&Hub::redis(&link.url).unwrap(), "x");
    let mut events = x.subscribe();
    known(&mut events).await;
    let monitor = redis.monitor();
    until("three pings", || {
        count(&asked(&monitor), |asked| *asked == Asked::Ping) >= 3
    })
    .await;
    let asked = asked(&monitor);
    assert!(asked.len() <= 4 * 3, "{asked:?}");
    assert!(count(&asked, is_events) >= 2 && count(&asked, is_stands) >= 2);
    lose_an_event(&redis, "x");
    assert_eq!(next(&mut events).await, EVICTED);
    assert_eq!(link.connections(), 2, "none was given up");
}

#[tokio::test]
async fn a_busy_node_asks_about_its_topics_every_ten_seconds_and_pings_once_a_second() {
    let redis = Redis::start();
    let (near, far) = (hub(&redis), hub(&redis));
    let mut busy = topic(&near, "busy").subscribe();
    let mut quiet = topic(&near, "quiet").subscribe();
    known(&mut busy).await;
    known(&mut quiet).await;
    publish(&topic(&far, "busy"), "x").await;
    assert_eq!(next(&mut busy).await, "x");
    let monitor = redis.monitor();
    lose_an_event(&redis, "quiet");
    let mut number = 0;
    let noticed = async {
        loop {
            publish(&topic(&far, "busy"), &number.to_string()).await;
            assert_eq!(next(&mut busy).await, number.to_string());
            number += 1;
            if let Some(event) = quiet.next().now_or_never() {
                return event.unwrap().data().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let reset = wait::within("the loss to be noticed", noticed).await;
    assert_eq!(reset, r#"{"reason":"evicted"}"#);
    let asked = asked(&monitor);
    let about_both = count(&asked, |asked| *asked == Asked::Stands { topics: 2 });
    assert_eq!(about_both, 1, "after {number} events");
    // The other node is idle, and pings every two seconds. It publishes all the time, so it need not ping before.
    let pings = count(&asked, |asked| *asked == Asked::Ping);
    assert!(
        (5..=number / 3).contains(&pings),
        "{pings} pings, {number} events"
    );
}

#[tokio::test]
async fn refused_topics_are_asked_about_sixteen_at_a_time_once_a_second() {
    const REFUSED: usize = 60;
    const EVENTS: usize = 300;
    let redis = Redis::start();
    for number in 0..REFUSED {
        redis.command(&format!("SET bocadillo:topic:{number} text"));
    }
    let hub = hub(&redis);
    let mut events = topic(&hub, "works").subscribe();
    known(&mut events).await;
    let refused: Vec<_> = (0..REFUSED)
        .map(|number| topic(&hub, &number.to_string()).subscribe())
        .collect();
    // A publish comes behind them.
    let works = topic(&hub, "works");
    publish(&works, "first").await;
    assert_eq!(next(&mut events).await, "first");
    let monitor = redis.monitor();
    for number in 0..EVENTS {
        publish(&works, &number.to_string()).await;
        assert_eq!(next(&mut events).await, number.to_string());
    }
    let questions = count(&asked(&monitor), is_stands);
    assert!(questions <= 60, "{questions} questions in {EVENTS} events");
    // What each one of them was asked in.
    let asked_of_all = || {
        let asked = asked(&monitor);
        let topics = asked.iter().map(|asked| match asked {
            Asked::Stands { topics } => *topics,
            _ => 0,
        });
        (topics.clone().sum::<usize>(), topics.max())
    };
    until("all to be tried again", || asked_of_all().0 >= REFUSED).await;
    // With the one that works, if it was asked about too.
    assert!(asked_of_all().1 <= Some(17), "{:?}", asked_of_all());
    drop(refused);
}

#[tokio::test]
async fn a_node_that_may_not_wait_for_events_says_so_and_tries_twice_a_second() {
    let log = Log::start();
    let redis = Redis::start();
    let hub = hub(&redis);
    let mut events = topic(&hub, "x").subscribe();
    known(&mut events).await;
    redis.command(
        "ACL SETUSER default resetkeys ~bocadillo:epoch ~bocadillo:positions ~bocadillo:topic:x",
    );
    until("a warning", || {
        !log.lines("refuses to wait for events").is_empty()
    })
    .await;
    let refused = || redis.statistic("errorstats", "errorstat_NOPERM:count=");
    let before = refused();
    publish(&topic(&hub, "x"), "x").await;
    until("to be tried again", || refused() >= before + 3).await;
    // Each of these takes a few milliseconds.
    let start = refused();
    for _ in 0..100 {
        publish(&topic(&hub, "x"), "x").await;
    }
    let tries = refused() - start;
    assert!(
        tries <= 40,
        "{tries} refusals while 100 events were published"
    );
    assert_eq!(log.lines("refuses to wait for events").len(), 1);
    redis.command("ACL SETUSER default allkeys");
    publish(&topic(&hub, "x"), "end").await;
    let all = up_to("end", &mut events).await;
    assert_eq!(all.len(), 102, "nothing was missed");
}

#[tokio::test]
async fn what_wakes_a_node_is_one_entry_that_is_gone_after_a_minute() {
    let redis = Redis::start();
    let hub = hub(&redis);
    let mut clients = Vec::new();
    for number in 0..5 {
        let mut client = topic(&hub, &number.to_string()).subscribe();
        known(&mut client).await;
        clients.push(client);
    }
    let keys = redis.command("KEYS bocadillo:wake:*");
    let key = keys.lines().last().unwrap();
    until("a wake", || {
        redis.command(&format!("EXISTS {key}")) == ":1\r\n"
    })
    .await;
    assert_eq!(redis.command(&format!("XLEN {key}")), ":1\r\n");
    assert!((1..=60_000).contains(&lifetime(&redis, key)));
}

#[tokio::test]
async fn events_beyond_the_history_are_kept_for_nodes_that_are_a_little_behind() {
    let redis = Redis::start();
    let x = topic(&limited(&redis, History::new().max_events(3)), "x");
    let all = (0..50).map(|number| number.to_string());
    x.publish_all(all).await.unwrap();
    publish(&x, "end").await;
    assert_eq!(redis.command("XLEN bocadillo:topic:x"), ":51\r\n");
}

/// How many of these entries are left after a publish into a history of one event. Of each: how many milliseconds ago it came, and
/// how many bytes came since.
fn left(entries: &[(u128, u64)]) -> impl Future<Output = usize> {
    const TOTAL: u64 = 1 << 30;
    let redis = Redis::start();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    for (number, (ago, bytes)) in entries.iter().enumerate() {
        let (time, total) = (now.as_millis() - ago, TOTAL - bytes);
        redis.command(&format!(
            "XADD bocadillo:topic:x {time}-{number} event x total {total}"
        ));
    }
    async move {
        let x = topic(&limited(&redis, History::new().max_events(1)), "x");
        publish(&x, "x").await;
        let length = redis.command("XLEN bocadillo:topic:x");
        let length: usize = length[1..].trim_end().parse().unwrap();
        length - 1
    }
}

#[tokio::test]
async fn what_is_kept_beyond_the_history_is_of_ten_seconds_and_16_mib() {
    const MIB: u64 = 1 << 20;
    assert_eq!(left(&[(10_500, 10), (10_500, 0)]).await, 0);
    assert_eq!(left(&[(10_500, 10), (1_000, 5), (0, 0)]).await, 2);
    assert_eq!(left(&[(2, 17 * MIB), (1, 15 * MIB), (0, 0)]).await, 2);
}

#[tokio::test]
async fn a_key_lives_for_ten_seconds_however_short_the_history_is() {
    for history in [
        History::new().max_events(0),
        History::new().max_age(Duration::from_millis(1)),
    ] {
        let redis = Redis::start();
        publish(&topic(&limited(&redis, history), "x"), "x").await;
        let lifetime = lifetime(&redis, "bocadillo:topic:x");
        assert!((1..=10_000).contains(&lifetime), "{lifetime}");
    }
}

/// Redis looks at each topic that is named to it. With very many topics an optimised build names them faster than it should.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_node_with_many_topics_does_not_name_them_all_the_time() {
    let topics = if is_soak() { 10_000 } else { 500 };
    let redis = Redis::start();
    let (near, far) = (hub(&redis), hub(&redis));
    let mut clients: Vec<_> = (0..topics)
        .map(|number: u128| topic(&far, &number.to_string()).subscribe_from(Cursor::live()))
        .collect();
    for client in &mut clients {
        known(client).await;
    }
    let busy = topic(&near, "0");
    publish(&busy, "warm").await;
    assert_eq!(next(&mut clients[0]).await, "warm");
    let asked = || redis.statistic("commandstats", "cmdstat_xread:calls=");
    let (start, before) = (Instant::now(), asked());
    for _ in 0..1_000 {
        publish(&busy, "x").await;
    }
    let asked = asked() - before;
    // Two microseconds for each topic.
    let most = start.elapsed().as_micros() / (2 * topics) + 3;
    println!("{asked} requests, {most} at most");
    assert!(asked as u128 <= most, "{asked} in {:?}", start.elapsed());
}

#[tokio::test]
async fn the_pause_between_attempts_to_connect_doubles() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let hub = Hub::redis(&*url).unwrap();
    let start = Instant::now();
    let _events = topic(&hub, "x").subscribe_from(Cursor::live());
    wait::within("seven attempts", async {
        for _ in 0..7 {
            drop(listener.accept().await.unwrap());
        }
    })
    .await;
    // 25, 50, 100, 200 and 400 ms, and half a second.
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(1_275), "{took:?}");
}

#[tokio::test]
async fn only_the_last_epoch_is_kept() {
    let redis = Redis::start();
    let x = topic(&hub(&redis), "x");
    let mut events = x.subscribe();
    for _ in 0..3 {
        publish(&x, "x").await;
        assert_eq!(next(&mut events).await, "x");
        // As after a backup was restored.
        redis.command("DEL bocadillo:topic:x");
        redis.command("HSET bocadillo:positions x 1-1");
        assert_eq!(next(&mut events).await, EPOCH);
    }
    assert_eq!(redis.command("XLEN bocadillo:epoch"), ":1\r\n");
}

#[tokio::test]
async fn entries_of_other_programs_do_not_change_how_bytes_are_counted() {
    let redis = Redis::start();
    let x = topic(&hub(&redis), "x");
    publish(&x, "x").await;
    let total = || {
        let entry = redis.command("XREVRANGE bocadillo:topic:x + - COUNT 1");
        let lines: Vec<_> = entry.lines().map(str::to_owned).collect();
        let at = lines.iter().position(|line| line == "total").unwrap();
        lines[at + 2].parse::<usize>().unwrap()
    };
    assert_eq!(total(), 9, "`data: x` and two line ends");
    for number in 0..50 {
        redis.command(&format!("XADD bocadillo:topic:x * number {number}"));
        redis.command("XADD bocadillo:topic:x * total 99999999999999999999");
        redis.command("XADD bocadillo:topic:x * total -1");
    }
    redis.command("XTRIM bocadillo:topic:x MAXLEN 60");
    redis.command("XADD bocadillo:topic:x * total 9");
    for _ in 0..20 {
        redis.command("XADD bocadillo:topic:x * total nan");
    }
    publish(&x, "y").await;
    assert_eq!(total(), 18);
}
