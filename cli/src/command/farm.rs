//! `kiln farm`: what people see of a farm, and how they steer it.

mod logs;
mod tables;
mod token;

use std::time::Duration;

use kiln_plan::fault::chain;
use kiln_proto::v1::farm_client::FarmClient as FarmService;
use kiln_proto::v1::identity_client::IdentityClient;
use kiln_proto::{Problem, transport, v1, view};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::{Response, Status};

use crate::arguments::farm::{FarmCommand, FarmCommandArguments};
use crate::exit_code::Ended;
use crate::farm_connection::{self, Connection};
use crate::patience::Patience;
use crate::render::{Reader, Screen};
use crate::runtime;

/// How long a farm that doesn't answer is asked again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a command about a farm failed.
#[derive(Debug, thiserror::Error)]
enum FarmCommandError {
    /// The farm said no, or went away.
    #[error(transparent)]
    Farm(#[from] Problem),
    /// Nobody is there.
    #[error(transparent)]
    Absent(Problem),
    /// Its answer makes no sense.
    #[error("the farm's answer can't be read")]
    Answer(#[from] serde_json::Error),
    /// The words do.
    #[error("{0}")]
    Words(String),
}

impl From<Status> for FarmCommandError {
    fn from(status: Status) -> Self {
        if transport::is_absence(&status) { Self::Absent(status.into()) } else { Self::Farm(status.into()) }
    }
}

type Done = Result<Ended, FarmCommandError>;

/// Does what was asked for.
pub(crate) fn run(arguments: &FarmCommandArguments, screen: &Screen) -> Ended {
    let Some(farm) = arguments.farm.chosen() else {
        screen.complain("no farm is named; write -farm https://HOST:PORT or set KILN_FARM");
        return Ended::Failed;
    };
    let ended = runtime::run(Duration::ZERO, async {
        match farm_connection::open(&farm) {
            Ok(connection) => {
                let done = carry_out_patiently(&arguments.command, &connection, screen).await;
                done.map_err(|error| chain(&error))
            }
            Err(error) => Err(chain(&error)),
        }
    });
    ended.flatten().unwrap_or_else(|why| {
        screen.complain(&why);
        Ended::Failed
    })
}

/// Tries again for a moment while nobody is there: a coordinator that was started the line before needs one until it listens.
async fn carry_out_patiently(command: &FarmCommand, connection: &Connection, screen: &Screen) -> Done {
    let mut patience = Patience::of(PATIENCE);
    let mut told = false;
    loop {
        let absent = match carry_out(command, connection.clone(), screen).await {
            Err(FarmCommandError::Absent(absent)) => absent,
            done => return done,
        };
        if !std::mem::replace(&mut told, true) {
            screen.complain(&format!("{absent}; trying again for some seconds"));
        }
        if !patience.pause().await {
            return Err(FarmCommandError::Absent(absent));
        }
    }
}

async fn carry_out(command: &FarmCommand, connection: Connection, screen: &Screen) -> Done {
    let mut farm = FarmService::new(connection.clone());
    match command {
        FarmCommand::Status => {
            let seen = farm.get_overview(v1::GetOverviewRequest {}).await?;
            show(screen, &read::<view::Overview>(seen)?, tables::overview)
        }
        FarmCommand::Builds(asked) => {
            let asked = v1::ListBuildsRequest { most: asked.most, running: asked.running };
            show(screen, &read::<Vec<view::Build>>(farm.list_builds(asked).await?)?, |builds| {
                tables::builds(builds)
            })
        }
        FarmCommand::Agents => {
            let seen = farm.list_agents(v1::ListAgentsRequest {}).await?;
            show(screen, &read::<Vec<view::Agent>>(seen)?, |agents| tables::agents(agents))
        }
        FarmCommand::Members => {
            let seen = farm.list_members(v1::ListMembersRequest {}).await?;
            show(screen, &read::<Vec<view::Member>>(seen)?, |members| tables::members(members))
        }
        FarmCommand::Explain(asked) => {
            let seen = farm.explain(v1::ExplainRequest { build: asked.build.clone() }).await?;
            show(screen, &read::<Vec<view::Explanation>>(seen)?, |told| tables::explanations(told))
        }
        FarmCommand::Drain(asked) => set_draining(farm, &asked.agent, true).await,
        FarmCommand::Undrain(asked) => set_draining(farm, &asked.agent, false).await,
        FarmCommand::RemoveMember(asked) => {
            farm.remove_member(v1::RemoveMemberRequest { member: asked.member }).await?;
            Ok(Ended::Well)
        }
        FarmCommand::RevokeAgent(asked) => {
            let request = v1::RevokeAgentRequest { agent: asked.agent.clone() };
            IdentityClient::new(connection).revoke_agent(request).await?;
            Ok(Ended::Well)
        }
        FarmCommand::Cancel(asked) => logs::cancel(connection, &asked.build).await,
        FarmCommand::Logs(asked) => logs::follow(connection, &asked.build, screen).await,
        FarmCommand::Token(asked) => token::run(&asked.command, connection, screen).await,
    }
}

async fn set_draining(mut farm: FarmService<Connection>, agent: &str, draining: bool) -> Done {
    farm.set_draining(v1::SetDrainingRequest { agent: agent.to_owned(), draining }).await?;
    Ok(Ended::Well)
}

fn read<T: DeserializeOwned>(seen: Response<v1::View>) -> Result<T, FarmCommandError> {
    Ok(serde_json::from_slice(&seen.into_inner().json)?)
}

/// Shows a view: its JSON to programs, a table to people.
fn show<T: Serialize>(screen: &Screen, view: &T, table: impl FnOnce(&T) -> String) -> Done {
    match screen.look().reader {
        Reader::Json => screen.object(&serde_json::to_value(view)?),
        _ => screen.say(&table(view)),
    }
    Ok(Ended::Well)
}
