//! The stream of questions: each is answered by itself, as soon as it can be, and several at once.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use kiln_plan::DataAnswer;
use kiln_plan::id::AgentId;
use kiln_proto::link::{DataQuestion, DataReply};
use kiln_proto::v1;
use kiln_proto::v1::agent_link_client::AgentLinkClient;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Channel;

use super::Questions;
use super::stream::{Broken, OPEN_LIMIT, lost};

/// What is answered for a data source with a mistake of its own.
const BROKE_OFF: &str = "the data source broke off; please report it";

/// The most questions that are under way at once; more wait on the wire.
const AT_ONCE: usize = 16;

/// Answers questions until the connection breaks, which ends those under way.
pub(super) async fn answer(
    mut client: AgentLinkClient<Channel>,
    agent: AgentId,
    oracle: Arc<dyn Questions>,
) -> Result<(), Broken> {
    let (send, replies) = mpsc::channel::<v1::DataReply>(AT_ONCE);
    send.try_send(DataReply::Seated(agent).into()).map_err(|_| lost("the stream closed"))?;
    let open = tokio::time::timeout(OPEN_LIMIT, client.answer_questions(ReceiverStream::new(replies))).await;
    let mut questions = open.map_err(|_| lost("the coordinator did not answer in time"))??.into_inner();
    let mut under_way: BTreeMap<u64, DropGuard> = BTreeMap::new();
    let mut answers: JoinSet<(u64, DataAnswer)> = JoinSet::new();
    loop {
        tokio::select! {
            question = questions.message(), if answers.len() < AT_ONCE => {
                let Some(question) = question? else { return Ok(()) };
                let DataQuestion { number, query } = question.try_into()?;
                let Some(query) = query else {
                    under_way.remove(&number);
                    continue;
                };
                let cancel = CancellationToken::new();
                under_way.insert(number, cancel.clone().drop_guard());
                let oracle = Arc::clone(&oracle);
                answers.spawn(async move {
                    let answer = AssertUnwindSafe(oracle.answer(query, cancel)).catch_unwind().await;
                    (number, answer.unwrap_or_else(|_| DataAnswer::failed(BROKE_OFF)))
                });
            }
            Some(answer) = answers.join_next() => {
                // Nobody aborts these tasks one by one, and what panics is caught.
                let Ok((number, answer)) = answer else { continue };
                under_way.remove(&number);
                let reply = DataReply::Answered { number, answer };
                send.send(reply.into()).await.map_err(|_| lost("the stream closed"))?;
            }
        }
    }
}
