//! The process of one attempt: `kiln attempt DIRECTORY`.
//!
//! ```text
//!   lock ─► order read, removed ─► listens ─► attempt::run ─► media.json, outcome.json ─► ends
//!                                     │ stop, SIGTERM, nobody there for HOLD_OUT: cancelled, all undone
//! ```
//!
//! It belongs to no daemon in particular: whichever connects is told how things stand. It leads a session of its own,
//! so that what ends the daemon, as a person's Ctrl-C, doesn't reach it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use kiln_component::Origins;
use kiln_component::journal::{Journal, JournalError};
use kiln_component::process::table::ProcessId;
use kiln_component::reporter::EventSink;
use kiln_plan::event::TaskOutcome;
use kiln_plan::{EventKind, Failure, Fault};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::control::{News, Wish, Words, say};
pub use super::place::RestingOrder;
use super::place::{Place, PlaceError};
use crate::attempt::{self, AttemptSettings};
use crate::catalog::Factories;
use crate::isolation::Isolation;
use crate::link::HOLD_OUT;
use crate::spool::{Limits, SpoolError, Writer};

/// An attempt's process can't do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// Its directory can't be used.
    #[error("cannot use the attempt's directory")]
    Place(#[from] PlaceError),
    /// Another one is at it.
    #[error("another process carries out this attempt")]
    Taken,
    /// Its journal can't be written.
    #[error("cannot keep the attempt apart without a journal")]
    Journal(#[from] JournalError),
    /// Its events can't be written.
    #[error("cannot keep the attempt's events")]
    Spool(#[from] SpoolError),
    /// The system refuses something else.
    #[error("cannot {operation}")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Why an attempt was ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// The daemon said so.
    Told,
    /// Somebody ended the process.
    Terminated,
    /// No daemon came for too long.
    Alone,
}

/// Carries out the attempt in `directory`, which a daemon prepared. `hide` learns the secrets, before anything is
/// logged. Call it before there are threads.
///
/// # Errors
/// When it could not begin; then nothing was done, and the daemon finds no outcome.
pub fn run(
    directory: &Path,
    factories: Factories,
    hide: impl FnOnce(&RestingOrder),
) -> Result<(), ProcessError> {
    let place = Place::at(directory);
    // Only the leader of a group can't, and that would have a group of its own as well.
    let _leader = nix::unistd::setsid();
    let _lock = place.lock()?.ok_or(ProcessError::Taken)?;
    if let Some(process) = ProcessId::own() {
        place.write_process(process)?;
    }
    let about = place.about()?;
    let order = place.take_order()?;
    hide(&order);
    let writer = Writer::open(&place.events(), about.first_sequence, Limits::default())?;
    let outcome = if order.isolation == Isolation::default() {
        work(&place, order, factories, writer)?
    } else {
        kept_apart(&place, order, factories, writer)?
    };
    place.write_outcome(&outcome)?;
    Ok(())
}

/// Works in a network and a control group of its own. These have a journal of their own, since they are there before
/// the attempt's and go after it.
fn kept_apart(
    place: &Place,
    order: RestingOrder,
    factories: Factories,
    writer: Writer,
) -> Result<TaskOutcome, ProcessError> {
    let name = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
    let journal = Journal::open(&order.run_dir, &name)?;
    let (isolation, requirements) = (order.isolation.clone(), order.plan.requirements.clone());
    let done = isolation.confine(&requirements, &journal, || work(place, order, factories, writer));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| ProcessError::Io { operation: "clear up", source })?;
    for left in runtime.block_on(journal.close()) {
        tracing::info!("{left}");
    }
    match done {
        Ok(outcome) => outcome,
        Err(error) => Ok(TaskOutcome::Failed { failure: Failure::from_error(Fault::Machine, &error) }),
    }
}

fn work(
    place: &Place,
    order: RestingOrder,
    factories: Factories,
    writer: Writer,
) -> Result<TaskOutcome, ProcessError> {
    let io = |operation| move |source| ProcessError::Io { operation, source };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(io("start"))?.block_on(async {
        let socket = place.socket();
        // One may be there only if another process was here, which is dead.
        let _none = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).map_err(io("listen to the daemon"))?;
        let origins = Origins::wanted();
        let outcome = carry_out((order, origins.clone()), Arc::new(factories), listener, writer).await?;
        place.write_media(origins.noted().media)?;
        Ok(outcome)
    })
}

async fn carry_out(
    (order, origins): (RestingOrder, Origins),
    factories: Arc<Factories>,
    listener: UnixListener,
    writer: Writer,
) -> Result<TaskOutcome, ProcessError> {
    let desk = Arc::new(Desk::new(writer, order.plan.options.interactive));
    let terminate = signal(SignalKind::terminate());
    let mut terminate =
        terminate.map_err(|source| ProcessError::Io { operation: "listen to signals", source })?;
    let settings = AttemptSettings {
        working_dir: order.working_dir,
        cache_dir: order.cache_dir,
        run_dir: order.run_dir,
        origins,
        own_process: true,
        cancel: desk.cancel.clone(),
    };
    let served = tokio::spawn(serve(listener, Arc::clone(&desk)));
    let watched = {
        let desk = Arc::clone(&desk);
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => desk.end(Why::Terminated),
                () = desk.alone_for(HOLD_OUT) => desk.end(Why::Alone),
            }
        })
    };
    desk.state.send_modify(|state| state.running = true);
    let sink = Arc::clone(&desk) as Arc<dyn EventSink>;
    let outcome = attempt::run(Arc::new(order.plan), factories, settings, sink).await;
    served.abort();
    watched.abort();
    Ok(desk.judged(outcome))
}

/// What connections are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    running: bool,
    next: u64,
    /// How often it got somewhere without a word.
    moves: u64,
}

/// Where the attempt and the connections meet.
#[derive(Debug)]
struct Desk {
    writer: Mutex<Writer>,
    state: watch::Sender<State>,
    /// How many daemons are connected.
    connected: watch::Sender<usize>,
    cancel: CancellationToken,
    why: OnceLock<Why>,
    interactive: bool,
    questions: Mutex<BTreeMap<u64, oneshot::Sender<String>>>,
    next_question: AtomicU64,
}

impl Desk {
    fn new(writer: Writer, interactive: bool) -> Self {
        let state = State { next: writer.next(), ..State::default() };
        Self {
            writer: Mutex::new(writer),
            state: watch::Sender::new(state),
            connected: watch::Sender::new(0),
            cancel: CancellationToken::new(),
            why: OnceLock::new(),
            interactive,
            questions: Mutex::default(),
            next_question: AtomicU64::new(0),
        }
    }

    /// Ends the attempt early. The first reason counts.
    fn end(&self, why: Why) {
        let _first_counts = self.why.set(why);
        self.cancel.cancel();
    }

    /// Waits until no daemon has been connected for so long.
    async fn alone_for(&self, limit: Duration) {
        let mut connected = self.connected.subscribe();
        loop {
            // The sender lives as long as this.
            drop(connected.wait_for(|count| *count == 0).await);
            tokio::select! {
                () = tokio::time::sleep(limit) => return,
                _ = connected.wait_for(|count| *count > 0) => {}
            }
        }
    }

    /// The outcome, as others should see it: an attempt that nobody cancelled was broken off by this machine.
    fn judged(&self, outcome: TaskOutcome) -> TaskOutcome {
        let told = match (&outcome, self.why.get()) {
            (TaskOutcome::Cancelled, Some(Why::Terminated)) => "the attempt's process was told to end",
            (TaskOutcome::Cancelled, Some(Why::Alone)) => "no agent came for the attempt for 10 minutes",
            _ => return outcome,
        };
        TaskOutcome::Failed { failure: Failure::new(Fault::Machine, told) }
    }

    fn grant(&self, wish: Wish) {
        match wish {
            Wish::Stop {} => self.end(Why::Told),
            Wish::Leave {} => self.end(Why::Terminated),
            Wish::Answer { question, text } => {
                let waiting = self.questions.lock().unwrap_or_else(PoisonError::into_inner).remove(&question);
                if let Some(waiting) = waiting {
                    // Whoever asked may have been cancelled meanwhile.
                    let _ = waiting.send(text);
                }
            }
        }
    }
}

#[async_trait]
impl EventSink for Desk {
    fn send(&self, event: EventKind) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = writer.push(at_ms, &event) {
            tracing::error!(error = kiln_plan::fault::chain(&error), "an event is lost");
        }
        let next = writer.next();
        drop(writer);
        self.state.send_modify(|state| state.next = next);
    }

    fn moved(&self) {
        self.state.send_modify(|state| state.moves += 1);
    }

    async fn ask(&self, text: &str) -> Option<String> {
        if !self.interactive {
            return None;
        }
        let id = self.next_question.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        self.send(EventKind::Question { id, text: text.to_owned() });
        tokio::select! {
            answer = receiver => answer.ok(),
            () = self.cancel.cancelled() => None,
        }
    }
}

/// Serves daemons, one after the other as a rule.
async fn serve(listener: UnixListener, desk: Arc<Desk>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(stream, Arc::clone(&desk)))),
            Err(error) => {
                tracing::warn!(%error, "a daemon could not connect");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: UnixStream, desk: Arc<Desk>) {
    desk.connected.send_modify(|count| *count += 1);
    let (read, mut write) = stream.into_split();
    let mut words = Words::of(read);
    let mut states = desk.state.subscribe();
    states.mark_changed();
    let mut told = State::default();
    loop {
        tokio::select! {
            wish = words.next() => match wish {
                Some(wish) => desk.grant(wish),
                None => break,
            },
            changed = states.changed() => {
                let state = *states.borrow_and_update();
                let mut listens = changed.is_ok();
                if state.running && !told.running {
                    listens &= say(&mut write, &News::Running {}).await;
                }
                if state.next != told.next {
                    listens &= say(&mut write, &News::Events { next: state.next }).await;
                }
                if state.moves != told.moves {
                    listens &= say(&mut write, &News::Moved {}).await;
                }
                told = state;
                if !listens {
                    break;
                }
            }
        }
    }
    desk.connected.send_modify(|count| *count -= 1);
}
