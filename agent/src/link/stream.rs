//! One connection to the coordinator: states and events, until it breaks.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use kiln_plan::id::AgentId;
use kiln_proto::link::{AttemptEvents, AttemptReceipt, CurrentState, DesiredState, Hello};
use kiln_proto::v1::agent_link_client::AgentLinkClient;
use kiln_proto::{Code, ConvertError, MESSAGE_LIMIT, Problem, v1};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::Channel;

use super::desk::Desk;
use super::{Questions, questions};

/// How long opening a stream may take.
pub(super) const OPEN_LIMIT: Duration = Duration::from_secs(10);

/// Every renewal is answered; a coordinator that says nothing for this long is out of reach.
const SILENCE_LIMIT: Duration = Duration::from_secs(20);

/// How long the goodbye may take.
const GOODBYE_LIMIT: Duration = Duration::from_secs(5);

/// How often the agent speaks until it is told.
const SPEAK_WITHIN: Duration = Duration::from_secs(5);

/// Bytes of events in one batch, and batches that may be under way unacknowledged.
const BATCH_BYTES: usize = 256 << 10;
const BATCHES: usize = 4;

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Broken {
    /// The agent said goodbye.
    Left,
    /// It broke; another may do better.
    Lost(Problem),
    /// The coordinator doesn't understand the agent.
    Rejected(Problem),
}

impl From<tonic::Status> for Broken {
    fn from(status: tonic::Status) -> Self {
        let problem = Problem::from(status);
        match problem.code {
            Code::Invalid => Self::Rejected(problem),
            // A certificate that has ended is renewed meanwhile.
            Code::Unidentified
            | Code::Forbidden
            | Code::NotFound
            | Code::Refused
            | Code::Stale
            | Code::TooLarge
            | Code::Unavailable
            | Code::Internal => Self::Lost(problem),
        }
    }
}

impl From<ConvertError> for Broken {
    fn from(error: ConvertError) -> Self {
        Self::Rejected(error.into())
    }
}

pub(super) fn lost(message: &str) -> Broken {
    Broken::Lost(Problem::new(Code::Unavailable, message))
}

/// A connection.
pub(super) struct Stream {
    client: AgentLinkClient<Channel>,
    hello: Option<Hello>,
    desk: Arc<Desk>,
    oracle: Arc<dyn Questions>,
    agent: AgentId,
    drain: CancellationToken,
    /// Whether the coordinator wants the agent to take nothing new.
    asked_to_drain: bool,
    last_word: Option<Instant>,
    return_within: Duration,
}

impl Stream {
    pub(super) fn new(
        channel: Channel,
        hello: Hello,
        (desk, oracle): (Arc<Desk>, Arc<dyn Questions>),
        drain: CancellationToken,
    ) -> Self {
        let client = AgentLinkClient::new(channel)
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        let (agent, hello) = (hello.agent, Some(hello));
        let (last_word, return_within) = (None, Duration::ZERO);
        Self { client, hello, desk, oracle, agent, drain, asked_to_drain: false, last_word, return_within }
    }

    /// Over how long agents spread their return when this connection breaks.
    pub(super) const fn return_within(&self) -> Duration {
        self.return_within
    }

    /// When the coordinator was heard of last on this connection.
    pub(super) const fn last_word(&self) -> Option<Instant> {
        self.last_word
    }

    /// Keeps the connection until it breaks or the agent leaves.
    pub(super) async fn keep(&mut self) -> Broken {
        self.desk.rewind();
        let events = send_events(self.client.clone(), Arc::clone(&self.desk));
        let mut events = pin!(events);
        let answers = questions::answer(self.client.clone(), self.agent, Arc::clone(&self.oracle));
        let mut answers = pin!(answers);
        let states = self.exchange_states();
        tokio::select! {
            broken = states => broken.err().unwrap_or(Broken::Left),
            broken = &mut events => broken.err().unwrap_or_else(|| lost("the coordinator took no more events")),
            broken = &mut answers => broken.err().unwrap_or_else(|| lost("the coordinator asks no more questions")),
        }
    }

    async fn exchange_states(&mut self) -> Result<(), Broken> {
        let (send, states) = mpsc::channel(1);
        // The first state lies ready before the stream is opened, so that opening takes one round trip.
        send.try_send(self.state().into()).map_err(|_| lost("the stream closed"))?;
        let open = self.client.synchronize(ReceiverStream::new(states));
        let open = tokio::time::timeout(OPEN_LIMIT, open).await;
        let mut inbound = open.map_err(|_| lost("the coordinator did not answer in time"))??.into_inner();
        let mut speak_within = SPEAK_WITHIN;
        let mut spoke = Instant::now();
        let mut heard = Instant::now();
        let mut news = false;
        let mut drain_noticed = false;
        loop {
            tokio::select! {
                message = inbound.message() => {
                    let Some(message) = message? else { return Err(lost("the coordinator closed the stream")) };
                    let desired = DesiredState::try_from(message)?;
                    heard = Instant::now();
                    self.last_word = Some(heard);
                    speak_within = Duration::from_millis(u64::from(desired.speak_within_ms).max(1));
                    self.return_within = Duration::from_millis(u64::from(desired.return_within_ms));
                    news |= std::mem::replace(&mut self.asked_to_drain, desired.drain) != desired.drain;
                    self.desk.follow(desired);
                    // Nothing rings when the last report was taken, but a draining agent may leave then.
                    news |= drain_noticed && self.desk.is_empty();
                }
                () = self.desk.states.notified() => news = true,
                () = self.drain.cancelled(), if !drain_noticed => (news, drain_noticed) = (true, true),
                () = tokio::time::sleep_until(spoke + speak_within) => news = true,
                () = tokio::time::sleep_until(heard + SILENCE_LIMIT) => {
                    return Err(lost("nothing was heard of the coordinator in time"));
                }
                // Never waits while the coordinator might wait for this side to read.
                permit = send.reserve(), if news => {
                    let state = self.state();
                    let leaving = state.leaving;
                    permit.map_err(|_| lost("the stream closed"))?.send(state.into());
                    (news, spoke) = (false, Instant::now());
                    if leaving {
                        break;
                    }
                }
            }
        }
        drop(send);
        goodbye(inbound).await;
        Ok(())
    }

    /// The state to tell; says who the agent is the first time.
    fn state(&mut self) -> CurrentState {
        let draining = self.drain.is_cancelled() || self.asked_to_drain;
        let hello = self.hello.take();
        // Who is only asked to take nothing new stays.
        let leaving = self.drain.is_cancelled() && hello.is_none() && self.desk.is_empty();
        CurrentState { hello, held: self.desk.held(), draining, leaving }
    }
}

/// Waits for the coordinator to close the stream, so that it has heard the goodbye.
async fn goodbye(mut inbound: Streaming<v1::DesiredState>) {
    let end = async { while let Ok(Some(_)) = inbound.message().await {} };
    // A coordinator that doesn't answer learns it from silence.
    let _ = tokio::time::timeout(GOODBYE_LIMIT, end).await;
}

async fn send_events(mut client: AgentLinkClient<Channel>, desk: Arc<Desk>) -> Result<(), Broken> {
    let (send, batches) = mpsc::channel(1);
    let open = tokio::time::timeout(OPEN_LIMIT, client.append_events(ReceiverStream::new(batches))).await;
    let mut receipts = open.map_err(|_| lost("the coordinator did not answer in time"))??.into_inner();
    let mut under_way = 0_usize;
    let mut news = true;
    loop {
        tokio::select! {
            receipt = receipts.message() => {
                let Some(receipt) = receipt? else { return Ok(()) };
                under_way = under_way.saturating_sub(usize::from(!receipt.unasked));
                let receipts: Vec<AttemptReceipt> = receipt.try_into()?;
                desk.taken(&receipts);
            }
            () = desk.events.notified() => news = true,
            permit = send.reserve(), if news && under_way < BATCHES => {
                let permit = permit.map_err(|_| lost("the stream closed"))?;
                let batch: Vec<AttemptEvents> = desk.outgoing(BATCH_BYTES);
                news = !batch.is_empty();
                if news {
                    under_way += 1;
                    permit.send(batch.into());
                }
            }
        }
    }
}
