//! Logs: who may append, who reads what, and what happens when memory runs out or a leader is replaced.

use kiln_plan::event::{EventKind, TaskOutcome};
use uuid::Uuid;

use super::attempt::RETURN;
use super::story::Chapter;
use super::*;
use crate::store::StoreSettings;

mod readers;

fn build() -> BuildId {
    BuildId::new(Uuid::from_u128(1))
}

fn task(n: u128) -> TaskId {
    TaskId::new(Uuid::from_u128(100 + n))
}

fn say(text: &str) -> EventKind {
    EventKind::Say { speaker: None, text: text.into() }
}

/// The place of the nth event of an attempt, from 1.
fn at(epoch: u64, n: u64) -> u64 {
    place::why(Epoch(epoch)) + n
}

/// Events of an attempt.
fn records(epoch: u64, from: u64, words: &[&str]) -> Vec<Record> {
    (from..).zip(words).map(|(n, text)| Record::new(at(epoch, n), 1, &say(text))).collect()
}

/// A story with so many attempts, of which all but the last are over. `said` has how many events each told at its end.
fn story(said: &[Option<u64>]) -> Story {
    let chapter = |(epoch, said): (u64, &Option<u64>)| {
        let why = (epoch > 1).then(|| Record::new(at(epoch, 0), 1, &say("again")));
        let said_at = said.map(|count| at(epoch, count + 1));
        let (epoch, is_over) = (Epoch(epoch), said.is_some());
        Chapter { epoch, at_ms: 1, why, said: said_at, is_over }
    };
    let mut chapters: Vec<Chapter> = (1..).zip(said).map(chapter).collect();
    let before = chapters.len().saturating_sub(1);
    chapters[..before].iter_mut().for_each(|chapter| chapter.is_over = true);
    Story { chapters, end: None }
}

/// The same, of a task that has finished.
fn finished(said: &[Option<u64>]) -> Story {
    let mut story = story(said);
    story.chapters.iter_mut().for_each(|chapter| chapter.is_over = true);
    let kind = EventKind::Finished { outcome: TaskOutcome::Cancelled };
    story.end = Some(Record::new(place::end(Epoch(said.len() as u64)), 2, &kind));
    story
}

fn logs(tasks: u128) -> Events {
    let events = Events::new(1 << 20, None);
    events.open(build(), (1..=tasks).map(task));
    (1..=tasks).for_each(|n| begin(&events, task(n), 1));
    events
}

fn begin(events: &Events, task: TaskId, epoch: u64) {
    let said: Vec<Option<u64>> = (0..epoch).map(|_| None).collect();
    events.hear(task, story(&said));
    assert_eq!(events.begin(task, Epoch(epoch)), Some(at(epoch, 1)));
}

/// `1.1:a 1.2:b 1.end`, by task.
fn told(update: &[TaskRecords]) -> String {
    let line = |events: &TaskRecords| {
        let words = events.records.iter().map(|record| {
            let epoch = place::epoch(record.sequence);
            match record.open(events.task).unwrap().unwrap().kind {
                EventKind::Say { text, .. } | EventKind::Error { text, .. } => {
                    format!("{epoch}.{}:{text}", record.sequence - place::why(epoch))
                }
                EventKind::Finished { .. } if record.sequence == place::end(epoch) => format!("{epoch}.end"),
                other => format!("{other:?}"),
            }
        });
        words.collect::<Vec<_>>().join(" ")
    };
    update.iter().map(line).collect::<Vec<_>>().join(" | ")
}

async fn all(events: &Events, from: Vec<(TaskId, u64)>) -> String {
    let mut reader = events.follow(build(), from).unwrap();
    let mut updates = Vec::new();
    while let Some(update) = events.next(&mut reader).await.unwrap() {
        updates.push(told(&update));
    }
    updates.join(" / ")
}

/// What a reader is told now, without waiting.
async fn now(events: &Events, reader: &mut Follower) -> String {
    let mut updates = Vec::new();
    let limit = Duration::from_millis(1);
    while let Ok(Ok(Some(update))) = tokio::time::timeout(limit, events.next(reader)).await {
        updates.push(told(&update));
    }
    updates.join(" / ")
}

#[tokio::test]
async fn a_reader_gets_everything_and_then_the_end() {
    let events = logs(2);
    events.append(task(1), Epoch(1), records(1, 1, &["a", "b"]));
    let mut reader = events.follow(build(), []).unwrap();
    assert_eq!(told(&events.next(&mut reader).await.unwrap().unwrap()), "1.1:a 1.2:b");
    let late = async {
        events.append(task(2), Epoch(1), records(1, 1, &["c"]));
        events.hear(task(1), finished(&[Some(2)]));
        events.hear(task(2), finished(&[Some(1)]));
        events.hear(task(2), finished(&[Some(1)]));
    };
    let (update, ()) = tokio::join!(events.next(&mut reader), late);
    let rest = events.next(&mut reader).await.unwrap();
    let update = [update.unwrap().unwrap(), rest.unwrap_or_default()].concat();
    assert_eq!(told(&update), "1.end | 1.1:c 1.end");
    assert_eq!(events.next(&mut reader).await, Ok(None));
    assert!(events.open_ended().is_empty());
}

#[tokio::test]
async fn a_reader_may_begin_in_the_middle() {
    let events = logs(2);
    events.append(task(1), Epoch(1), records(1, 1, &["a", "b", "c"]));
    events.append(task(2), Epoch(1), records(1, 1, &["d"]));
    events.hear(task(1), finished(&[Some(3)]));
    events.hear(task(2), finished(&[Some(1)]));
    assert_eq!(all(&events, vec![(task(1), at(1, 3))]).await, "1.3:c 1.end | 1.1:d 1.end");
    let (end, past) = (place::end(Epoch(1)), place::end(Epoch(1)) + 1);
    assert_eq!(
        all(&events, vec![(task(1), end), (task(2), past)]).await,
        "1.end",
        "only who was told it is done"
    );
    assert_eq!(all(&events, vec![(task(1), past), (task(2), past)]).await, "");
}

#[test]
fn only_what_continues_the_attempt_is_taken() {
    // (what is sent, how far the attempt then is, whether it was refused)
    let cases = [
        (Epoch(1), records(1, 3, &["c"]), at(1, 4), false),
        (Epoch(1), records(1, 1, &["a", "b", "c"]), at(1, 4), false),
        (Epoch(1), records(1, 4, &["d"]), at(1, 3), false),
        (Epoch(0), records(0, 3, &["c"]), 0, true),
        (Epoch(2), records(2, 1, &["c"]), 0, true),
        // Numbers of another attempt, or of the coordinator's own words.
        (Epoch(1), records(2, 1, &["c"]), at(1, 3), true),
        (Epoch(1), records(0, 3, &["c"]), at(1, 3), true),
        (Epoch(1), records(1, 0, &["c"]), at(1, 3), true),
        (Epoch(1), vec![Record::new(place::end(Epoch(1)), 1, &say("c"))], at(1, 3), true),
    ];
    for (epoch, sent, next_sequence, refused) in cases {
        let events = logs(1);
        events.append(task(1), Epoch(1), records(1, 1, &["a", "b"]));
        let receipt = events.append(task(1), epoch, sent.clone());
        assert_eq!((receipt.next_sequence, receipt.refused), (next_sequence, refused), "{epoch:?} {sent:?}");
    }
    assert!(logs(1).append(task(9), Epoch(1), records(1, 1, &["a"])).refused, "an unknown task");
}

#[tokio::test]
async fn a_new_attempt_has_numbers_of_its_own_and_shuts_a_silent_one_out() {
    let events = logs(1);
    events.append(task(1), Epoch(1), records(1, 1, &["a"]));
    begin(&events, task(1), 2);
    begin(&events, task(1), 2);
    assert!(events.append(task(1), Epoch(1), records(1, 2, &["late"])).refused);
    assert!(!events.append(task(1), Epoch(2), records(2, 1, &["b"])).refused);
    events.hear(task(1), finished(&[None, Some(1)]));
    assert_eq!(events.append(task(1), Epoch(2), records(2, 2, &["too late"])).next_sequence, at(2, 2));
    assert_eq!(all(&events, vec![]).await, "1.1:a 2.0:again 2.1:b 2.end");
    assert_eq!(all(&events, vec![(task(1), at(1, 2))]).await, "2.0:again 2.1:b 2.end");
    assert_eq!(all(&events, vec![(task(1), at(2, 1))]).await, "2.1:b 2.end");
}

#[tokio::test(start_paused = true)]
async fn a_new_attempt_is_told_only_once_all_of_the_one_before_is() {
    let events = Events::new(1 << 20, None);
    events.reopen(build(), [(task(1), story(&[Some(2), None]))]);
    let mut reader = events.follow(build(), []).unwrap();
    events.append(task(1), Epoch(2), records(2, 1, &["c"]));
    assert_eq!(now(&events, &mut reader).await, "");
    events.append(task(1), Epoch(1), records(1, 1, &["a"]));
    assert_eq!(now(&events, &mut reader).await, "1.1:a");
    assert!(!events.append(task(1), Epoch(1), records(1, 1, &["a", "b", "more than it said"])).refused);
    assert_eq!(now(&events, &mut reader).await, "1.2:b 2.0:again 2.1:c");
    assert!(!events.append(task(1), Epoch(1), records(1, 1, &["a", "b"])).refused, "it may tell it again");
}

#[tokio::test]
async fn an_attempt_that_another_leader_gave_goes_on_where_its_agent_is_and_is_not_begun_again() {
    let events = Events::new(1 << 20, None);
    events.reopen(build(), [(task(1), story(&[None, None, None]))]);
    assert_eq!(events.begin(task(1), Epoch(3)), None, "nobody knows which numbers were used");
    assert_eq!(events.append(task(1), Epoch(3), records(3, 7, &["h"])).next_sequence, at(3, 8));
    assert_eq!(events.begin(task(1), Epoch(3)), Some(at(3, 8)), "its agent has told");
    events.hear(task(1), finished(&[None, None, Some(7)]));
    assert_eq!(all(&events, vec![(task(1), at(3, 7))]).await, "3.7:h 3.end");
    let gone = "2.0:again 3.0:again 3.6:6 earlier events of this task are no longer kept 3.7:h 3.end";
    assert_eq!(all(&events, vec![]).await, gone, "numbers between attempts are no loss");
}

#[tokio::test]
async fn beyond_the_memory_the_oldest_events_of_the_longest_log_go() {
    let events = Events::new(10_000, None);
    events.open(build(), [task(1), task(2)]);
    (1..=2).for_each(|n| begin(&events, task(n), 1));
    events.append(task(2), Epoch(1), records(1, 1, &["short"]));
    for n in 1..=100 {
        events.append(task(1), Epoch(1), records(1, n, &[&"x".repeat(400)]));
    }
    assert!(events.with(|logs| logs.bytes) <= 10_000);
    events.hear(task(1), finished(&[Some(100)]));
    events.hear(task(2), finished(&[Some(1)]));
    let told = all(&events, vec![]).await;
    assert!(told.contains("earlier events of this task are no longer kept"), "{told}");
    assert!(told.contains("1.1:short 1.end"), "{told}");
}

#[tokio::test]
async fn updates_are_bounded() {
    let events = logs(1);
    let long = "x".repeat(100 << 10);
    events.append(task(1), Epoch(1), records(1, 1, &[&long, &long, &long, &long, &long]));
    let mut reader = events.follow(build(), []).unwrap();
    let mut sizes = Vec::new();
    events.hear(task(1), finished(&[Some(5)]));
    while let Some(update) = events.next(&mut reader).await.unwrap() {
        sizes.push(update[0].records.len());
    }
    assert_eq!(sizes, [3, 3], "three of a hundred KiB pass a quarter of a MiB");
}

#[tokio::test]
async fn a_reader_of_a_forgotten_build_is_told_that_it_is_gone() {
    let events = logs(1);
    let mut reader = events.follow(build(), []).unwrap();
    let (update, ()) = tokio::join!(events.next(&mut reader), async { events.forget(build()) });
    assert_eq!(update, Err(Gone));
    assert!(events.follow(build(), []).is_none());
    assert_eq!(events.with(|logs| (logs.bytes, logs.builds_of.len())), (0, 0));
}

fn farm() -> (Events, Store) {
    let store = Store::open(&StoreSettings::Memory).unwrap();
    (Events::new(10_000, Some(store.clone())), store)
}

/// Another leader, which knows what the ledger says and looked up what is at rest.
async fn next_leader(store: &Store, story: Story) -> Events {
    let events = Events::new(10_000, Some(store.clone()));
    events.reopen(build(), [(task(1), story)]);
    assert!(!events.is_known(task(1)));
    events.look_up(build()).await;
    events
}

async fn rest(events: &Events, leads: bool) -> usize {
    events.put_to_rest(|| async move { leads }).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn events_are_durable_once_they_are_at_rest_and_nobody_else_leads() {
    let (events, _) = farm();
    events.open(build(), [task(1)]);
    begin(&events, task(1), 1);
    let receipt = events.append(task(1), Epoch(1), records(1, 1, &["a", "b"]));
    assert_eq!((receipt.next_sequence, receipt.durable_sequence), (at(1, 3), at(1, 1)));
    assert_eq!(rest(&events, true).await, 0, "a few events wait for company");
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(rest(&events, false).await, 1);
    assert_eq!(events.receipt(task(1), Epoch(1)).durable_sequence, at(1, 1), "another may lead");
    assert_eq!(rest(&events, true).await, 1);
    assert_eq!(events.receipt(task(1), Epoch(1)).durable_sequence, at(1, 3));
    assert_eq!(rest(&events, true).await, 0);
    events.append(task(1), Epoch(1), records(1, 3, &["c"]));
    begin(&events, task(1), 2);
    assert_eq!(rest(&events, true).await, 1, "the end of an attempt waits for nothing");
}

#[tokio::test(start_paused = true)]
async fn another_leader_finds_what_is_at_rest_and_takes_the_rest_from_the_agent() {
    let (events, store) = farm();
    events.open(build(), [task(1)]);
    begin(&events, task(1), 1);
    events.append(task(1), Epoch(1), records(1, 1, &["a", "b"]));
    tokio::time::advance(Duration::from_secs(6)).await;
    rest(&events, true).await;
    events.append(task(1), Epoch(1), records(1, 3, &["c", "d"]));
    // The agent's report of the end comes before the events that it told the last leader.
    let next = next_leader(&store, finished(&[Some(4)])).await;
    let mut reader = next.follow(build(), []).unwrap();
    assert_eq!(now(&next, &mut reader).await, "1.1:a 1.2:b", "its agent may still come");
    assert_eq!(next.append(task(1), Epoch(1), records(1, 2, &["b", "c"])).next_sequence, at(1, 4));
    assert_eq!(now(&next, &mut reader).await, "1.3:c");
    next.append(task(1), Epoch(1), records(1, 4, &["d"]));
    assert_eq!(now(&next, &mut reader).await, "1.4:d 1.end");
    assert_eq!(rest(&next, true).await, 1);
    assert_eq!(all(&next, vec![]).await, "1.1:a 1.2:b / 1.3:c 1.4:d 1.end");
    let third = next_leader(&store, finished(&[Some(4)])).await;
    assert_eq!(
        all(&third, vec![]).await,
        "1.1:a 1.2:b / 1.3:c 1.4:d / 1.end",
        "all is read from where it rests"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_with_leader_and_agent_is_told_and_then_the_end() {
    let (events, store) = farm();
    events.open(build(), [task(1)]);
    begin(&events, task(1), 1);
    events.append(task(1), Epoch(1), records(1, 1, &["a"]));
    tokio::time::advance(Duration::from_secs(6)).await;
    rest(&events, true).await;
    events.append(task(1), Epoch(1), records(1, 2, &["b", "c", "d"]));
    let next = next_leader(&store, finished(&[Some(4)])).await;
    // (where a reader is, what it is told)
    let cases = [
        (0, "1.1:a / 1.4:the last 3 events of this attempt were lost with its agent 1.end"),
        (at(1, 4), "1.4:the last event of this attempt was lost with its agent 1.end"),
        (at(1, 5), "1.end"),
    ];
    let mut readers: Vec<_> =
        cases.map(|(place, _)| next.follow(build(), [(task(1), place)]).unwrap()).into();
    for (reader, (_, expected)) in readers.iter_mut().zip(cases) {
        assert_eq!(now(&next, reader).await, if expected.starts_with("1.1:a") { "1.1:a" } else { "" });
    }
    tokio::time::advance(RETURN).await;
    next.settle();
    for (reader, (place, expected)) in readers.iter_mut().zip(cases) {
        let rest = expected.strip_prefix("1.1:a / ").unwrap_or(expected);
        assert_eq!(now(&next, reader).await, rest);
        assert_eq!(all(&next, vec![(task(1), place)]).await, expected, "it stays so");
    }
    assert!(next.append(task(1), Epoch(1), records(1, 2, &["b"])).refused, "now it is too late");
}

#[tokio::test(start_paused = true)]
async fn what_memory_does_not_keep_is_read_from_where_it_rests() {
    let (events, _) = farm();
    events.open(build(), [task(1)]);
    begin(&events, task(1), 1);
    for n in 1..=100 {
        events.append(task(1), Epoch(1), records(1, n, &[&format!("{n} {}", "x".repeat(400))]));
        tokio::time::advance(Duration::from_secs(6)).await;
        rest(&events, true).await;
    }
    assert!(events.with(|logs| logs.bytes) <= 10_000);
    events.hear(task(1), finished(&[Some(100)]));
    let told = all(&events, vec![]).await;
    assert!(!told.contains("no longer kept"));
    let words: Vec<&str> = told.split_whitespace().filter(|word| word.starts_with("1.")).collect();
    assert_eq!(words.len(), 101, "nothing is missing, nothing twice");
}
