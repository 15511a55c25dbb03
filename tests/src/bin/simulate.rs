//! Runs the simulation of a farm: `simulate --seeds N [--first SEED]`. Prints each seed that breaks a law with the last
//! that happened and how to run it again, and ends with a failure if there was one.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use kiln_tests::simulation::{self, Report};

/// What was asked for.
struct Asked {
    seeds: u64,
    first: u64,
}

fn asked() -> Result<Asked, String> {
    let mut asked = Asked { seeds: 200, first: 1 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let number = words.next().and_then(|n| n.parse().ok());
        let number = number.ok_or_else(|| format!("{word} needs a number"))?;
        match word.as_str() {
            "--seeds" => asked.seeds = number,
            "--first" => asked.first = number,
            _ => return Err(format!("{word} is not known; there are --seeds N and --first SEED")),
        }
    }
    Ok(asked)
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]
fn main() -> ExitCode {
    let asked = match asked() {
        Ok(asked) => asked,
        Err(fault) => {
            eprintln!("{fault}");
            return ExitCode::FAILURE;
        }
    };
    let began = Instant::now();
    let next = AtomicU64::new(asked.first);
    let (total, broken) = (Mutex::new(Report::default()), AtomicU64::new(0));
    let one = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= asked.first + asked.seeds {
                return;
            }
            match simulation::run(seed) {
                Ok(report) => total.lock().expect("no run panics").add(&report),
                Err(told) => {
                    broken.fetch_add(1, Ordering::Relaxed);
                    println!("{told}\n  again: simulate --seeds 1 --first {seed}\n");
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        (0..threads).for_each(|_| drop(scope.spawn(one)));
    });
    let (total, broken) = (total.into_inner().expect("no run panics"), broken.into_inner());
    println!("{total}");
    println!("{} seeds in {:.1} s: {broken} broke a law", asked.seeds, began.elapsed().as_secs_f64());
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
