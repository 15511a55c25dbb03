//! The settings of `kiln agent`: what the command line says, else the file, else what suits the machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln_agent::daemon::Settings;
use kiln_agent::daemon::address::{Address, Farm};
use kiln_agent::daemon::identity;
use kiln_plan::fault::chain;

use super::{Reader, Refused, Section};
use crate::arguments::agent::AgentArguments;
use crate::{farm_connection, run_directory};

/// How long a drain waits for what is under way.
const DRAIN_LIMIT: Duration = Duration::from_secs(3600);

/// The most bytes of downloads that are kept while nobody uses them.
const CACHE_LIMIT: u64 = 100 << 30;

/// The most tasks that an agent may take at once.
const MOST_SLOTS: u64 = 10_000;

/// What the file says, before what else counts is known.
struct Given {
    name: Option<String>,
    farm: Vec<Address>,
    token_file: Option<PathBuf>,
    slots: Option<u64>,
    labels: Vec<(String, String)>,
    cpus: Option<u64>,
    memory: Option<u64>,
    run_directory: Option<PathBuf>,
    cache_directory: Option<PathBuf>,
    cache_limit: Option<u64>,
    drain_limit: Option<Duration>,
    isolation: Option<bool>,
}

impl Given {
    fn of(section: &Section<'_>) -> Self {
        Self {
            name: section.text("name"),
            farm: section.each_parsed("farm", str::parse::<Address>).unwrap_or_default(),
            token_file: section.path("token_file"),
            slots: section.count("slots", 1..=MOST_SLOTS),
            labels: section.texts_by_name("labels").into_iter().collect(),
            cpus: section.count("cpus", 1..=1 << 16),
            memory: section.bytes("memory"),
            run_directory: section.path("run_directory"),
            cache_directory: section.path("cache_directory"),
            cache_limit: section.bytes("cache_limit"),
            drain_limit: section.duration("drain_limit"),
            isolation: section.switch("isolation"),
        }
    }
}

/// The settings; what is wrong with them in words otherwise, everything at once.
pub(crate) fn read(arguments: &AgentArguments, paint: bool) -> Result<Settings, String> {
    let reader = match &arguments.settings {
        Some(path) => Reader::open(path).map_err(|refused| refused.text(paint))?,
        None => Reader::empty(),
    };
    let top = reader.top();
    let given = Given::of(&top);
    top.end();
    let given = reader.finish(given).map_err(|refused: Refused| refused.text(paint))?;
    let farm = if arguments.farm.is_empty() { &given.farm } else { &arguments.farm };
    let farm = Farm::at(farm).map_err(|error| error.to_string())?;
    let run_dir = arguments.run_directory.clone().or(given.run_directory).unwrap_or_else(run_directory::path);
    let token_file = arguments.token_file.as_deref().or(given.token_file.as_deref());
    // A token is good once, so its file may be gone at every later start.
    let gone = |file: &Path| !file.exists() && identity::is_enrolled(&run_dir);
    let token_file = token_file.filter(|file| !gone(file));
    let token = farm_connection::token_if_any(token_file).map_err(|error| chain(&error))?;
    let program =
        std::env::current_exe().map_err(|error| format!("cannot find the kiln program: {error}"))?;
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let mut labels: std::collections::BTreeMap<_, _> = given.labels.into_iter().collect();
    labels.extend(arguments.label.iter().cloned());
    Ok(Settings {
        name: arguments.name.clone().or(given.name).unwrap_or_else(machine_name),
        farm,
        token,
        slots: arguments.slots.or(given.slots.map(number)).unwrap_or_else(half_the_processors),
        labels,
        cpus: given.cpus.map(number),
        memory_mib: given.memory.map(|bytes| bytes >> 20),
        run_dir,
        cache_dir: given.cache_directory.unwrap_or_else(run_directory::cache),
        program,
        cache_limit: given.cache_limit.unwrap_or(CACHE_LIMIT),
        drain_limit: given.drain_limit.unwrap_or(DRAIN_LIMIT),
        isolate: given.isolation.unwrap_or(true),
    })
}

fn half_the_processors() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(processors / 2).unwrap_or(u32::MAX).max(1)
}

fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "an agent".to_owned() } else { name.to_owned() }
}
