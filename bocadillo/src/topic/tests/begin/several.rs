//! One stream of several topics that begin at different times.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_topic_that_has_not_begun_does_not_delay_other_topics() {
    for (early, late) in [("a", "b"), ("b", "a")] {
        let (script, hub) = Script::new();
        let mut subscription = both(&hub, Cursor::live());
        assert_eq!(subscription.last_id(), None);
        script.begin(early);
        script.elsewhere(early, "1");
        script.elsewhere(late, "not seen");
        assert_eq!(drain(&mut subscription), ["1"]);
        script.begin(late);
        script.elsewhere(late, "2");
        assert_eq!(drain(&mut subscription), ["2"], "the client gets no reset");

        let id = subscription.last_id();
        drop(subscription);
        script.elsewhere(late, "4");
        let mut subscription = both(&hub, id);
        script.begin(early);
        script.elsewhere(early, "5");
        assert_eq!(drain(&mut subscription), ["5"]);
        // The client leaves again. Its id is from before the late topic began.
        let id = subscription.last_id();
        drop(subscription);
        let mut subscription = both(&hub, id);
        script.begin(early);
        script.begin(late);
        script.elsewhere(late, "6");
        assert_eq!(
            drain(&mut subscription),
            ["4", "6"],
            "the client gets the events that it missed"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_topic_gets_a_reset_for_itself_alone() {
    let (script, hub) = Script::new();
    let mut subscription = both(&hub, Cursor::live());
    script.begin("a");
    script.interrupt("b");
    let publish = async |topic: &str, text: &str| hub.topic(topic).unwrap().publish(text).await;
    publish("b", "lost").await.unwrap();
    publish("a", "1").await.unwrap();
    assert_eq!(drain(&mut subscription), ["1"]);
    script.begin("b");
    publish("b", "2").await.unwrap();
    assert_eq!(drain(&mut subscription), [B_MISSED, "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_after_a_new_epoch_gets_no_second_reset() {
    let (script, hub) = Script::new();
    let mut subscription = both(&hub, Cursor::live());
    script.begin("a");
    assert_eq!(drain(&mut subscription), [""; 0]);
    script.lose_all();
    script.begin("a");
    let reset = r#"{"reason":"epoch","topics":["a"]}"#;
    assert_eq!(drain(&mut subscription), [reset]);
    let id = subscription.last_id();
    drop(subscription);
    script.elsewhere("a", "1");
    let mut subscription = both(&hub, id);
    script.begin("a");
    assert_eq!(drain(&mut subscription), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_left_before_a_topic_began_gets_a_reset() {
    for cursor in [Cursor::live(), Cursor::start()] {
        let (script, hub) = Script::new();
        let mut subscription = both(&hub, cursor.clone());
        script.begin("a");
        script.elsewhere("a", "1");
        assert_eq!(drain(&mut subscription), ["1"]);
        let id = subscription.last_id().unwrap();
        drop(subscription);
        script.elsewhere("a", "2");
        script.elsewhere("b", "3");
        let after = |id: &EventId| Cursor {
            after: Some(id.as_str().to_owned()),
            fallback: cursor.fallback,
        };
        let mut again = both(&hub, after(&id));
        script.begin("a");
        assert_eq!(drain(&mut again), ["2"]);
        let id = again.last_id().unwrap();
        drop(again);
        let mut again = both(&hub, after(&id));
        script.begin("b");
        script.begin("a");
        let history: &[&str] = if cursor == Cursor::start() {
            &["3"]
        } else {
            &[]
        };
        let mut got = drain(&mut again).into_iter();
        assert_eq!(got.next().unwrap(), B_MISSED, "{cursor:?}");
        assert_eq!(got.collect::<Vec<_>>(), history, "{cursor:?}");
    }
}
