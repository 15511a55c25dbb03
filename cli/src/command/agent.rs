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
use crate::{log, runtime, settings};

/// Works for the farm. The first signal drains, the second hands over.
pub(crate) fn run(arguments: &AgentArguments, screen: &Screen) -> Ended {
    if !arguments.check {
        log::begin_for_daemon();
    }
    let settings = match settings::agent::read(arguments, false) {
        Ok(settings) => settings,
        Err(why) => return failed(screen, &why),
    };
    if arguments.check {
        screen.say("The settings are valid.");
        return Ended::Well;
    }
    // Nothing that is still waited for then is worth it: attempts live elsewhere.
    match runtime::run(Duration::ZERO, work(settings)).flatten() {
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

fn failed(screen: &Screen, why: &str) -> Ended {
    screen.error(why);
    Ended::Failed
}
