//! Questions of evaluations on their way to agents, and the answers on their way back.
//!
//! ```text
//!   admission, AskData ──ask──► desk ──question──► seat of an agent that offers the data source
//!            ▲                   │ ▲                        │
//!            └──────answer───────┘ └──── reply, or gone ────┘
//! ```
//!
//! Not in the ledger: whoever evaluates waits for the answer, and evaluates anew when the coordinator was replaced
//! meanwhile. An agent that goes before it has answered is as if it had not been asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kiln_plan::id::AgentId;
use kiln_plan::{Catalog, ComponentKind, DataAnswer, DataQuery};
use kiln_proto::link::DataQuestion;
use kiln_proto::{Code, Problem};
use tokio::sync::{mpsc, oneshot, watch};

use crate::roster::Roster;

/// How long an answer is waited for. Agents have their own, shorter patience; this one is for agents that are stuck.
const PATIENCE: Duration = Duration::from_secs(330);

/// How many agents are asked, one after the other, before the question is given up.
const AGENTS: u32 = 3;

/// Questions that may wait for an agent to read them.
const WAITING: usize = 64;

/// Who can be asked, and who waits.
#[derive(Debug, Default)]
pub(crate) struct DataDesk {
    table: Mutex<Table>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Table {
    seats: BTreeMap<AgentId, Seated>,
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
}

#[derive(Debug)]
struct Seated {
    /// Tells one stream of an agent from a later one.
    stream: u64,
    questions: mpsc::Sender<DataQuestion>,
}

#[derive(Debug)]
struct Waiting {
    /// The stream that was asked.
    stream: u64,
    answer: oneshot::Sender<DataAnswer>,
}

/// An agent's place at the desk; given up when dropped, which ends the waiting for its answers.
#[derive(Debug)]
pub(crate) struct Seat {
    desk: Arc<DataDesk>,
    agent: AgentId,
    stream: u64,
}

impl DataDesk {
    /// An agent can be asked from now on.
    pub(crate) fn sit(self: &Arc<Self>, agent: AgentId) -> (Seat, mpsc::Receiver<DataQuestion>) {
        let (questions, asked) = mpsc::channel(WAITING);
        let stream = self.with(|table| {
            let stream = table.number();
            table.seats.insert(agent, Seated { stream, questions });
            stream
        });
        self.changed.send_replace(());
        (Seat { desk: Arc::clone(self), agent, stream }, asked)
    }

    /// Asks agents until one answers.
    ///
    /// # Errors
    /// When nobody could be asked, or those who were have gone or kept silent.
    pub(crate) async fn ask(
        &self,
        query: &DataQuery,
        roster: &Roster,
        patience: Duration,
    ) -> Result<DataAnswer, Problem> {
        for _ in 0..AGENTS {
            let nobody = |_| {
                let told = format!(
                    "no agent that offers the data source {:?} came within {} s",
                    query.component.name,
                    patience.as_secs()
                );
                Problem::new(Code::Unavailable, told)
            };
            let seated = tokio::time::timeout(patience, self.seated(query, roster)).await.map_err(nobody)?;
            let Some(asked) = self.put(seated, query).await else { continue };
            match tokio::time::timeout(PATIENCE, asked.answer()).await {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {
                    tracing::info!(query = query.id, "an agent went before it answered; asking another");
                }
                Err(_) => break,
            }
        }
        let told = format!("no agent answered the question of data source {}", query.id);
        Err(Problem::new(Code::Unavailable, told))
    }

    /// An agent that offers the data source, once there is one.
    async fn seated(&self, query: &DataQuery, roster: &Roster) -> (u64, mpsc::Sender<DataQuestion>) {
        let mut changed = self.changed.subscribe();
        let mut joined = roster.changes();
        let offers =
            |catalog: &Catalog| catalog.get(ComponentKind::DataSource, &query.component.name).is_some();
        loop {
            changed.mark_unchanged();
            joined.mark_unchanged();
            let able = roster.agents_with(offers);
            let found = self.with(|table| {
                let seat = able.iter().find_map(|agent| table.seats.get(agent))?;
                Some((seat.stream, seat.questions.clone()))
            });
            if let Some(found) = found {
                return found;
            }
            // Both senders live as long as their coordinator, which outlives this call.
            tokio::select! {
                _ = changed.changed() => {}
                _ = joined.changed() => {}
            }
        }
    }

    async fn put(
        &self,
        (stream, questions): (u64, mpsc::Sender<DataQuestion>),
        query: &DataQuery,
    ) -> Option<Asked<'_>> {
        let (answer, reply) = oneshot::channel();
        let number = self.with(|table| {
            let number = table.number();
            table.waiting.insert(number, Waiting { stream, answer });
            number
        });
        let asked = Asked { desk: self, number, questions, reply: Some(reply) };
        let question = DataQuestion { number, query: Some(query.clone()) };
        asked.questions.send(question).await.is_ok().then_some(asked)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Table) -> T) -> T {
        work(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Table {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// A question under way. Dropped early, it is taken back.
struct Asked<'d> {
    desk: &'d DataDesk,
    number: u64,
    questions: mpsc::Sender<DataQuestion>,
    reply: Option<oneshot::Receiver<DataAnswer>>,
}

impl Asked<'_> {
    /// The answer; `None` when the agent is gone.
    async fn answer(mut self) -> Option<DataAnswer> {
        let reply = self.reply.as_mut()?;
        let answer = reply.await.ok();
        self.reply = None;
        answer
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.desk.with(|table| table.waiting.remove(&self.number));
        if self.reply.is_some() {
            // An agent that is behind with reading answers in vain, which harms nobody.
            let _ = self.questions.try_send(DataQuestion { number: self.number, query: None });
        }
    }
}

impl Seat {
    /// The agent answered.
    pub(crate) fn answered(&self, number: u64, answer: DataAnswer) {
        let waiting = self.desk.with(|table| {
            let mine = table.waiting.get(&number).is_some_and(|waiting| waiting.stream == self.stream);
            if mine { table.waiting.remove(&number) } else { None }
        });
        if let Some(waiting) = waiting {
            // Whoever asked may have left meanwhile.
            let _ = waiting.answer.send(answer);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.desk.with(|table| {
            if table.seats.get(&self.agent).is_some_and(|seat| seat.stream == self.stream) {
                table.seats.remove(&self.agent);
            }
            table.waiting.retain(|_, waiting| waiting.stream != self.stream);
        });
        self.desk.changed.send_replace(());
    }
}

#[cfg(test)]
mod tests;
