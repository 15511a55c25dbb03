//! A coordinator is replaced before anything was put to rest, and agents come back or don't: those who follow miss nothing
//! that anybody still has, and are told the end.

use std::time::Duration;

use kiln_coordinator::{Handle, Settings, Storage};
use kiln_plan::event::TaskOutcome;
use kiln_plan::id::{BuildId, TaskId};
use kiln_proto::link::{AttemptKey, AttemptPhase, HeldAttempt};
use tempfile::TempDir;

use crate::agent::FakeAgent;
use crate::client::{Client, at, bounded, coordinator, told};

/// A coordinator whose store takes no events until it is replaced.
struct Throne {
    directory: TempDir,
}

impl Throne {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("objects")).unwrap();
        std::fs::write(directory.path().join("objects/logs"), b"in the way").unwrap();
        Self { directory }
    }

    async fn begin(&self) -> Handle {
        let storage = Storage::Directory(self.directory.path().to_owned());
        coordinator(Settings { storage, ..Settings::farm_of_one() }).await
    }

    /// The next one; it knows the ledger and none of the events.
    async fn replace(&self, farm: Handle) -> Handle {
        farm.shut_down(Duration::from_secs(5)).await;
        // The first may have been followed by others.
        let _gone = std::fs::remove_file(self.directory.path().join("objects/logs"));
        self.begin().await
    }
}

/// A build of one task, with an attempt that said three things to somebody who follows it.
async fn begun(farm: &Handle) -> (FakeAgent, AttemptKey, BuildId, TaskId) {
    let mut agent = FakeAgent::connect(farm, 1, 1).await;
    let mut client = Client::of(farm).await;
    let (build, tasks) = client.submit(1, 0).await;
    let key = agent.take().await[0].key;
    let running = |state: &kiln_model::FarmState| {
        matches!(state.tasks()[&key.task].phase, kiln_model::TaskPhase::Running(_))
    };
    bounded(farm.wait_until(running)).await;
    agent.append(key, 1, &["a", "b", "c"]).await;
    let mut live = client.follow(build, vec![]).await.unwrap();
    assert_eq!(told(&live.next().await.unwrap().unwrap(), tasks[0]), "1.1:a 1.2:b 1.3:c");
    (agent, key, build, tasks[0])
}

fn succeeded() -> TaskOutcome {
    TaskOutcome::Succeeded { artifacts: vec![] }
}

/// What somebody is told who had been told everything before this place.
async fn told_from(farm: &Handle, (build, task): (BuildId, TaskId), place: u64) -> String {
    let mut client = Client::of(farm).await;
    let events = client.follow(build, vec![(task, place)]).await.unwrap().all().await;
    told(&events, task)
}

#[tokio::test(start_paused = true)]
async fn the_first_lines_of_the_attempt_after_leader_and_agent_died_are_told() {
    let throne = Throne::new();
    let farm = throne.begin().await;
    let (agent, _, build, task) = begun(&farm).await;
    drop(agent);
    let farm = throne.replace(farm).await;
    let mut second = FakeAgent::connect(&farm, 2, 1).await;
    while second.desired.begin.is_empty() {
        second.say().await;
        drop(tokio::time::timeout(Duration::from_secs(5), second.hear()).await);
    }
    let again = second.take().await.remove(0);
    assert_eq!(again.first_sequence, at(2, 1));
    second.append(again.key, 1, &["x", "y"]).await;
    second.end(again.key, succeeded()).await;
    let expected = "2.0:attempt 1 on a1 failed: nothing was heard of it any more; trying again on a2 \
                    2.1:x 2.2:y 2.end:succeeded";
    assert_eq!(told_from(&farm, (build, task), at(1, 4)).await, expected);
    assert_eq!(told_from(&farm, (build, task), 0).await, expected, "what nobody has any more is gone");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_its_agent_lost_while_the_leader_was_replaced_is_made_again_under_numbers_of_its_own()
{
    let throne = Throne::new();
    let farm = throne.begin().await;
    let (agent, _, build, task) = begun(&farm).await;
    drop(agent);
    let farm = throne.replace(farm).await;
    let mut agent = FakeAgent::connect(&farm, 1, 1).await;
    let again = agent.take().await.remove(0);
    assert_eq!(again.first_sequence, at(2, 1));
    agent.append(again.key, 1, &["x"]).await;
    agent.end(again.key, succeeded()).await;
    let expected = "2.0:attempt 1 on a1 failed: its agent lost it, and the coordinator was replaced; trying again on a1 \
                    2.1:x 2.end:succeeded";
    assert_eq!(told_from(&farm, (build, task), at(1, 4)).await, expected);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_its_agent_never_took_up_is_given_again_without_a_word() {
    let throne = Throne::new();
    let farm = throne.begin().await;
    let mut agent = FakeAgent::connect(&farm, 1, 1).await;
    let (build, tasks) = Client::of(&farm).await.submit(1, 0).await;
    agent.until(|desired| !desired.begin.is_empty()).await;
    drop(agent);
    let farm = throne.replace(farm).await;
    let mut agent = FakeAgent::connect(&farm, 1, 1).await;
    let again = agent.take().await.remove(0);
    assert_eq!((again.key.epoch.0, again.first_sequence), (2, at(2, 1)));
    agent.append(again.key, 1, &["x"]).await;
    agent.end(again.key, succeeded()).await;
    assert_eq!(told_from(&farm, (build, tasks[0]), 0).await, "2.1:x 2.end:succeeded");
    assert_eq!(farm.read(|state| state.tasks()[&tasks[0]].attempts.len()), 0);
}

/// The end as it is told by an agent that had told the last leader everything.
fn ended(key: AttemptKey) -> HeldAttempt {
    HeldAttempt { key, phase: AttemptPhase::Ended(succeeded()), idle_ms: None, said: Some(at(1, 4)) }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_comes_before_the_events_is_told_after_them() {
    for place in [0, at(1, 3), at(1, 4)] {
        let throne = Throne::new();
        let farm = throne.begin().await;
        let (agent, key, build, task) = begun(&farm).await;
        drop(agent);
        let farm = throne.replace(farm).await;
        // Its first word is the end, since its events had all been taken.
        let mut agent = FakeAgent::connect_with(&farm, 1, 1, vec![ended(key)]).await;
        bounded(farm.wait_until(|state| state.tasks()[&task].is_finished())).await;
        tokio::time::sleep(Duration::from_secs(7)).await;
        let late = async { agent.append(key, 1, &["a", "b", "c"]).await };
        let (events, receipt) = tokio::join!(told_from(&farm, (build, task), place), late);
        assert!(!receipt.refused);
        let all = "1.1:a 1.2:b 1.3:c 1.end:succeeded";
        let seen = [(0, ""), (at(1, 3), "1.1:a 1.2:b "), (at(1, 4), "1.1:a 1.2:b 1.3:c ")];
        let seen = seen.iter().find(|(from, _)| *from == place).unwrap().1;
        assert_eq!(events, all.strip_prefix(seen).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_from_the_ledger_when_the_agent_never_comes_back() {
    let throne = Throne::new();
    let farm = throne.begin().await;
    let (mut agent, key, build, task) = begun(&farm).await;
    agent.end(key, succeeded()).await;
    drop(agent);
    let farm = throne.replace(farm).await;
    // (who was told how much before, what it is told now)
    let cases = [
        (0, "1.3:the last 3 events of this attempt were lost with its agent 1.end:succeeded"),
        (at(1, 3), "1.3:the last event of this attempt was lost with its agent 1.end:succeeded"),
        (at(1, 4), "1.end:succeeded"),
    ];
    for (place, expected) in cases {
        assert_eq!(told_from(&farm, (build, task), place).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_attempt_told_is_not_lost_with_the_leader_that_had_it_tried_again() {
    let throne = Throne::new();
    let farm = throne.begin().await;
    let (mut agent, key, build, task) = begun(&farm).await;
    let mut second = FakeAgent::connect(&farm, 2, 1).await;
    let failure = kiln_plan::Failure::new(kiln_plan::Fault::Machine, "no space left");
    agent.end(key, TaskOutcome::Failed { failure }).await;
    let again = second.take().await.remove(0);
    second.append(again.key, 1, &["x"]).await;
    let held = second.held.clone();
    drop((agent, second));
    let farm = throne.replace(farm).await;
    let mut second = FakeAgent::connect_with(&farm, 2, 1, held).await;
    second.append(again.key, 1, &["x", "y"]).await;
    second.end(again.key, succeeded()).await;
    // The first agent is asked for nothing any more, but keeps its events until they are durable.
    let mut agent = FakeAgent::connect(&farm, 1, 1).await;
    assert!(!agent.append(key, 1, &["a", "b", "c"]).await.refused);
    let expected = "1.1:a 1.2:b 1.3:c 2.0:attempt 1 on a1 failed: no space left; trying again on a2 \
                    2.1:x 2.2:y 2.end:succeeded";
    assert_eq!(told_from(&farm, (build, task), 0).await, expected);
}
