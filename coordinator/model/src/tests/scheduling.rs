//! Scheduling as tables: what there is, and who gets what.

use kiln_plan::{Fault, Requirements};

use super::farm::{Farm, agent, failed, needs, new_task, offers, task};
use crate::{Offer, schedule};

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
fn builds_share_the_room() {
    let mut farm = Farm::default();
    farm.connect(1, offers(4, &[]));
    farm.submit(1, 0, plain(1..=5));
    farm.submit(2, 0, plain(6..=7));
    assert_eq!(solve(&farm, 100), "t1→a1 t6→a1 t2→a1 t7→a1");
    farm.assign(1, 1);
    farm.assign(2, 1);
    assert_eq!(solve(&farm, 100), "t6→a1 t7→a1", "the one with fewer tasks held goes first");
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
