//! The service of images: each method reads its words, calls, and writes the answer.

use std::sync::Arc;
use std::time::Duration;

use kiln_proto::convert::image::packs;
use kiln_proto::image::{Claim, FinishedPack, Grant, PackFacts, found_in};
use kiln_proto::v1::images_server::Images;
use kiln_proto::{Problem, v1};
use tonic::{Request, Response, Status};

use crate::identity::Caller;
use crate::identity::layer::about;
use crate::{Coordinator, images};

/// How long links last that are told here; the links themselves last a little longer.
const TOLD_LIFE: Duration = Duration::from_secs(14 * 60);

/// The service.
#[derive(Debug)]
pub(super) struct Service {
    coordinator: Arc<Coordinator>,
}

impl Service {
    pub(super) const fn new(coordinator: Arc<Coordinator>) -> Self {
        Self { coordinator }
    }
}

/// The claim of whoever may make it.
fn claimed(caller: &Caller, claim: Option<v1::AttemptClaim>) -> Result<Claim, Problem> {
    let claim = Claim::try_from(claim)?;
    caller.may_speak_for(claim.agent)?;
    Ok(claim)
}

fn grants(grants: Vec<Grant>) -> Response<v1::GrantsReply> {
    let expires_in_ms = u32::try_from(TOLD_LIFE.as_millis()).unwrap_or(u32::MAX);
    Response::new(v1::GrantsReply { grants: grants.into_iter().map(Into::into).collect(), expires_in_ms })
}

#[tonic::async_trait]
impl Images for Service {
    async fn find_chunks(
        &self,
        request: Request<v1::FindChunksRequest>,
    ) -> Result<Response<v1::FindChunksReply>, Status> {
        let caller = Caller::of(&request);
        let request = request.into_inner();
        let chunks = found_in(&request)?;
        let claim = claimed(&caller, request.claim)?;
        Ok(Response::new(images::find(&self.coordinator, &claim, &chunks).await?.into()))
    }

    async fn grant_packs(
        &self,
        request: Request<v1::GrantPacksRequest>,
    ) -> Result<Response<v1::GrantsReply>, Status> {
        let caller = Caller::of(&request);
        let request = request.into_inner();
        let claim = claimed(&caller, request.claim)?;
        let asked =
            request.packs.into_iter().map(PackFacts::try_from).collect::<Result<Vec<_>, Problem>>()?;
        Ok(grants(images::grant(&self.coordinator, &claim, &asked).await?))
    }

    async fn finish_packs(
        &self,
        request: Request<v1::FinishPacksRequest>,
    ) -> Result<Response<v1::FinishPacksReply>, Status> {
        let caller = Caller::of(&request);
        let request = request.into_inner();
        let claim = claimed(&caller, request.claim)?;
        let sent = request.packs.into_iter().map(FinishedPack::try_from).collect::<Result<_, Problem>>()?;
        let lost = images::finish(&self.coordinator, &claim, sent).await?;
        Ok(Response::new(v1::FinishPacksReply { lost: lost.iter().map(ToString::to_string).collect() }))
    }

    async fn publish(
        &self,
        request: Request<v1::PublishRequest>,
    ) -> Result<Response<v1::PublishReply>, Status> {
        let caller = Caller::of(&request);
        let request = request.into_inner();
        let claim = claimed(&caller, request.claim)?;
        Ok(Response::new(images::publish(&self.coordinator, &claim, request.manifest).await?.into()))
    }

    async fn list_images(
        &self,
        request: Request<v1::ListImagesRequest>,
    ) -> Result<Response<v1::ListImagesReply>, Status> {
        let images = images::list(&self.coordinator, &Caller::of(&request), &request.get_ref().name);
        Ok(Response::new(v1::ListImagesReply { images: images.into_iter().map(Into::into).collect() }))
    }

    async fn show_image(
        &self,
        request: Request<v1::ShowImageRequest>,
    ) -> Result<Response<v1::ShowImageReply>, Status> {
        let (image, manifest) =
            images::show(&self.coordinator, &Caller::of(&request), &request.get_ref().image).await?;
        Ok(Response::new(v1::ShowImageReply { image: Some(image.into()), manifest }))
    }

    async fn grant_pull(
        &self,
        request: Request<v1::GrantPullRequest>,
    ) -> Result<Response<v1::GrantsReply>, Status> {
        let caller = Caller::of(&request);
        let request = request.into_inner();
        let asked = packs(&request.packs)?;
        Ok(grants(images::grant_pull(&self.coordinator, &caller, &request.image, asked).await?))
    }

    async fn verify_image(
        &self,
        request: Request<v1::VerifyImageRequest>,
    ) -> Result<Response<v1::VerifyImageReply>, Status> {
        let (packs, problems) =
            images::verify(&self.coordinator, &Caller::of(&request), &request.get_ref().image).await?;
        Ok(Response::new(v1::VerifyImageReply { packs, problems }))
    }

    async fn delete_image(
        &self,
        request: Request<v1::DeleteImageRequest>,
    ) -> Result<Response<v1::DeleteImageReply>, Status> {
        let image =
            images::delete(&self.coordinator, &Caller::of(&request), &request.get_ref().image).await?;
        let target = format!("image {} ({}.{})", image.image, image.name, image.version);
        Ok(about(v1::DeleteImageReply { image: Some(image.into()) }, target))
    }

    async fn collect_garbage(
        &self,
        request: Request<v1::CollectGarbageRequest>,
    ) -> Result<Response<v1::CollectGarbageReply>, Status> {
        let request = request.into_inner();
        let grace = request.grace_ms.map_or(images::collect::GRACE, Duration::from_millis);
        let done = images::collect::collect(&self.coordinator, request.dry_run, grace).await?;
        Ok(Response::new(v1::CollectGarbageReply {
            packs: done.packs,
            bytes: done.bytes,
            kept_packs: done.kept_packs,
            kept_bytes: done.kept_bytes,
        }))
    }
}
