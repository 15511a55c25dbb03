//! `kiln images`: what a farm has published, and how it comes here or goes.

mod pull;
mod words;

use std::time::Duration;

use kiln_agent::image::{PeoplesImages, PullError, TransferError};
use kiln_plan::byte_count::in_words;
use kiln_plan::fault::chain;
use kiln_proto::image::{ImageFormatError, ImageManifest, ImageRecord};
use kiln_proto::v1::images_client::ImagesClient;
use kiln_proto::{ConvertError, MESSAGE_LIMIT, Problem, v1};
use serde_json::json;
use tonic::{Response, Status};

use crate::arguments::farm::ChosenFarm;
use crate::arguments::images::{GcArguments, ImagesArguments, ImagesCommand};
use crate::exit_code::Ended;
use crate::farm_connection::{self, NoConnection};
use crate::render::{Reader, Screen};
use crate::runtime;

/// Why a command about images failed.
#[derive(Debug, thiserror::Error)]
enum ImagesError {
    /// The farm said no, or is not there.
    #[error(transparent)]
    Farm(#[from] Problem),
    /// Nobody says whom to trust.
    #[error(transparent)]
    Connection(#[from] NoConnection),
    /// Its answer makes no sense.
    #[error("the farm's answer can't be read")]
    Answer(#[from] ConvertError),
    /// Nor does a manifest.
    #[error("the image's manifest can't be read")]
    Manifest(#[from] ImageFormatError),
    /// No bytes come.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// It did not come whole.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// Signals can't be heard.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
}

/// Does what was asked for.
pub(crate) fn run(arguments: &ImagesArguments, screen: &Screen) -> Ended {
    let Some(farm) = arguments.common().farm.chosen() else {
        screen.error(
            "images live on a farm, and none is named; write -farm https://HOST:PORT or set KILN_FARM",
        );
        return Ended::Failed;
    };
    let ended = runtime::run(Duration::ZERO, async {
        match farm_connection::open(&farm) {
            Ok(connection) => {
                let images = ImagesClient::new(connection).max_decoding_message_size(MESSAGE_LIMIT);
                carry_out(&arguments.command, (images, &farm), screen).await.map_err(|error| chain(&error))
            }
            Err(error) => Err(chain(&error)),
        }
    });
    screen.settle();
    ended.flatten().unwrap_or_else(|told| {
        screen.error(&told);
        Ended::Failed
    })
}

async fn carry_out(
    command: &ImagesCommand,
    (images, farm): (PeoplesImages, &ChosenFarm),
    screen: &Screen,
) -> Result<Ended, ImagesError> {
    match command {
        ImagesCommand::List(arguments) => {
            list(images, arguments.name.as_deref().unwrap_or_default(), screen).await
        }
        ImagesCommand::Show(arguments) => show(images, &arguments.image, screen).await,
        ImagesCommand::Pull(arguments) => pull::pull((images, farm), arguments, screen).await,
        ImagesCommand::Verify(arguments) if arguments.deep => {
            pull::check((images, farm), &arguments.image, screen).await
        }
        ImagesCommand::Verify(arguments) => verify(images, &arguments.image, screen).await,
        ImagesCommand::Delete(arguments) => delete(images, &arguments.image, screen).await,
        ImagesCommand::Gc(arguments) => collect(images, arguments, screen).await,
    }
}

fn answered<T>(answer: Result<Response<T>, Status>) -> Result<T, ImagesError> {
    Ok(answer.map_err(Problem::from)?.into_inner())
}

fn record(record: Option<v1::ImageRecord>) -> Result<ImageRecord, ImagesError> {
    let missing = ConvertError::Missing { message: "the answer", field: "image" };
    Ok(record.ok_or(missing)?.try_into()?)
}

fn is_data(screen: &Screen) -> bool {
    screen.look().reader == Reader::Json
}

async fn list(mut images: PeoplesImages, name: &str, screen: &Screen) -> Result<Ended, ImagesError> {
    let listed = answered(images.list_images(v1::ListImagesRequest { name: name.to_owned() }).await)?;
    let listed = listed.images.into_iter().map(ImageRecord::try_from);
    let listed: Vec<ImageRecord> = listed.collect::<Result<_, ConvertError>>()?;
    if is_data(screen) {
        listed.iter().for_each(|image| screen.object(&words::object(image)));
    } else if listed.is_empty() {
        screen.say("There are no images.");
    } else {
        screen.raw(&words::table(&listed));
    }
    Ok(Ended::Well)
}

async fn show(mut images: PeoplesImages, image: &str, screen: &Screen) -> Result<Ended, ImagesError> {
    let request = v1::ShowImageRequest { image: image.to_owned() };
    let shown = answered(images.show_image(request).await)?;
    let image = record(shown.image)?;
    let manifest = ImageManifest::decode(&shown.manifest)?;
    if is_data(screen) {
        let mut object = words::object(&image);
        object["manifest"] = json!(manifest.head);
        screen.object(&object);
    } else {
        screen.raw(&words::page(&image, &manifest));
    }
    Ok(Ended::Well)
}

async fn verify(mut images: PeoplesImages, image: &str, screen: &Screen) -> Result<Ended, ImagesError> {
    let request = v1::VerifyImageRequest { image: image.to_owned() };
    let v1::VerifyImageReply { packs, problems } = answered(images.verify_image(request).await)?;
    if is_data(screen) {
        screen.object(&json!({ "image": image, "packs": packs, "problems": problems }));
    } else if problems.is_empty() {
        screen.say(&format!("All {packs} packs that {image} needs are in the object store."));
    } else {
        problems.iter().for_each(|problem| screen.error(problem));
    }
    Ok(if problems.is_empty() { Ended::Well } else { Ended::Failed })
}

async fn delete(mut images: PeoplesImages, image: &str, screen: &Screen) -> Result<Ended, ImagesError> {
    let request = v1::DeleteImageRequest { image: image.to_owned() };
    let image = record(answered(images.delete_image(request).await)?.image)?;
    if is_data(screen) {
        screen.object(&words::object(&image));
    } else {
        screen.say(&format!("Deleted {}:{}. Its bytes go with the next gc.", image.name, image.version));
    }
    Ok(Ended::Well)
}

async fn collect(
    mut images: PeoplesImages,
    arguments: &GcArguments,
    screen: &Screen,
) -> Result<Ended, ImagesError> {
    let grace_ms = arguments.grace.map(|grace| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
    let request = v1::CollectGarbageRequest { dry_run: arguments.dry_run, grace_ms };
    let done = answered(images.collect_garbage(request).await)?;
    if is_data(screen) {
        screen.object(&json!({
            "dry_run": arguments.dry_run,
            "packs": done.packs,
            "bytes": done.bytes,
            "kept_packs": done.kept_packs,
            "kept_bytes": done.kept_bytes,
        }));
        return Ok(Ended::Well);
    }
    let what = if arguments.dry_run { "Would delete" } else { "Deleted" };
    screen.say(&format!(
        "{what} {} packs ({}); {} packs ({}) stay.",
        done.packs,
        in_words(done.bytes),
        done.kept_packs,
        in_words(done.kept_bytes)
    ));
    Ok(Ended::Well)
}
