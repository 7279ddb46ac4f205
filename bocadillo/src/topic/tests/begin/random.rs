//! Random schedules of a node, a broker and a client.

use super::*;

/// Random schedules of the actions of a node, a broker and a client. No event of this hub is missed without a reset of its topic, no
/// event comes twice, and all events come in order.
#[tokio::test(start_paused = true)]
async fn random_schedules_lose_no_event_without_a_reset() {
    for seed in 0..10_000_u64 {
        let mut story = Story::new(seed);
        for _ in 0..24 {
            story.step().await;
        }
        story.end().await;
    }
}

const TOPICS: [&str; 2] = ["a", "b"];

struct Story {
    seed: u64,
    random: u64,
    script: Arc<Script>,
    hub: Hub,
    from_start: bool,
    /// All published numbers of each topic.
    published: [Vec<u64>; 2],
    next: u64,
    /// Another subscriber, so that the topics stay followed.
    keeper: Option<Subscription>,
    subscription: Option<Subscription>,
    id: Option<EventId>,
    /// The events of each topic that the client has since the last reset, and the events that were published before that.
    got: [Vec<u64>; 2],
    before: [usize; 2],
    log: Vec<String>,
}

impl Story {
    fn new(seed: u64) -> Self {
        let (script, hub) = Script::new();
        let mut story = Self {
            seed,
            random: seed,
            script,
            hub,
            from_start: false,
            published: Default::default(),
            next: 0,
            keeper: None,
            subscription: None,
            id: None,
            got: Default::default(),
            before: [0; 2],
            log: Vec::new(),
        };
        story.from_start = story.below(2) == 0;
        story.keeper = (story.below(2) == 0).then(|| both(&story.hub, Cursor::live()));
        story
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.random;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % limit
    }

    async fn step(&mut self) {
        let at = self.below(2) as usize;
        let topic = TOPICS[at];
        let step = self.below(12);
        match step {
            0..=3 => {
                // A publish that would wait is cancelled.
                self.next += 1;
                let data = self.next.to_string();
                let handle = self.hub.topic(topic).unwrap();
                if let Some(published) = handle.publish(data).now_or_never() {
                    published.unwrap();
                    self.published[at].push(self.next);
                    self.log.push(format!("publish {topic} {}", self.next));
                }
            }
            4..=5 if self.subscription.is_some() || self.keeper.is_some() => {
                self.log.push(format!("begin {topic}"));
                self.script.begin(topic);
            }
            6 if self.subscription.is_some() => {
                self.log.push(format!("interrupt {topic}"));
                self.script.interrupt(topic);
            }
            7..=9 => self.read(),
            10 if self.subscription.take().is_some() => self.log.push("leave".to_owned()),
            10 => self.subscribe(),
            11 if self.below(3) == 0 => {
                self.log.push("lose all".to_owned());
                self.script.lose_all();
                if self.from_start {
                    // A topic begins with the history at the time of the broker's answer.
                    for (at, topic) in TOPICS.iter().enumerate() {
                        let state = self.script.state();
                        if state
                            .topics
                            .get(*topic)
                            .is_some_and(|topic| topic.fed_epoch.is_none())
                        {
                            self.before[at] = self.published[at].len();
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn subscribe(&mut self) {
        if self.id.is_none() {
            // A client without an id has no events. It gets new events only, or the history too.
            self.got = Default::default();
            self.before = self.published.each_ref().map(Vec::len);
            if self.from_start {
                let state = self.script.state();
                for (at, topic) in TOPICS.iter().enumerate() {
                    self.before[at] -= state
                        .topics
                        .get(*topic)
                        .map_or(0, |topic| topic.events.len());
                }
            }
        }
        let cursor = Cursor::from(self.id.as_ref().map(|id| id.as_str()));
        let cursor = if self.from_start {
            cursor.or_start()
        } else {
            cursor
        };
        self.log.push(format!("subscribe {cursor:?}"));
        self.subscription = Some(both(&self.hub, cursor));
    }

    fn read(&mut self) {
        // One event or several.
        let limit = [1, 40, 1_000][self.below(3) as usize];
        let Some(subscription) = &mut self.subscription else {
            return;
        };
        if limit == 40 {
            // The application first sends its own event.
            let _ = subscription.ready().now_or_never();
            self.id = subscription.last_id().or(self.id.take());
            return;
        }
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Some(wire)) = subscription.poll_wire(&mut context, limit) else {
            return;
        };
        let text = std::str::from_utf8(&wire).unwrap();
        for event in text.split_inclusive("\n\n") {
            let event = read(event.as_bytes()).unwrap();
            self.log
                .push(format!("  {:?} {:?}", event.id(), event.data()));
            self.id = event.id().cloned();
            let data = event.data().unwrap();
            if let Ok(number) = data.parse() {
                let at = usize::from(!self.published[0].contains(&number));
                self.got[at].push(number);
            } else {
                for (at, topic) in TOPICS.iter().enumerate() {
                    if data.contains(&format!("\"{topic}\"")) {
                        self.got[at].clear();
                        // The client loads its data again, which includes all events.
                        self.before[at] = self.published[at].len();
                    }
                }
            }
        }
        if let Some(id) = subscription.last_id() {
            self.id = Some(id);
        }
    }

    async fn end(&mut self) {
        if self.subscription.is_none() {
            self.subscribe();
        }
        for topic in TOPICS {
            self.script.begin(topic);
        }
        for _ in 0..200 {
            self.read();
        }
        for at in [0, 1] {
            let wanted = &self.published[at][self.before[at]..];
            let got = &self.got[at];
            let is_in_order = got.is_sorted_by(|a, b| a < b);
            let is_whole = got.ends_with(wanted);
            assert!(
                is_in_order && is_whole,
                "seed {}, {}: {got:?} but not all of {wanted:?}\n{}",
                self.seed,
                TOPICS[at],
                self.log.join("\n")
            );
        }
    }
}
