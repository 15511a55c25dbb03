//! `kiln farm logs` and `kiln farm cancel`: a build that somebody submitted, as its submitter sees it.

use std::time::Instant;

use kiln_plan::id::{BuildId, TaskId};
use kiln_proto::v1::farm_client::FarmClient as FarmService;
use kiln_proto::{v1, view};

use super::{Done, FarmCommandError, read};
use crate::command::build::follow::{Follow, Followed};
use crate::exit_code::Ended;
use crate::farm_client::FarmClient;
use crate::farm_connection::Connection;
use crate::interrupt::Interrupts;
use crate::render::Screen;
use crate::render::run::RunView;

/// Shows all that happened in a build, and what happens until its end. A signal ends the showing, not the build.
pub(super) async fn follow(connection: Connection, build: &str, screen: &Screen) -> Done {
    let asked = v1::GetBuildRequest { build: build.to_owned() };
    let seen = FarmService::new(connection.clone()).get_build(asked).await?;
    let seen: view::Build = read(seen)?;
    let tasks: Vec<(TaskId, String)> = seen.tasks.into_iter().map(|task| (task.id, task.name)).collect();
    let mut interrupts = Interrupts::listen()
        .map_err(|error| FarmCommandError::Words(format!("cannot listen to signals: {error}")))?;
    let mut view = RunView::new(screen, tasks);
    view.header();
    let started = Instant::now();
    let follow = Follow::only_looking(FarmClient::new(connection), seen.id, screen);
    match follow.until_the_end(&mut view, &mut interrupts).await {
        Ok(Followed::ToTheEnd { interrupted }) => Ok(view.finish(started.elapsed(), interrupted)),
        Ok(Followed::Left) => Ok(Ended::Well),
        Err(error) => Err(FarmCommandError::Words(kiln_plan::fault::chain(&error))),
    }
}

/// Ends a build.
pub(super) async fn cancel(connection: Connection, build: &str) -> Done {
    let build: BuildId = build
        .parse()
        .map_err(|_| FarmCommandError::Words(format!("{build:?} is no identifier of a build")))?;
    let cancelled = FarmClient::new(connection).cancel(build).await;
    cancelled.map_err(|error| FarmCommandError::Words(kiln_plan::fault::chain(&error)))?;
    Ok(Ended::Well)
}
