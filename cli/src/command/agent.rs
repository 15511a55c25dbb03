//! `kiln agent`: this machine, working for a farm until it is told to end.

use std::sync::Arc;
use std::time::Duration;

use kiln_agent::catalog::Factories;
use kiln_agent::daemon::{self, Ask, End, Settings};
use tokio::sync::watch;

use crate::arguments::agent::AgentArguments;
use crate::exit_code::Ended;
use crate::interrupt::{Interrupt, Interrupts};
use crate::render::Screen;
use crate::{log, run_directory};

/// How long a drain waits for what is under way, unless the settings say otherwise.
const DRAIN_LIMIT: Duration = Duration::from_secs(3600);

/// Works for the farm. The first signal drains, the second hands over.
pub(crate) fn run(arguments: &AgentArguments, screen: &Screen) -> Ended {
    log::begin_for_daemon();
    let settings = match settings(arguments) {
        Ok(settings) => settings,
        Err(why) => return failed(screen, &why),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(screen, &format!("cannot start: {error}")),
    };
    let ended = runtime.block_on(work(settings));
    // Nothing that is still waited for is worth it: attempts live elsewhere.
    runtime.shutdown_background();
    match ended {
        Ok(End::Left) => Ended::Well,
        Ok(End::HandedOver(attempts)) => {
            screen.say(&format!("{attempts} attempts go on; the next agent here takes them up"));
            Ended::Well
        }
        Err(why) => failed(screen, &why),
    }
}

async fn work(settings: Settings) -> Result<End, String> {
    let mut interrupts =
        Interrupts::listen().map_err(|error| format!("cannot listen to signals: {error}"))?;
    let (ask, asked) = watch::channel(Ask::Stay);
    tokio::spawn(async move {
        loop {
            let asked = match interrupts.next().await {
                Interrupt::Cancel(_) => Ask::Drain,
                Interrupt::Leave => Ask::HandOver,
            };
            ask.send_replace(asked);
        }
    });
    let factories = Arc::new(Factories::builtin());
    daemon::run(settings, factories, asked).await.map_err(|error| kiln_plan::fault::chain(&error))
}

fn settings(arguments: &AgentArguments) -> Result<Settings, String> {
    if arguments.farm.is_empty() {
        return Err("no coordinator is given; say where one is with -farm ADDRESS".to_owned());
    }
    let program =
        std::env::current_exe().map_err(|error| format!("cannot find the kiln program: {error}"))?;
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let half = u32::try_from(processors / 2).unwrap_or(u32::MAX).max(1);
    Ok(Settings {
        name: arguments.name.clone().unwrap_or_else(machine_name),
        farm: arguments.farm.clone(),
        slots: arguments.slots.unwrap_or(half),
        labels: arguments.label.iter().cloned().collect(),
        cpus: None,
        memory_mib: None,
        run_dir: arguments.run_directory.clone().unwrap_or_else(run_directory::path),
        cache_dir: run_directory::cache(),
        program,
        drain_limit: DRAIN_LIMIT,
    })
}

fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "an agent".to_owned() } else { name.to_owned() }
}

fn failed(screen: &Screen, why: &str) -> Ended {
    screen.error(why);
    Ended::Failed
}
