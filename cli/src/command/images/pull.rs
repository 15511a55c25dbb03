//! Images that come here, or are only read to see whether they could.

use std::path::Path;

use kiln_agent::image::{Patience, PeoplesImages, PullError, Pulled, Transfer, pull as bring};
use kiln_plan::byte_count::in_words;
use kiln_plan::event::ProgressUnit;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{ImagesError, is_data, words};
use crate::arguments::farm::ChosenFarm;
use crate::arguments::images::PullArguments;
use crate::exit_code::Ended;
use crate::farm_connection;
use crate::interrupt::Interrupts;
use crate::render::{Movement, Screen};

/// `kiln images pull`
pub(super) async fn pull(
    images: (PeoplesImages, &ChosenFarm),
    arguments: &PullArguments,
    screen: &Screen,
) -> Result<Ended, ImagesError> {
    let pulled = read(images, (&arguments.image, Some(&arguments.into)), screen).await?;
    let image = &pulled.image;
    if is_data(screen) {
        let mut object = words::object(image);
        object["paths"] = json!(pulled.files);
        object["received"] = json!(pulled.received);
        screen.object(&object);
        return Ok(Ended::Well);
    }
    let came = in_words(pulled.received);
    screen.say(&format!("Pulled {}:{}; {came} came from the object store:", image.name, image.version));
    for (path, file) in pulled.files.iter().zip(&pulled.manifest.head.files) {
        screen.note(&format!("  {}  {}", path.display(), in_words(file.size)));
    }
    Ok(Ended::Well)
}

/// `kiln images verify -deep`
pub(super) async fn check(
    images: (PeoplesImages, &ChosenFarm),
    image: &str,
    screen: &Screen,
) -> Result<Ended, ImagesError> {
    let checked = read(images, (image, None), screen).await?;
    let chunks = checked.manifest.chunks.len();
    if is_data(screen) {
        screen.object(
            &json!({ "image": image, "chunks": chunks, "received": checked.received, "problems": [] }),
        );
    } else {
        let came = in_words(checked.received);
        screen.say(&format!("All {chunks} chunks of {image} are as they were sent ({came} read)."));
    }
    Ok(Ended::Well)
}

async fn read(
    (images, farm): (PeoplesImages, &ChosenFarm),
    what: (&str, Option<&Path>),
    screen: &Screen,
) -> Result<Pulled, ImagesError> {
    // A coordinator that keeps objects in a directory hands them out itself, under the farm's own authority.
    let authorities = farm_connection::authorities(farm).await?;
    let transfer = Transfer::new(&authorities, Patience::default())?;
    let cancel = CancellationToken::new();
    let mut interrupts = Interrupts::listen().map_err(ImagesError::Signals)?;
    let label = what.0.to_owned();
    let progress = |done, total| {
        let movement = Movement { label: &label, done, total: Some(total), unit: ProgressUnit::Bytes };
        screen.progress(0, &movement);
    };
    let work = bring(images, &transfer, what, &progress, &cancel);
    let mut work = std::pin::pin!(work);
    let pulled = tokio::select! {
        pulled = &mut work => pulled,
        _ = interrupts.next() => {
            cancel.cancel();
            tokio::select! {
                pulled = work => pulled,
                _ = interrupts.next() => Err(PullError::Cancelled),
            }
        }
    };
    screen.settle();
    Ok(pulled?)
}
