//! The farm of one: a coordinator and an agent in this process. They are the genuine ones and speak the genuine
//! protocol; only the wire is made in memory.

use std::sync::Arc;
use std::time::Duration;

use kiln_agent::agent::{Agent, Settings as AgentSettings};
use kiln_config::Answers;
use kiln_coordinator::{
    Asked, ConnectError, Coordinator, Evaluated, Evaluator, Handle, Settings, StartError,
};

use crate::evaluation::{Depth, LocalEvaluation};
use crate::farm_client::FarmClient;
use crate::{farm_connection, run_directory};

/// Nothing is under way any more when the farm is stopped, so its parts have little to finish.
const GRACE: Duration = Duration::from_secs(2);

/// More tasks than anybody starts at once: on one machine only `-parallel-builds` limits them, as in Packer.
const SLOTS: u32 = 1 << 20;

/// A coordinator and an agent.
#[derive(Debug)]
pub(crate) struct FarmOfOne {
    coordinator: Handle,
    agent: Agent,
    client: FarmClient,
}

/// Why the farm of one can't start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FarmOfOneError {
    /// Its coordinator can't.
    #[error("cannot start the coordinator of this run")]
    Coordinator(#[from] StartError),
    /// Its halves can't reach each other.
    #[error("cannot connect the halves of this run")]
    Connect(#[from] ConnectError),
}

impl FarmOfOne {
    /// Starts it; ready at once.
    pub(crate) async fn start(evaluation: LocalEvaluation) -> Result<Self, FarmOfOneError> {
        let factories = evaluation.factories();
        let coordinator = Coordinator::start(Settings::farm_of_one(), Arc::new(evaluation)).await?;
        let settings = AgentSettings {
            name: "this machine".to_owned(),
            slots: SLOTS,
            cache_dir: run_directory::cache(),
            run_dir: run_directory::path(),
        };
        let agent = Agent::start(settings, factories, coordinator.connect().await?);
        let client = FarmClient::new(farm_connection::within(coordinator.connect().await?));
        Ok(Self { coordinator, agent, client })
    }

    /// For asking it for builds.
    pub(crate) fn client(&self) -> FarmClient {
        self.client.clone()
    }

    /// Ends it in order.
    pub(crate) async fn stop(self) {
        self.agent.drain().await;
        self.coordinator.shut_down(GRACE).await;
    }
}

impl Evaluator for LocalEvaluation {
    fn evaluate(&self, asked: &Asked<'_>) -> Evaluated {
        let mut answers = Answers::none();
        asked.answers.iter().for_each(|(query, answer)| answers.take(query, answer.clone()));
        match serde_json::from_slice(asked.request) {
            Ok(request) => self.run(&request, Depth::Full, &answers),
            Err(error) => Evaluated {
                diagnostics: kiln_lang::Diagnostic::error("Unreadable request", error.to_string()).into(),
                ..Evaluated::default()
            },
        }
    }
}
