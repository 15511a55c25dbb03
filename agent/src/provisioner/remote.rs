//! Running something in the guest while people read along.

use std::time::Duration;

use kiln_component::communicator::Output;
use kiln_component::lines::for_each_line;
use kiln_component::{CommunicatorError, Exit, ProvisionContext};
use kiln_lang::duration::in_go_syntax;
use kiln_plan::fault::chain;
use kiln_plan::{Failure, Fault};
use tokio::time::Instant;

/// Between two tries of something that failed in the guest.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

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
    match tokio::time::timeout(POWER_OFF, again).await {
        Ok(Err(CommunicatorError::Gone { reason, .. })) => {
            Failure { hint: None, ..failure }.evidence(format!("the guest is gone: {reason}"))
        }
        _ => failure,
    }
}

/// Runs a command in the guest; its lines are reported as they come, those of its standard error as errors.
///
/// # Errors
/// When the guest can't be reached. How the command ends is no error.
pub async fn run(cx: &ProvisionContext<'_>, command: &str) -> Result<Exit, CommunicatorError> {
    let reporter = &cx.task.reporter;
    run_reading(cx, command, (|line| reporter.say(line), |line| reporter.error(line))).await
}

/// Runs a command that must succeed, whose output is only of interest when it doesn't. `purpose` completes `cannot …`.
///
/// # Errors
/// When the guest can't be reached, the connection is lost, or the command fails.
pub async fn require(
    cx: &ProvisionContext<'_>,
    command: &str,
    purpose: &str,
) -> Result<(), CommunicatorError> {
    let operation = purpose.to_owned();
    match run_quietly(cx, command).await? {
        (Exit::Code(0), _) => Ok(()),
        (Exit::Disconnected, _) => Err(lost(operation)),
        (Exit::Code(code), said) => {
            let reason = if said.is_empty() { format!("exit code {code}") } else { said };
            Err(CommunicatorError::Refused { operation, reason })
        }
    }
}

/// Runs a command whose success is of no interest, but whose connection is.
///
/// # Errors
/// When the guest can't be reached, or the connection is lost.
pub async fn attempt(cx: &ProvisionContext<'_>, command: &str) -> Result<(), CommunicatorError> {
    match run_quietly(cx, command).await? {
        (Exit::Disconnected, _) => Err(lost(format!("run {command}"))),
        (Exit::Code(_), _) => Ok(()),
    }
}

fn lost(operation: String) -> CommunicatorError {
    let source = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the connection went away");
    CommunicatorError::Unreachable { operation, source: source.into() }
}

/// Runs a command and gives back its exit and all of its lines, those of its standard error last.
async fn run_quietly(cx: &ProvisionContext<'_>, command: &str) -> Result<(Exit, String), CommunicatorError> {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let take = (|line: &str| out.push(line.to_owned()), |line: &str| err.push(line.to_owned()));
    let exit = run_reading(cx, command, take).await?;
    out.append(&mut err);
    Ok((exit, out.join("\n")))
}

async fn run_reading(
    cx: &ProvisionContext<'_>,
    command: &str,
    (out, err): (impl FnMut(&str), impl FnMut(&str)),
) -> Result<Exit, CommunicatorError> {
    let mut command = cx.communicator.start(command).await?;
    drop(command.stdin.take());
    tokio::join!(each_line(command.stdout, out), each_line(command.stderr, err));
    // Whoever drops the sender without a word has lost the connection.
    Ok(command.exit.await.unwrap_or(Exit::Disconnected))
}

/// Reads an output to its end. A read that fails means that the connection is gone, which the exit tells.
async fn each_line(output: Output, line: impl FnMut(&str)) {
    let _ = for_each_line(output, line).await;
}

/// Tries `attempt` again as long as the communicator fails and `limit` has not passed, and says what it failed with.
///
/// What the guest refuses is tried again like a guest that can't be reached: one that is shutting down does both.
///
/// # Errors
/// The last failure.
pub async fn retrying<T, F>(
    cx: &ProvisionContext<'_>,
    limit: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, CommunicatorError>>,
{
    let deadline = Instant::now() + limit;
    let mut told = String::new();
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let hopeless = matches!(
            error,
            CommunicatorError::Unsupported { .. }
                | CommunicatorError::Local { .. }
                | CommunicatorError::Gone { .. }
        );
        if hopeless || Instant::now() + RETRY_PAUSE > deadline {
            return Err(failure(&error));
        }
        let text = chain(&error);
        if text != told {
            let left = Duration::from_secs((deadline - Instant::now()).as_secs());
            cx.task.reporter.say(format!("{text}; trying again for up to {}", in_go_syntax(left)));
            told = text;
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// The future's value, or a cancelled failure as soon as the task is cancelled; what the future had begun is dropped.
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
