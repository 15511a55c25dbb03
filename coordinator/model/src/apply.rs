//! How a command changes the state: one match, each arm with a file of its own.

use crate::command::{Action, Command};
use crate::outcome::{Outcome, Refusal};
use crate::state::FarmState;

mod assign;
mod cancel;
mod expire;
mod forget;
mod hand_back;
mod identity;
mod image;
mod presence;
mod report;
mod submit;
mod synchronize;

pub use self::presence::is_new;
pub use self::synchronize::is_news;

/// Changes `state` as `command` asks, or refuses and leaves it as it was (except for the time, which is that of
/// the latest command).
pub fn apply(state: &mut FarmState, command: &Command) -> Outcome {
    state.now = state.now.max(command.at);
    if let Some(refusal) = identity::speaker_is_revoked(state, &command.action) {
        return Outcome::Refused(refusal);
    }
    let result = match &command.action {
        Action::Submit { build, parallel, tasks, origin, join } => {
            submit::submit(state, (*build, *parallel), tasks, (origin, *join))
        }
        Action::Connect { agent, name, offer } => presence::connect(state, *agent, name, offer),
        Action::Synchronize { agent, draining, held } => {
            synchronize::synchronize(state, *agent, *draining, held)
        }
        Action::Assign { task, agent, attempt } => assign::assign(state, *task, *agent, *attempt),
        Action::HandBack { task, epoch } => hand_back::hand_back(state, *task, *epoch),
        Action::Report { task, agent, attempt, epoch, outcome, said } => {
            report::report(state, *task, (*agent, *attempt, *epoch), outcome, *said)
        }
        Action::Cancel { build } => cancel::cancel(state, *build),
        Action::ExpireLease { task, epoch, silent_ms } => {
            expire::expire_lease(state, *task, *epoch, *silent_ms)
        }
        Action::Overrun { task, epoch, limit } => expire::overrun(state, *task, *epoch, *limit),
        Action::GiveUp { task } => expire::give_up(state, *task),
        Action::LoseAgent { agent, silent_ms } => presence::lose(state, *agent, *silent_ms),
        Action::DrainAgent { agent } => presence::drain(state, *agent, true),
        Action::UndrainAgent { agent } => presence::drain(state, *agent, false),
        Action::WeighProject { project, weight } => submit::weigh(state, project, *weight),
        Action::Depart { agent } => presence::depart(state, *agent),
        Action::ForgetAgent { agent } => forget::forget_agent(state, *agent),
        Action::ForgetBuild { build } => forget::forget_build(state, *build),
        Action::Image(action) => image::image(state, action),
        Action::Identity(action) => identity::apply(state, action),
    };
    result.unwrap_or_else(Outcome::Refused)
}

/// What an arm answers.
type Applied = Result<Outcome, Refusal>;
