//! The memory and the cache of the ring.

use std::time::Duration;

use super::super::encoded::EventWithoutId;
use super::super::position::Tag;
use super::*;

fn event(sequence: u64, key: Option<&str>) -> Encoded {
    let payload = format!("data: {}\n\n", "x".repeat(100));
    EventWithoutId::from_payload(payload.as_bytes(), key.map(Arc::from))
        .unwrap()
        .with_id(Tag::new(1, "x"), Position::new(sequence, 0))
}

/// A ring that keeps this number of events.
fn filled(policy: &SlowPolicy, events: u64) -> Ring {
    let mut ring = Ring::new(Position::default(), policy);
    for sequence in 1..=events {
        let key = policy.conflates().then(|| sequence.to_string());
        ring.push(event(sequence, key.as_deref()), Instant::now());
    }
    ring
}

fn keep(ring: &mut Ring, events: usize) {
    ring.trim(&History::new().max_events(events), 0, Instant::now());
    assert_eq!(ring.entries.len(), events);
}

#[test]
fn a_ring_frees_its_memory_after_a_burst() {
    for policy in [SlowPolicy::disconnect(), SlowPolicy::conflate_by_name()] {
        let mut ring = filled(&policy, 1_024);
        let capacity = ring.entries.capacity();
        let keys = ring.newest.as_ref().map(HashMap::capacity);
        keep(&mut ring, capacity / 8);
        assert_eq!(
            ring.entries.capacity(),
            capacity,
            "most of the capacity is used"
        );
        keep(&mut ring, capacity / 8 - 1);
        let kept = capacity / 8 - 1;
        assert!((2 * kept..3 * kept).contains(&ring.entries.capacity()));
        let is_smaller = |now: usize| now < keys.unwrap() / 2 && now >= 2 * kept;
        assert!(
            ring.newest
                .is_none_or(|newest| is_smaller(newest.capacity()))
        );
    }
}

/// A topic with few events must not allocate memory for each event.
#[test]
fn a_small_ring_keeps_its_memory() {
    let mut ring = filled(&SlowPolicy::disconnect(), 50);
    let capacity = ring.entries.capacity();
    assert_eq!(capacity, 64);
    keep(&mut ring, 1);
    assert_eq!(ring.entries.capacity(), capacity);
}

#[test]
fn a_key_is_forgotten_with_its_event() {
    let mut ring = filled(&SlowPolicy::conflate_by_name(), 100);
    keep(&mut ring, 0);
    assert_eq!(ring.newest.unwrap().len(), 0);
}

#[test]
fn replaced_events_take_little_memory() {
    let mut ring = Ring::new(Position::default(), &SlowPolicy::conflate_by_name());
    ring.push(event(1, None), Instant::now());
    ring.enter(0);
    let mut most = 0;
    for sequence in 2..1_000 {
        let key = ["a", "b", "c"][sequence as usize % 3];
        ring.push(event(sequence, Some(key)), Instant::now());
        ring.trim(&History::new(), 1 << 20, Instant::now());
        most = most.max(ring.entries.len());
    }
    assert_eq!(ring.live, 4);
    // Removing them visits each entry, so the ring does not do it for each event.
    assert_eq!(most, 2 * 4 + 16);
    let mut replaced = event(1, Some("a"));
    replaced.supersede();
    assert!(replaced.wire.is_empty() && replaced.key.is_none());
}

fn has_cache(ring: &mut Ring) -> bool {
    assert!(matches!(ring.read(0, 1_000), Read::Ready { .. }));
    ring.cache.is_some()
}

#[test]
fn the_cache_is_kept_only_while_a_reader_may_need_it() {
    let forever = History::new().max_events(1_000).unlimited_age();
    // An event of the cache is dropped.
    let mut ring = filled(&SlowPolicy::disconnect(), 10);
    ring.enter(0);
    assert!(has_cache(&mut ring));
    ring.trim(&forever, 0, Instant::now());
    assert!(ring.cache.is_some());
    ring.trim(&forever.max_events(8), 0, Instant::now());
    assert!(ring.cache.is_none());

    // All readers have all events.
    let mut ring = filled(&SlowPolicy::disconnect(), 10);
    ring.enter(0);
    ring.enter(0);
    ring.enter(10);
    assert!(has_cache(&mut ring));
    ring.leave(0);
    assert!(ring.cache.is_some(), "one reader has not read it yet");
    ring.leave(0);
    assert!(ring.cache.is_none());

    // An event of the cache is replaced.
    let mut ring = filled(&SlowPolicy::conflate_by_name(), 10);
    ring.enter(0);
    assert!(has_cache(&mut ring));
    ring.push(event(11, Some("5")), Instant::now());
    assert!(ring.cache.is_none());

    // A single event is not copied.
    let mut ring = filled(&SlowPolicy::disconnect(), 1);
    assert!(!has_cache(&mut ring));
}

/// A reader in the middle of a cache uses the rest of it if that is at least half of what the reader could get.
#[test]
fn a_short_rest_of_the_cache_is_not_used() {
    let mut ring = filled(&SlowPolicy::disconnect(), 40);
    let size = ring.bytes / 40 + 1;
    let limit = 10 * size;
    let mut read = |next| match ring.read(next, limit) {
        Read::Ready { next, .. } => next,
        _ => panic!("there is more"),
    };
    assert_eq!(read(0), 10);
    assert_eq!(read(4), 10, "six of ten events");
    assert_eq!(read(6), 16, "a new cache instead of four events");
    assert_eq!(read(35), 40);
    assert_eq!(read(39), 40, "all events");
    let all = ring.read(0, 40 * size);
    assert!(matches!(all, Read::Ready { next: 40, .. }));
    let less = ring.read(0, limit);
    assert!(
        matches!(less, Read::Ready { next: 10, .. }),
        "the limit of the reader"
    );
}

#[test]
fn each_event_leaves_the_history_once() {
    let history = History::new()
        .max_events(10)
        .max_bytes(1 << 20)
        .max_age(Duration::from_secs(60));
    let mut ring = Ring::new(Position::default(), &SlowPolicy::conflate_by_name());
    ring.enter(0);
    let now = Instant::now();
    for sequence in 1..=30 {
        ring.push(event(sequence, Some(&sequence.to_string())), now);
        ring.trim(&history, 1 << 20, now);
    }
    assert_eq!((ring.start, ring.held), (20, 20));
    // Replaced events free space in the history, but no event comes back into it.
    for sequence in 31..=35 {
        ring.push(event(sequence, Some("30")), now);
        ring.trim(&history, 1 << 20, now);
    }
    assert_eq!(ring.live, 30);
    assert_eq!((ring.start(&history, now), ring.held), (20, 20));
    ring.trim(&history, 1 << 20, now + Duration::from_secs(60));
    assert_eq!((ring.held, ring.held_bytes), (30, ring.bytes));
    ring.leave(0);
    ring.trim(&history, 1 << 20, now);
    assert_eq!(
        (ring.live, ring.held, ring.held_bytes, ring.bytes),
        (0, 0, 0, 0)
    );
}
