//! `kiln attempt`: the process of one attempt, started by the agent's daemon. What it prints goes to the log in the
//! attempt's directory.

use kiln_agent::catalog::Factories;
use kiln_agent::hosted::process;

use crate::arguments::attempt::AttemptArguments;
use crate::exit_code::Ended;
use crate::log;
use crate::render::Screen;

/// Carries out the attempt. How it ended stands in its directory; the exit code only tells whether that is so.
pub(crate) fn run(arguments: &AttemptArguments, screen: &Screen) -> Ended {
    let hide = |order: &process::RestingOrder| {
        log::hide(order.plan.secrets.iter().map(|secret| secret.reveal().as_str()));
    };
    match process::run(&arguments.directory, Factories::builtin(), hide) {
        Ok(()) => Ended::Well,
        Err(error) => {
            screen.error(&kiln_plan::fault::chain(&error));
            Ended::Failed
        }
    }
}
