//! A replay continues with new events, in every order of steps.

use super::*;

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Publish,
    Feed,
    Answer,
    Read,
}

/// Every order of this number of steps.
pub(super) fn schedules(length: u32) -> impl Iterator<Item = Vec<Step>> {
    let steps = [Step::Publish, Step::Feed, Step::Answer, Step::Read];
    (0..4_usize.pow(length)).map(move |number| {
        (0..length)
            .map(|at| steps[number / 4_usize.pow(at) % 4])
            .collect()
    })
}

/// A client that has events up to `after` subscribes. Three events are published before. The feed begins when `known` of them are
/// published. In every order of the next steps the client gets each event once, in order.
#[track_caller]
fn check_join(after: Option<u64>, known: u64, history: usize, schedule: &[Step]) {
    let mut world = World::new(history, 1 << 20);
    (0..known).for_each(|_| world.publish());
    let cursor = after.map_or_else(Cursor::start, |after| Cursor::after(world.id(after)));
    let mut subscription = world.hub.topic("x").unwrap().subscribe_from(cursor);
    assert_eq!(
        World::read(&mut subscription),
        [""; 0],
        "the feed has not begun"
    );
    world.begin();
    (known..3).for_each(|_| world.publish());
    let mut got = Vec::new();
    for step in schedule {
        match step {
            Step::Publish => world.publish(),
            Step::Feed => world.feed_one(),
            Step::Answer => world.answer(),
            Step::Read => got.extend(World::read(&mut subscription)),
        }
    }
    got.extend(world.settle(&mut subscription));
    assert_eq!(
        got,
        numbers(after.unwrap_or(0) + 1..=world.published),
        "after {after:?}, {known} known, history {history}: {schedule:?}"
    );
}

#[test]
fn a_replay_continues_with_new_events_in_every_order_of_steps() {
    for schedule in schedules(6) {
        for after in [None, Some(0), Some(1), Some(3)] {
            for known in [0, 3] {
                if after.unwrap_or(0) <= known {
                    check_join(after, known, 1_000, &schedule);
                }
            }
        }
    }
}

/// The ring drops each event at once, unless a reader needs it. Readers that replay have to request it from the broker again.
#[test]
fn a_replay_continues_in_a_ring_that_drops_events_in_every_order_of_steps() {
    for schedule in schedules(6) {
        for after in [None, Some(0), Some(2)] {
            check_join(after, 3, 0, &schedule);
        }
    }
}

/// The client comes from a node that has read more events than this one.
#[test]
fn a_client_ahead_of_its_node_gets_no_event_twice_in_every_order_of_steps() {
    for schedule in schedules(6) {
        let mut world = World::new(1_000, 1 << 20);
        let first = world.hub.topic("x").unwrap().subscribe();
        world.begin();
        (0..4).for_each(|_| world.publish());
        let mut subscription = world
            .hub
            .topic("x")
            .unwrap()
            .subscribe_from(Cursor::after(world.id(3)));
        let mut got = Vec::new();
        for step in &schedule {
            match step {
                Step::Publish => world.publish(),
                Step::Feed => world.feed_one(),
                Step::Answer => world.answer(),
                Step::Read => got.extend(World::read(&mut subscription)),
            }
        }
        got.extend(world.settle(&mut subscription));
        assert_eq!(got, numbers(4..=world.published), "{schedule:?}");
        drop(first);
    }
}
