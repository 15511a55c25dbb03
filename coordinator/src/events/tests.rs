//! Logs: who may append, who reads what, and what happens when memory runs out.

use kiln_plan::event::TaskOutcome;
use uuid::Uuid;

use super::*;
use crate::store::StoreSettings;

fn build() -> BuildId {
    BuildId::new(Uuid::from_u128(1))
}

fn task(n: u128) -> TaskId {
    TaskId::new(Uuid::from_u128(100 + n))
}

fn say(text: &str) -> EventKind {
    EventKind::Say { speaker: None, text: text.into() }
}

fn finished() -> EventKind {
    EventKind::Finished { outcome: TaskOutcome::Cancelled }
}

fn records(from: u64, words: &[&str]) -> Vec<Record> {
    (from..).zip(words).map(|(sequence, text)| Record::new(sequence, 1, &say(text))).collect()
}

fn logs(tasks: u128) -> Events {
    let events = Events::new(1 << 20, None);
    events.open(build(), (1..=tasks).map(task));
    (1..=tasks).for_each(|n| assert_eq!(events.begin(task(n), Epoch(1), None), 0));
    events
}

/// `0:a 1:b`, by task.
fn told(update: &[TaskRecords]) -> String {
    let line = |events: &TaskRecords| {
        let words =
            events.records.iter().map(|record| match record.open(events.task).unwrap().unwrap().kind {
                EventKind::Say { text, .. } | EventKind::Error { text, .. } => {
                    format!("{}:{text}", record.sequence)
                }
                EventKind::Finished { .. } => format!("{}:end", record.sequence),
                other => format!("{other:?}"),
            });
        words.collect::<Vec<_>>().join(" ")
    };
    update.iter().map(line).collect::<Vec<_>>().join(" | ")
}

async fn all(events: &Events, from: Vec<(TaskId, u64)>) -> String {
    let mut reader = events.follow(build(), from).unwrap();
    let mut updates = Vec::new();
    while let Some(update) = events.next(&mut reader).await {
        updates.push(told(&update));
    }
    updates.join(" / ")
}

#[tokio::test]
async fn a_reader_gets_everything_and_then_the_end() {
    let events = logs(2);
    events.append(task(1), Epoch(1), records(0, &["a", "b"]));
    let mut reader = events.follow(build(), []).unwrap();
    assert_eq!(told(&events.next(&mut reader).await.unwrap()), "0:a 1:b");
    let late = async {
        events.append(task(2), Epoch(1), records(0, &["c"]));
        events.seal(task(1), 2, &finished());
        events.seal(task(2), 2, &finished());
        events.seal(task(2), 2, &finished());
    };
    let (update, ()) = tokio::join!(events.next(&mut reader), late);
    let rest = events.next(&mut reader).await;
    let update = [update.unwrap(), rest.clone().unwrap_or_default()].concat();
    assert_eq!(told(&update), "2:end | 0:c 1:end");
    assert_eq!(events.next(&mut reader).await, None);
    assert!(events.unsealed().is_empty());
}

#[tokio::test]
async fn a_reader_may_begin_in_the_middle() {
    let events = logs(2);
    events.append(task(1), Epoch(1), records(0, &["a", "b", "c"]));
    events.append(task(2), Epoch(1), records(0, &["d"]));
    (1..=2).for_each(|n| events.seal(task(n), 2, &finished()));
    assert_eq!(all(&events, vec![(task(1), 2)]).await, "2:c 3:end | 0:d 1:end");
    assert_eq!(all(&events, vec![(task(1), 4), (task(2), 2)]).await, "");
}

#[test]
fn only_what_continues_the_log_is_taken() {
    // (what is sent, how far the log then is, whether it was refused)
    let cases = [
        (Epoch(1), records(2, &["c"]), 3, false),
        (Epoch(1), records(0, &["a", "b", "c"]), 3, false),
        (Epoch(1), records(3, &["d"]), 2, false),
        (Epoch(0), records(2, &["c"]), 2, true),
        (Epoch(2), records(2, &["c"]), 2, true),
    ];
    for (epoch, sent, next_sequence, refused) in cases {
        let events = logs(1);
        events.append(task(1), Epoch(1), records(0, &["a", "b"]));
        let receipt = events.append(task(1), epoch, sent.clone());
        assert_eq!((receipt.next_sequence, receipt.refused), (next_sequence, refused), "{epoch:?} {sent:?}");
    }
    assert!(logs(1).append(task(9), Epoch(1), records(0, &["a"])).refused, "an unknown task");
}

#[tokio::test]
async fn a_new_attempt_goes_on_where_the_last_one_was_and_shuts_it_out() {
    let events = logs(1);
    events.append(task(1), Epoch(1), records(0, &["a"]));
    assert_eq!(events.begin(task(1), Epoch(2), Some((5, say("again")))), 2);
    assert_eq!(events.begin(task(1), Epoch(2), Some((5, say("again")))), 2, "told once");
    assert!(events.append(task(1), Epoch(1), records(1, &["late"])).refused);
    assert!(!events.append(task(1), Epoch(2), records(2, &["b"])).refused);
    events.seal(task(1), 9, &finished());
    assert!(events.append(task(1), Epoch(2), records(4, &["too late"])).refused);
    assert_eq!(all(&events, vec![]).await, "0:a 1:again 2:b 3:end");
}

#[tokio::test]
async fn a_log_that_was_lost_goes_on_where_the_agent_is() {
    let events = Events::new(1 << 20, None);
    events.reopen(build(), [(task(1), Epoch(3))]);
    assert_eq!(events.append(task(1), Epoch(3), records(7, &["h"])).next_sequence, 8);
    events.seal(task(1), 9, &finished());
    assert_eq!(all(&events, vec![(task(1), 7)]).await, "7:h 8:end");
    assert_eq!(all(&events, vec![]).await, "6:7 earlier events of this task are no longer kept 7:h 8:end");
}

#[tokio::test]
async fn beyond_the_memory_the_oldest_events_of_the_longest_log_go() {
    let events = Events::new(10_000, None);
    events.open(build(), [task(1), task(2)]);
    (1..=2).for_each(|n| assert_eq!(events.begin(task(n), Epoch(1), None), 0));
    events.append(task(2), Epoch(1), records(0, &["short"]));
    for n in 0..100 {
        events.append(task(1), Epoch(1), records(n, &[&"x".repeat(400)]));
    }
    assert!(events.with(|logs| logs.bytes) <= 10_000);
    (1..=2).for_each(|n| events.seal(task(n), 2, &finished()));
    let told = all(&events, vec![]).await;
    assert!(told.contains("earlier events of this task are no longer kept"), "{told}");
    assert!(told.contains("0:short 1:end"), "{told}");
}

#[tokio::test]
async fn updates_are_bounded() {
    let events = logs(1);
    let long = "x".repeat(100 << 10);
    events.append(task(1), Epoch(1), records(0, &[&long, &long, &long, &long, &long]));
    let mut reader = events.follow(build(), []).unwrap();
    let mut sizes = Vec::new();
    events.seal(task(1), 1, &finished());
    while let Some(update) = events.next(&mut reader).await {
        sizes.push(update[0].records.len());
    }
    assert_eq!(sizes, [3, 3], "three of a hundred KiB pass a quarter of a MiB");
}

#[tokio::test]
async fn a_reader_of_a_forgotten_build_comes_to_an_end() {
    let events = logs(1);
    let mut reader = events.follow(build(), []).unwrap();
    let (update, ()) = tokio::join!(events.next(&mut reader), async { events.forget(build()) });
    assert_eq!(update, None);
    assert!(events.follow(build(), []).is_none());
    assert_eq!(events.with(|logs| (logs.bytes, logs.builds_of.len())), (0, 0));
}

fn farm() -> (Events, Store) {
    let store = Store::open(&StoreSettings::Memory).unwrap();
    (Events::new(10_000, Some(store.clone())), store)
}

async fn rest(events: &Events, leads: bool) -> usize {
    events.put_to_rest(|| async move { leads }).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn events_are_durable_once_they_are_at_rest_and_nobody_else_leads() {
    let (events, _) = farm();
    events.open(build(), [task(1)]);
    events.begin(task(1), Epoch(1), None);
    assert_eq!(events.append(task(1), Epoch(1), records(0, &["a", "b"])).durable_sequence, 0);
    assert_eq!(rest(&events, true).await, 0, "a few events wait for company");
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(rest(&events, false).await, 1);
    assert_eq!(events.receipt(task(1), Epoch(1)).durable_sequence, 0, "another may lead");
    assert_eq!(rest(&events, true).await, 1);
    assert_eq!(events.receipt(task(1), Epoch(1)).durable_sequence, 2);
    assert_eq!(rest(&events, true).await, 0);
}

#[tokio::test(start_paused = true)]
async fn another_leader_finds_what_is_at_rest_and_takes_the_rest_from_the_agent() {
    let (events, store) = farm();
    events.open(build(), [task(1)]);
    events.begin(task(1), Epoch(1), None);
    events.append(task(1), Epoch(1), records(0, &["a", "b"]));
    tokio::time::advance(Duration::from_secs(6)).await;
    rest(&events, true).await;
    events.append(task(1), Epoch(1), records(2, &["lost with the leader"]));
    let next = Events::new(10_000, Some(store.clone()));
    next.reopen(build(), [(task(1), Epoch(1))]);
    assert!(!next.is_known(task(1)));
    next.look_up(build()).await;
    assert_eq!(next.unsealed(), [], "its agent may still come");
    assert_eq!(next.append(task(1), Epoch(1), records(2, &["c"])).next_sequence, 3);
    assert_eq!(next.unsealed(), [task(1)]);
    next.seal(task(1), 9, &finished());
    assert_eq!(rest(&next, true).await, 1);
    assert_eq!(all(&next, vec![]).await, "0:a 1:b / 2:c 3:end");
    let third = Events::new(10_000, Some(store));
    third.reopen(build(), [(task(1), Epoch(1))]);
    third.look_up(build()).await;
    assert_eq!(all(&third, vec![]).await, "0:a 1:b / 2:c 3:end", "an ended log is read from where it rests");
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(third.unsealed(), []);
}

#[tokio::test(start_paused = true)]
async fn what_memory_does_not_keep_is_read_from_where_it_rests() {
    let (events, _) = farm();
    events.open(build(), [task(1)]);
    events.begin(task(1), Epoch(1), None);
    for n in 0..100 {
        events.append(task(1), Epoch(1), records(n, &[&format!("{n} {}", "x".repeat(400))]));
        tokio::time::advance(Duration::from_secs(6)).await;
        rest(&events, true).await;
    }
    assert!(events.with(|logs| logs.bytes) <= 10_000);
    events.seal(task(1), 2, &finished());
    let told = all(&events, vec![]).await;
    assert_eq!(
        told.matches("xxxx ").count() + told.matches("no longer kept").count(),
        100,
        "nothing is missing"
    );
    assert!(!told.contains("no longer kept"));
}
