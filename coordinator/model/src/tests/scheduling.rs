//! Scheduling as tables: what there is, and who gets what.

use std::num::NonZeroU32;

use kiln_plan::{Acceleration, Accelerator, Fault, Requirements};

use super::farm::{Farm, agent, failed, needs, new_task, offers, succeeded, task};
use crate::{Action, Offer, Origin, Scheduler, Timestamp, schedule};

/// `t1→a2 t3→a1`
fn solve(farm: &Farm, most: usize) -> String {
    let name = |n: u128, base: u128| n - base;
    let words = schedule::assignments(&farm.state, most)
        .into_iter()
        .map(|a| format!("t{}→a{}", name(a.task.0.as_u128(), 0x7000), name(a.agent.0.as_u128(), 0xa000)));
    words.collect::<Vec<_>>().join(" ")
}

fn plain(numbers: impl IntoIterator<Item = u128>) -> Vec<crate::NewTask> {
    numbers.into_iter().map(|n| new_task(n, Requirements::default())).collect()
}

#[test]
fn what_is_held_back_is_passed_over_and_holds_nothing_up() {
    let mut farm = Farm { now: 1_000, ..Farm::default() };
    farm.connect(1, offers(2, &[]));
    farm.submit(1, 0, (1..=4).map(|n| new_task(n, <_>::default())).collect());
    let mut scheduler = crate::Scheduler::default();
    let mut given = |held: &[u128]| {
        scheduler.hold_back(held.iter().map(|n| task(*n)).collect());
        let given = scheduler.assignments(&farm.state, farm.state.now(), 9);
        given.into_iter().map(|given| given.task).collect::<Vec<_>>()
    };
    assert_eq!(given(&[1, 3]), [task(2), task(4)]);
    assert_eq!(given(&[1, 2, 3, 4]), []);
    assert_eq!(given(&[]), [task(1), task(2)]);
}

#[test]
fn tasks_go_out_in_the_order_of_the_template_and_spread_over_agents() {
    let mut farm = Farm::default();
    farm.connect(1, offers(2, &[]));
    farm.connect(2, offers(2, &[]));
    farm.submit(1, 0, plain(1..=5));
    assert_eq!(solve(&farm, 100), "t1→a1 t2→a2 t3→a1 t4→a2");
    assert_eq!(solve(&farm, 3), "t1→a1 t2→a2 t3→a1", "no more than asked for");
}

#[test]
fn the_limit_of_a_build_is_kept() {
    let mut farm = Farm::default();
    farm.connect(1, offers(9, &[]));
    farm.submit(1, 2, plain(1..=5));
    assert_eq!(solve(&farm, 100), "t1→a1 t2→a1");
    farm.assign(1, 1);
    assert_eq!(solve(&farm, 100), "t2→a1");
}

#[test]
fn builds_of_one_project_go_in_the_order_of_submission() {
    let mut farm = Farm::default();
    farm.connect(1, offers(4, &[]));
    farm.submit(1, 0, plain(1..=5));
    farm.submit(2, 0, plain(6..=7));
    assert_eq!(solve(&farm, 100), "t1→a1 t2→a1 t3→a1 t4→a1", "in the order of submission");
}

#[test]
fn a_task_goes_only_where_its_needs_are_met() {
    let big = |cpus, memory_mib| Requirements { cpus, memory_mib, ..Requirements::default() };
    let labelled = Requirements { labels: [("zone".into(), "b".into())].into(), ..Requirements::default() };
    // (needs, the second agent's offer, expected); the first agent offers one slot and nothing else
    let cases = [
        (needs("builder/qemu"), offers(1, &["builder/qemu"]), "t1→a2"),
        (needs("builder/qemu"), offers(1, &["builder/null"]), ""),
        (needs("builder/qemu"), offers(0, &["builder/qemu"]), ""),
        (labelled.clone(), Offer { labels: [("zone".into(), "b".into())].into(), ..offers(1, &[]) }, "t1→a2"),
        (labelled, Offer { labels: [("zone".into(), "a".into())].into(), ..offers(1, &[]) }, ""),
        (big(4, 100), Offer { cpus: 2, ..offers(3, &[]) }, "t1→a1"),
        (big(0, 4096), Offer { memory_mib: 8192, ..offers(3, &[]) }, "t1→a2"),
    ];
    for (requirements, offer, expected) in cases {
        let mut farm = Farm::default();
        farm.connect(1, offers(1, &[]));
        farm.connect(2, offer);
        let told = format!("{requirements:?}");
        farm.submit(1, 0, vec![new_task(1, requirements)]);
        assert_eq!(solve(&farm, 100), expected, "{told}");
    }
}

#[test]
fn memory_is_shared_out_when_the_agent_counts_it() {
    let mut farm = Farm::default();
    farm.connect(1, Offer { memory_mib: 8192, ..offers(9, &[]) });
    let need = |mib| Requirements { memory_mib: mib, ..Requirements::default() };
    farm.submit(1, 0, vec![new_task(1, need(6000)), new_task(2, need(6000)), new_task(3, need(2000))]);
    assert_eq!(solve(&farm, 100), "t1→a1 t3→a1", "what doesn't fit is passed over");
    farm.assign(1, 1);
    assert_eq!(solve(&farm, 100), "t3→a1");
}

#[test]
fn a_retry_prefers_an_agent_that_has_not_tried_the_task() {
    let mut farm = Farm::with_one_running();
    farm.report(1, 1, 1, failed(Fault::Farm));
    farm.submit(2, 0, plain(2..=2));
    farm.assign(2, 2);
    assert_eq!(solve(&farm, 100), "t1→a2", "although the first has more room");
    assert_eq!(farm.state.agents()[&agent(1)].free_slots(), 2);
    assert!(farm.state.tasks()[&task(1)].was_tried_on(agent(1)));
}

fn of(project: &str, priority: i32) -> Origin {
    Origin { project: project.into(), priority, ..Origin::default() }
}

#[test]
fn projects_share_the_room_by_their_weight() {
    // (weight of b, who gets what)
    let cases = [(1, "t1→a1 t6→a1 t2→a1 t7→a1 t3→a1 t8→a1"), (2, "t1→a1 t6→a1 t7→a1 t2→a1 t8→a1 t9→a1")];
    for (weight, expected) in cases {
        let mut farm = Farm::default();
        farm.connect(1, offers(6, &[]));
        let weight = NonZeroU32::new(weight).unwrap();
        farm.must(Action::WeighProject { project: "b".into(), weight });
        farm.submit_as(1, 0, plain(1..=5), of("a", 0));
        farm.submit_as(2, 0, plain(6..=10), of("b", 0));
        assert_eq!(solve(&farm, 100), expected, "{weight}");
    }
}

#[test]
fn a_point_of_priority_is_worth_a_minute_of_waiting() {
    // (priority of the later build, minutes that it comes later, who goes first)
    let cases = [(0, 0, "t1→a1"), (1, 0, "t2→a1"), (10, 9, "t2→a1"), (10, 11, "t1→a1"), (-100, 0, "t1→a1")];
    for (priority, minutes, expected) in cases {
        let mut farm = Farm { now: 1_000, ..Farm::default() };
        farm.connect(1, offers(1, &[]));
        farm.submit_as(1, 0, plain(1..=1), of("a", 0));
        farm.now += minutes * 60_000;
        farm.submit_as(2, 0, plain(2..=2), of("a", priority));
        assert_eq!(solve(&farm, 100), expected, "{priority} {minutes}");
    }
}

#[test]
fn a_build_at_its_limit_lets_the_next_one_pass() {
    let mut farm = Farm::default();
    farm.connect(1, offers(4, &[]));
    farm.submit(1, 1, plain(1..=3));
    farm.submit(2, 0, plain(4..=5));
    assert_eq!(solve(&farm, 100), "t1→a1 t4→a1 t5→a1");
    farm.assign(1, 1);
    assert_eq!(solve(&farm, 100), "t4→a1 t5→a1");
    farm.report(1, 1, 1, succeeded());
    assert_eq!(solve(&farm, 1), "t2→a1");
}

#[test]
fn a_preferred_accelerator_is_taken_first_and_a_required_one_only() {
    let kvm = Accelerator { name: "kvm".into(), arch: Some("x86_64".into()) };
    let machine = |arch: &str, accelerators: &[&str]| Offer {
        arch: arch.into(),
        accelerators: accelerators.iter().map(|a| (*a).to_owned()).collect(),
        ..offers(1, &[])
    };
    let cases = [
        (Acceleration::Preferred(kvm.clone()), "t1→a3 t2→a1 t3→a2"),
        (Acceleration::Required(kvm), "t1→a3"),
        (Acceleration::Any, "t1→a1 t2→a2 t3→a3"),
    ];
    for (acceleration, expected) in cases {
        let mut farm = Farm::default();
        farm.connect(1, machine("aarch64", &["kvm"]));
        farm.connect(2, machine("x86_64", &[]));
        farm.connect(3, machine("x86_64", &["kvm"]));
        let needs = Requirements { acceleration, ..Requirements::default() };
        farm.submit(1, 0, (1..=3).map(|n| new_task(n, needs.clone())).collect());
        assert_eq!(solve(&farm, 100), expected, "{needs:?}");
    }
}

#[test]
fn an_agent_is_kept_free_for_what_would_never_fit_otherwise() {
    let mut farm = Farm { now: 1_000, ..Farm::default() };
    farm.connect(1, Offer { memory_mib: 8_192, ..offers(9, &[]) });
    let need = |mib| Requirements { memory_mib: mib, ..Requirements::default() };
    farm.submit(1, 0, vec![new_task(1, need(2_000))]);
    farm.assign(1, 1);
    farm.submit(2, 0, vec![new_task(2, need(8_000)), new_task(3, need(2_000)), new_task(4, need(2_000))]);
    let mut scheduler = Scheduler::default();
    let next = |farm: &Farm, scheduler: &mut Scheduler| {
        let round = scheduler.assignments(&farm.state, Timestamp(farm.now), 1);
        round.first().map(|a| a.task.0.as_u128() - 0x7000)
    };
    assert_eq!(next(&farm, &mut scheduler), Some(3), "what fits goes past it");
    farm.assign(3, 1);
    farm.now += schedule::STARVING_MS;
    next(&farm, &mut scheduler);
    assert_eq!(next(&farm, &mut scheduler), None, "but not for ever");
    farm.report(1, 1, 1, succeeded());
    assert_eq!(next(&farm, &mut scheduler), None);
    farm.report(3, 1, 1, succeeded());
    assert_eq!(next(&farm, &mut scheduler), Some(2));
    farm.assign(2, 1);
    farm.report(2, 1, 1, succeeded());
    assert_eq!(next(&farm, &mut scheduler), Some(4));
}

#[test]
fn why_a_task_waits_is_told_with_rule_and_numbers() {
    let mut farm = Farm { now: 1_000, ..Farm::default() };
    let machine = |accelerators: &[&str], memory_mib| Offer {
        arch: "x86_64".into(),
        accelerators: accelerators.iter().map(|a| (*a).to_owned()).collect(),
        memory_mib,
        ..offers(2, &["builder/qemu"])
    };
    (1..=4).for_each(|n| farm.connect(n, machine(&[], 16_384)));
    (5..=6).for_each(|n| farm.connect(n, machine(&["kvm"], 8_192)));
    farm.connect(7, machine(&["kvm"], 16_384));
    farm.must(Action::DrainAgent { agent: agent(7) });
    let kvm = Accelerator { name: "kvm".into(), arch: None };
    let needs = |memory_mib| Requirements {
        memory_mib,
        acceleration: Acceleration::Required(kvm.clone()),
        ..needs("builder/qemu")
    };
    farm.submit_as(1, 0, vec![new_task(1, needs(5_120)), new_task(2, needs(5_120))], of("web", 0));
    farm.assign(1, 5);
    farm.assign(2, 6);
    farm.submit_as(2, 0, vec![new_task(3, needs(9_000)), new_task(4, needs(8_192))], of("web", 5));
    let told = crate::explain(&farm.state, task(4), Timestamp(farm.now + 182_000)).unwrap().to_string();
    let expected = "waiting for 3 min 2 s in project web, with priority 5\n\
                    7 agents: 4 have no kvm; 2 have at most 3072 MiB of memory free of the 8192 needed; \
                    1 is draining\n\
                    1 task of project web goes first";
    assert_eq!(told, expected);
    let told = crate::explain(&farm.state, task(1), Timestamp(farm.now + 61_000)).unwrap().to_string();
    assert_eq!(told, "given to a5 1 min 1 s ago, which has not said yet that it began");
}
