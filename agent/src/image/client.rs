//! The coordinator's service of images, as an attempt uses it: each call has a limit, and is made again while the
//! coordinator is away, for as long as the lease may be held.

use std::time::Duration;

use kiln_proto::image::{ChunkId, Claim, FinishedPack, Found, Grant, PackFacts, Published, find_request};
use kiln_proto::v1::images_client::ImagesClient;
use kiln_proto::{Bytes, Code, MESSAGE_LIMIT, Problem, v1};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Response, Status};

/// How long each answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// The pauses between tries begin and end with these.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Speaks for one attempt.
#[derive(Clone, Debug)]
pub(super) struct Client {
    service: ImagesClient<Channel>,
    claim: Claim,
    /// How long the coordinator may be away.
    patience: Duration,
    cancel: CancellationToken,
}

/// The service over a channel, with room for manifests.
fn service(channel: Channel) -> ImagesClient<Channel> {
    ImagesClient::new(channel)
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT)
}

impl Client {
    pub(super) fn new(channel: Channel, claim: Claim, patience: Duration, cancel: CancellationToken) -> Self {
        Self { service: service(channel), claim, patience, cancel }
    }

    /// Calls until an answer comes that isn't "not now".
    async fn call<T, F>(&self, call: impl Fn(ImagesClient<Channel>) -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let late = |_| Status::unavailable("the coordinator did not answer in time");
            let answer = tokio::select! {
                answer = tokio::time::timeout(ANSWER_LIMIT, call(self.service.clone())) => {
                    answer.map_err(late).and_then(|answer| answer)
                }
                () = self.cancel.cancelled() => Err(Status::failed_precondition("cancelled")),
            };
            let problem = match answer {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) => Problem::from(status),
            };
            let patient = problem.code == Code::Unavailable && begun.elapsed() < self.patience;
            if !patient || self.cancel.is_cancelled() {
                return Err(problem);
            }
            tracing::debug!(%problem, "the coordinator could not answer; asking again");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.cancel.cancelled() => return Err(problem),
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Where chunks are that are there already.
    pub(super) async fn find(&self, chunks: &[ChunkId]) -> Result<Vec<Found>, Problem> {
        let request = find_request(self.claim, chunks.iter().copied());
        let reply = self.call(|mut service| {
            let request = request.clone();
            async move { service.find_chunks(request).await }
        });
        let found: Vec<Found> = reply.await?.try_into()?;
        if found.iter().any(|found| found.position >= chunks.len()) {
            return Err(Problem::new(Code::Invalid, "the coordinator found a chunk that was not asked for"));
        }
        Ok(found)
    }

    /// A link to send a pack by.
    pub(super) async fn grant(&self, pack: PackFacts) -> Result<Grant, Problem> {
        let request = v1::GrantPacksRequest { claim: Some(self.claim.into()), packs: vec![pack.into()] };
        let reply = self.call(|mut service| {
            let request = request.clone();
            async move { service.grant_packs(request).await }
        });
        let none = || Problem::new(Code::Invalid, "the coordinator granted nothing");
        Ok(reply.await?.grants.into_iter().next().ok_or_else(none)?.try_into()?)
    }

    /// Says that a pack was sent; whether it is there.
    pub(super) async fn finish(&self, pack: &FinishedPack) -> Result<bool, Problem> {
        let request = v1::FinishPacksRequest { claim: Some(self.claim.into()), packs: vec![pack.into()] };
        let reply = self.call(|mut service| {
            let request = request.clone();
            async move { service.finish_packs(request).await }
        });
        Ok(reply.await?.lost.is_empty())
    }

    /// Asks to make an image visible.
    pub(super) async fn publish(&self, manifest: Bytes) -> Result<Published, Problem> {
        let request = v1::PublishRequest { claim: Some(self.claim.into()), manifest };
        let reply = self.call(|mut service| {
            let request = request.clone();
            async move { service.publish(request).await }
        });
        Ok(reply.await?.try_into()?)
    }
}
