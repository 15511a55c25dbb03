//! Views as tables for people.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kiln_lang::duration::in_words;
use kiln_proto::view::{Agent, Build, Explanation, Member, Overview, Task};

/// The most tasks of a build that are named in a table.
const TOLD_ONE_BY_ONE: usize = 8;

/// Rows under a heading, each column as wide as its widest cell.
pub(super) fn table<const N: usize>(
    heading: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let rows: Vec<[String; N]> = [heading.map(str::to_owned)].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// How long ago something was, by this machine's clock.
fn ago(ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let passed = now.saturating_sub(Duration::from_millis(ms));
    match passed.as_secs() {
        0 => "now".to_owned(),
        seconds => in_words(Duration::from_secs(seconds)),
    }
}

fn counted(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    counts.iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ")
}

/// How the farm does.
pub(super) fn overview(overview: &Overview) -> String {
    let Overview { version, members: all, agents, slots, tasks, running_builds } = overview;
    format!(
        "kiln {version}\n\n{}\n\nagents: {}\nslots:  {} free of {}\nbuilds: {running_builds} under way\ntasks:  {}",
        members(all),
        counted(agents),
        slots.free,
        slots.all,
        counted(tasks)
    )
}

/// The coordinators.
pub(super) fn members(members: &[Member]) -> String {
    let row = |member: &Member| {
        let lag = member.lag.map_or_else(|| "-".to_owned(), |lag| lag.to_string());
        [member.id.to_string(), member.role.clone(), member.address.clone(), lag]
    };
    table(["coordinator", "role", "address", "behind"], members.iter().map(row))
}

/// Each task of a build, or how many there are in each state when there are many.
fn tasks(build: &Build) -> String {
    if build.tasks.len() > TOLD_ONE_BY_ONE {
        let mut counts = BTreeMap::new();
        build.tasks.iter().for_each(|task| *counts.entry(task.state.clone()).or_default() += 1);
        return format!("{} tasks: {}", build.tasks.len(), counted(&counts));
    }
    let one = |task: &Task| match &task.agent {
        Some(agent) => format!("{} {} on {}", task.name, task.state, agent.name),
        None => format!("{} {}", task.name, task.state),
    };
    build.tasks.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The builds.
pub(super) fn builds(builds: &[Build]) -> String {
    let row = |build: &Build| {
        [
            build.id.to_string(),
            build.project.clone(),
            build.state.clone(),
            ago(build.submitted_ms),
            tasks(build),
        ]
    };
    table(["build", "project", "state", "age", "tasks"], builds.iter().map(row))
}

/// The agents.
pub(super) fn agents(agents: &[Agent]) -> String {
    let row = |agent: &Agent| {
        let labels: Vec<String> =
            agent.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        [
            agent.name.clone(),
            agent.state.clone(),
            format!("{}/{}", agent.slots.all - agent.slots.free, agent.slots.all),
            agent.cpus.to_string(),
            format!("{} MiB", agent.memory_mib),
            ago(agent.last_heard_ms),
            labels.join(" "),
            agent.id.to_string(),
        ]
    };
    let heading = ["agent", "state", "busy", "cpus", "memory", "heard", "labels", "id"];
    table(heading, agents.iter().map(row))
}

/// Why tasks wait.
pub(super) fn explanations(told: &[Explanation]) -> String {
    if told.is_empty() {
        return "Nothing of this build waits or runs any more.".to_owned();
    }
    let one = |told: &Explanation| format!("{}:\n  {}", told.name, told.reasons.join("\n  "));
    told.iter().map(one).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use kiln_plan::id::{BuildId, TaskId};
    use uuid::Uuid;

    use super::*;

    /// A build whose tasks are in these states.
    fn build(states: &[&str]) -> Build {
        let task = |(n, state): (usize, &&str)| Task {
            id: TaskId::new(Uuid::from_u128(n as u128)),
            name: format!("null.t{n}"),
            state: (*state).to_owned(),
            since_ms: 0,
            agent: None,
            attempts: vec![],
            outcome: None,
        };
        Build {
            id: BuildId::new(Uuid::nil()),
            project: "default".to_owned(),
            submitted_ms: 0,
            ended_ms: None,
            state: "running".to_owned(),
            tasks: states.iter().enumerate().map(task).collect(),
        }
    }

    #[test]
    fn few_tasks_are_named_and_many_are_counted() {
        assert_eq!(tasks(&build(&["queued", "running"])), "null.t0 queued, null.t1 running");
        let many: Vec<&str> = (0..1_000).map(|n| if n < 99 { "running" } else { "queued" }).collect();
        assert_eq!(tasks(&build(&many)), "1000 tasks: 901 queued, 99 running");
    }
}
