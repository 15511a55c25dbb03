//! Running something in the guest while people read along.

use std::time::Duration;

use kiln_component::communicator::Output;
use kiln_component::lines::for_each_line;
use kiln_component::{CommunicatorError, Exit, ProvisionContext};
use kiln_plan::fault::chain;
use kiln_plan::{Failure, Fault};
use tokio::time::Instant;

/// Between two tries of something that the way to the guest failed.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// How a try ended.
#[derive(Debug)]
pub enum Tried {
    /// The way to the guest failed; it may be back in a moment.
    Unreachable(CommunicatorError),
    /// Something that trying again won't mend.
    Failed(Failure),
}

impl From<CommunicatorError> for Tried {
    fn from(error: CommunicatorError) -> Self {
        match error {
            CommunicatorError::Unreachable { .. } => Tried::Unreachable(error),
            other => Tried::Failed(failure(&other)),
        }
    }
}

/// A communicator's error as a failure of the task.
pub fn failure(error: &CommunicatorError) -> Failure {
    let fault = match error {
        CommunicatorError::Unsupported { .. } => Fault::Template,
        CommunicatorError::Local { .. } => Fault::Machine,
        CommunicatorError::Unreachable { .. }
        | CommunicatorError::Gone { .. }
        | CommunicatorError::Refused { .. } => Fault::Guest,
    };
    Failure::new(fault, chain(error))
}

/// How long a guest whose connection went away may take to be really gone.
const POWER_OFF: Duration = Duration::from_secs(5);

/// The failure of a command whose connection went away, with what became of the guest if it is gone altogether.
pub async fn disconnected(cx: &ProvisionContext<'_>, failure: Failure) -> Failure {
    let again = cx.communicator.start("true");
    match tokio::time::timeout(POWER_OFF, unless_cancelled(cx, again)).await {
        Ok(Ok(Err(CommunicatorError::Gone { reason, .. }))) => {
            Failure { hint: None, ..failure }.evidence(format!("the guest is gone: {reason}"))
        }
        _ => failure,
    }
}

/// Runs a command in the guest; its lines are reported as they come.
///
/// # Errors
/// When the guest can't be reached, or the task is cancelled.
pub async fn run(cx: &ProvisionContext<'_>, command: &str) -> Result<Exit, Tried> {
    let running = cx.communicator.start(command);
    let mut command = unless_cancelled(cx, running).await.map_err(Tried::Failed)??;
    drop(command.stdin.take());
    let reporter = &cx.task.reporter;
    let outputs = async {
        let say = each_line(command.stdout, |line| reporter.say(line));
        let complain = each_line(command.stderr, |line| reporter.error(line));
        tokio::join!(say, complain);
        // Whoever drops the sender without a word has lost the connection.
        command.exit.await.unwrap_or(Exit::Disconnected)
    };
    unless_cancelled(cx, outputs).await.map_err(Tried::Failed)
}

/// Runs a command whose output is only of interest when it fails: it comes back with the exit.
///
/// # Errors
/// As for [`run`].
pub async fn run_quietly(cx: &ProvisionContext<'_>, command: &str) -> Result<(Exit, String), Tried> {
    let running = cx.communicator.start(command);
    let mut command = unless_cancelled(cx, running).await.map_err(Tried::Failed)??;
    drop(command.stdin.take());
    let outputs = async {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        {
            let stdout = each_line(command.stdout, |line| out.push(line.to_owned()));
            let stderr = each_line(command.stderr, |line| err.push(line.to_owned()));
            tokio::join!(stdout, stderr);
        }
        out.extend(err);
        (command.exit.await.unwrap_or(Exit::Disconnected), out.join("\n"))
    };
    unless_cancelled(cx, outputs).await.map_err(Tried::Failed)
}

/// Reads an output to its end. A read that fails means that the connection is gone, which the exit tells.
async fn each_line(output: Output, line: impl FnMut(&str)) {
    let _ = for_each_line(output, line).await;
}

/// Tries `attempt` again as long as the guest can't be reached, until `limit` has passed.
///
/// # Errors
/// The last failure.
pub async fn retrying<T, F>(
    cx: &ProvisionContext<'_>,
    limit: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Tried>>,
{
    let deadline = Instant::now() + limit;
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(Tried::Failed(failure)) => return Err(failure),
            Err(Tried::Unreachable(error)) => error,
        };
        if Instant::now() + RETRY_PAUSE > deadline {
            return Err(failure(&error));
        }
        unless_cancelled(cx, tokio::time::sleep(RETRY_PAUSE)).await?;
    }
}

/// The future's value, or a cancelled failure as soon as the task is cancelled.
///
/// # Errors
/// After cancellation.
pub async fn unless_cancelled<T>(
    cx: &ProvisionContext<'_>,
    future: impl Future<Output = T>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        () = cx.task.cancel.cancelled() => Err(Failure::cancelled()),
        value = future => Ok(value),
    }
}
