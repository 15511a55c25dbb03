//! What follows from the coordinator's wishes and the attempts' words.

use kiln_plan::id::{AttemptId, BuildId, Epoch, TaskId};
use uuid::Uuid;

use super::*;

fn key(task: u128, epoch: u64) -> AttemptKey {
    let attempt = AttemptId::new(Uuid::from_u128(u128::from(epoch)));
    AttemptKey { task: TaskId::new(Uuid::from_u128(task)), attempt, epoch: Epoch(epoch) }
}

fn wanted(key: AttemptKey) -> WantedAttempt {
    WantedAttempt { key, remaining_ms: 20_000, cancel: false, answers: vec![] }
}

fn assignment(key: AttemptKey) -> Assignment {
    let build = BuildId::new(Uuid::from_u128(1));
    Assignment { build, key, first_sequence: 0, plan: kiln_proto::Bytes::new() }
}

fn desired(hold: &[AttemptKey], begin: &[AttemptKey]) -> DesiredState {
    let hold = hold.iter().map(|key| wanted(*key)).collect();
    let begin = begin.iter().map(|key| assignment(*key)).collect();
    DesiredState { hold, begin, speak_within_ms: 5_000, drain: false, return_within_ms: 0 }
}

fn say(text: &str) -> EventKind {
    EventKind::Say { speaker: None, text: text.into() }
}

fn receipt_of(key: AttemptKey, next_sequence: u64, durable_sequence: u64, refused: bool) -> AttemptReceipt {
    AttemptReceipt { task: key.task, epoch: key.epoch, next_sequence, refused, durable_sequence }
}

fn receipt(key: AttemptKey, next_sequence: u64, refused: bool) -> AttemptReceipt {
    receipt_of(key, next_sequence, next_sequence, refused)
}

fn with(keys: &[AttemptKey]) -> Table {
    let mut table = Table::default();
    let effects = table.follow(desired(keys, keys));
    assert_eq!(effects, keys.iter().map(|key| Effect::Start(assignment(*key))).collect::<Vec<_>>());
    table
}

/// `1 running, 2 ended`, by task.
fn told(table: &Table) -> String {
    let word = |held: HeldAttempt| {
        let phase = match held.phase {
            AttemptPhase::Accepted => "accepted",
            AttemptPhase::Running => "running",
            AttemptPhase::Ended(_) => "ended",
        };
        format!("{} {phase}", held.key.task.0.as_u128())
    };
    table.held(0).into_iter().map(word).collect::<Vec<_>>().join(", ")
}

#[test]
fn it_is_told_since_when_an_attempt_got_nowhere() {
    let (one, two) = (key(1, 1), key(2, 1));
    let mut table = with(&[one, two]);
    let idle = |table: &Table, now| table.held(now).into_iter().map(|held| held.idle_ms).collect::<Vec<_>>();
    assert_eq!(idle(&table, 5), [None, None], "nothing is known");
    table.moved(two, 100);
    assert_eq!(idle(&table, 105), [None, Some(5)]);
    table.moved(two, 107);
    assert_eq!(idle(&table, 105), [None, Some(0)], "threads may read the clock out of order");
    table.moved(key(3, 1), 0);
    assert_eq!(table.held(0).len(), 2);
}

#[test]
fn an_attempt_is_reported_until_it_is_no_longer_wanted() {
    let one = key(1, 1);
    let mut table = with(&[one]);
    assert_eq!(told(&table), "1 accepted");
    assert!(table.running(one) && !table.running(one));
    assert_eq!(told(&table), "1 running");
    assert_eq!(table.finish(one, TaskOutcome::Cancelled), Some(vec![]));
    assert_eq!(
        table.finish(one, TaskOutcome::Succeeded { artifacts: vec![] }),
        None,
        "the first word counts"
    );
    assert_eq!(told(&table), "1 ended");
    assert_eq!(table.follow(desired(&[one], &[])), [], "not taken yet");
    assert_eq!(told(&table), "1 ended");
    assert_eq!(table.follow(desired(&[], &[])), [Effect::Forget(one)]);
    assert!(table.is_empty());
}

#[test]
fn an_attempt_that_was_reported_stays_until_its_events_are_durable() {
    for refused in [false, true] {
        let one = key(1, 1);
        let mut table = with(&[one]);
        table.say(one, 0, &say("a"));
        table.finish(one, TaskOutcome::Cancelled);
        assert_eq!(table.taken(&[receipt_of(one, 1, 0, false)]), (true, vec![]));
        assert_eq!(told(&table), "1 ended");
        assert_eq!(table.follow(desired(&[], &[])), []);
        assert_eq!((told(&table).as_str(), table.is_idle(), table.is_empty()), ("", true, false));
        table.rewind();
        assert_eq!(table.events(usize::MAX)[0].records.len(), 1, "another coordinator may need them");
        let durable = receipt_of(one, 1, u64::from(!refused), refused);
        assert_eq!(table.taken(&[durable]), (false, vec![Effect::Forget(one)]));
        assert!(table.is_empty() && table.event_bytes == 0);
    }
}

#[test]
fn an_adopted_attempt_is_reported_and_goes_on() {
    let one = key(1, 1);
    let mut table = Table::default();
    table.adopt(one);
    let mut log = Outlog::new(7);
    log.push(0, &say("from before"), Room::Ample);
    table.keep_events_in(one, Box::new(log));
    assert_eq!(told(&table), "1 running");
    assert_eq!(table.follow(desired(&[one], &[])), [], "it is wanted as it is");
    assert_eq!(table.events(usize::MAX)[0].records[0].sequence, 7);
    assert_eq!(table.follow(desired(&[], &[])), [Effect::Stop(one, Stop::Lost)], "and not when it is stale");
}

#[test]
fn an_end_is_reported_only_after_its_events_were_taken() {
    for refused in [false, true] {
        let one = key(1, 1);
        let mut table = with(&[one]);
        table.say(one, 0, &say("a"));
        table.say(one, 0, &say("b"));
        table.finish(one, TaskOutcome::Cancelled);
        table.say(one, 0, &say("too late"));
        assert_eq!(told(&table), "1 running");
        assert_eq!(table.events(usize::MAX)[0].records.len(), 2);
        assert!(!table.taken(&[receipt(one, 1, false)]).0);
        assert!(table.taken(&[receipt(one, 2, refused)]).0);
        assert_eq!((told(&table).as_str(), table.event_bytes), ("1 ended", 0));
        let said = (!refused).then_some(2);
        assert_eq!(table.held(0)[0].said, said, "and says how far they went");
        table.rewind();
        assert_eq!(table.held(0)[0].said, said);
    }
}

#[test]
fn an_attempt_that_is_no_longer_wanted_is_stopped_and_says_no_more() {
    let (one, two) = (key(1, 1), key(2, 1));
    let mut table = with(&[one, two]);
    table.say(one, 0, &say("a"));
    assert_eq!(table.follow(desired(&[two], &[])), [Effect::Stop(one, Stop::Lost)]);
    assert_eq!(table.follow(desired(&[two], &[])), [], "told once");
    assert_eq!(told(&table), "2 accepted");
    table.say(one, 0, &say("b"));
    assert_eq!((table.events(usize::MAX), table.event_bytes), (vec![], 0));
    assert_eq!(table.finish(one, TaskOutcome::Cancelled), Some(vec![Effect::Forget(one)]));
    assert_eq!(table.attempts.len(), 1, "it is gone once it is undone");
}

#[test]
fn a_new_attempt_of_a_task_may_begin_while_the_lost_one_is_undone() {
    let (first, second) = (key(1, 1), key(1, 2));
    let mut table = with(&[first]);
    let effects = table.follow(desired(&[second], &[second]));
    assert_eq!(effects, [Effect::Stop(first, Stop::Lost), Effect::Start(assignment(second))]);
    assert_eq!(told(&table), "1 accepted");
}

#[test]
fn wishes_are_followed_once_however_often_they_are_said() {
    let one = key(1, 1);
    let mut table = with(&[one]);
    assert_eq!(table.follow(desired(&[one], &[one])), [], "it has begun already");
    let answer = |question| Answer { question, text: "yes".into() };
    let wish = |answers| DesiredState {
        hold: vec![WantedAttempt { cancel: true, answers, ..wanted(one) }],
        ..DesiredState::default()
    };
    let effects = table.follow(wish(vec![answer(1)]));
    assert_eq!(effects, [Effect::Stop(one, Stop::Cancelled), Effect::Answer(one, answer(1))]);
    assert_eq!(table.follow(wish(vec![answer(1), answer(2)])), [Effect::Answer(one, answer(2))]);
    assert_eq!(told(&table), "1 accepted", "a cancelled attempt is still held until it ended");
}

#[test]
fn what_is_wanted_but_not_had_waits_for_its_plan() {
    let (one, two) = (key(1, 1), key(2, 1));
    let mut table = Table::default();
    assert_eq!(table.follow(desired(&[one, two], &[one])), [Effect::Start(assignment(one))]);
    assert_eq!(table.follow(desired(&[one, two], &[two])), [Effect::Start(assignment(two))]);
}

#[test]
fn giving_up_stops_everything_that_has_not_ended() {
    let (one, two) = (key(1, 1), key(2, 1));
    let mut table = with(&[one, two]);
    table.finish(two, TaskOutcome::Cancelled);
    assert_eq!(table.lose_all(), [Effect::Stop(one, Stop::Lost)]);
    assert_eq!(told(&table), "2 ended", "the next coordinator may want to know");
}

#[test]
fn events_are_sent_again_on_a_new_connection() {
    let one = key(1, 1);
    let mut table = with(&[one]);
    table.say(one, 0, &say("a"));
    let first = table.events(usize::MAX);
    assert_eq!(table.events(usize::MAX), []);
    table.rewind();
    assert_eq!(table.events(usize::MAX), first);
}
