//! Measures how much a farm bears: `load [--agents N] [--tasks N] [--coordinators 1|3] [--grow]`. Prints a row for a farm
//! of one coordinator and one of three; with `--grow` also rows of a tenth of the agents, of the tasks and of both, to
//! show how each figure grows. See [`kiln_tests::load`] for what is measured and how.

use std::process::ExitCode;

use kiln_tests::load::{self, Fault, HEAD, Size};

/// What was asked for.
struct Asked {
    agents: u64,
    tasks: u64,
    coordinators: Option<u64>,
    grow: bool,
}

fn asked(mut words: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked { agents: 1_000, tasks: 10_000, coordinators: None, grow: false };
    while let Some(word) = words.next() {
        if word == "--grow" {
            asked.grow = true;
            continue;
        }
        let number = words.next().and_then(|n| n.parse().ok());
        let number = number.filter(|n| *n > 0).ok_or_else(|| format!("{word} needs a number above 0"))?;
        match word.as_str() {
            "--agents" => asked.agents = number,
            "--tasks" => asked.tasks = number,
            "--coordinators" if matches!(number, 1 | 3) => asked.coordinators = Some(number),
            "--coordinators" => return Err(format!("a farm has one coordinator or three, not {number}")),
            _ => {
                let known = "--agents N, --tasks N, --coordinators N and --grow";
                return Err(format!("{word} is not known; there are {known}"));
            }
        }
    }
    Ok(asked)
}

fn sizes(asked: &Asked) -> Vec<Size> {
    let few = |n: u64| (n / 10).max(1);
    let (agents, tasks) = (asked.agents, asked.tasks);
    let mut sizes = vec![(agents, tasks)];
    if asked.grow {
        sizes = vec![(few(agents), few(tasks)), (few(agents), tasks), (agents, few(tasks)), (agents, tasks)];
    }
    let coordinators = asked.coordinators.map_or(vec![1, 3], |one| vec![one]);
    let of = |coordinators| sizes.iter().map(move |&(agents, tasks)| Size { coordinators, agents, tasks });
    coordinators.into_iter().flat_map(of).collect()
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]
async fn measure_all(sizes: Vec<Size>) -> Result<(), Fault> {
    let mut all = Vec::new();
    for size in sizes {
        eprintln!("{} coordinators, {} agents, {} tasks", size.coordinators, size.agents, size.tasks);
        all.push(load::measure(size, |step| eprintln!("  {step}")).await?);
    }
    println!("{HEAD}");
    all.iter().for_each(|measured| println!("{measured}"));
    for measured in &all {
        println!();
        measured.aims().iter().for_each(|aim| println!("{aim}"));
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "its output is what it is for")]
#[tokio::main]
async fn main() -> ExitCode {
    // Off unless `KILN_LOG` asks for it, in the notation of `RUST_LOG`.
    let filter = tracing_subscriber::EnvFilter::builder().with_env_var("KILN_LOG").from_env_lossy();
    if std::env::var_os("KILN_LOG").is_some() {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    // Each agent's connection is a file, here and at the coordinator.
    if let Err(error) = kiln_coordinator::open_files::raise_limit() {
        eprintln!("load: no more files may be open than usual: {error}");
    }
    let mut words = std::env::args().skip(1).peekable();
    let done = if words.next_if(|word| word == "coordinator").is_some() {
        load::run_coordinator().await
    } else {
        match asked(words) {
            Ok(asked) => measure_all(sizes(&asked)).await,
            Err(wrong) => Err(wrong.into()),
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("load: {fault}");
            ExitCode::FAILURE
        }
    }
}
