//! An agent, put together: its link, and the attempts under way.
//!
//! ```text
//!   coordinator ◄── link ──► Hands ──► Underway: one attempt::run each
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use kiln_plan::id::AgentId;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::attempts::{Hands, Underway};
use crate::catalog::Factories;
use crate::link::{self, Hello, LinkEnd};

/// What an agent is told about its machine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name shown to people.
    pub name: String,
    /// How many tasks it takes at once.
    pub slots: u32,
    /// The machine's cache.
    pub cache_dir: PathBuf,
    /// Where journals and scratch directories lie.
    pub run_dir: PathBuf,
}

/// A running agent. Dropping it breaks the link off; [`Agent::drain`] ends it in order.
#[derive(Debug)]
pub struct Agent {
    underway: Arc<Underway>,
    drain: CancellationToken,
    link: tokio::task::JoinHandle<LinkEnd>,
    _abort: DropGuard,
}

impl Agent {
    /// Starts an agent that speaks to its coordinator over `channel`.
    pub fn start(settings: Settings, factories: Arc<Factories>, channel: Channel) -> Self {
        let hello = Hello {
            agent: AgentId::new(Uuid::now_v7()),
            name: settings.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            slots: settings.slots,
            labels: std::collections::BTreeMap::new(),
            cpus: 0,
            memory_mib: 0,
            catalog: factories.catalog().into(),
            arch: String::new(),
            accelerators: std::collections::BTreeSet::new(),
            disk_mib: 0,
            tools: std::collections::BTreeMap::new(),
        };
        let underway = Underway::new(settings, factories);
        let (drain, abort) = (CancellationToken::new(), CancellationToken::new());
        let hands = Arc::new(Hands(Arc::clone(&underway)));
        let kept = link::run(channel, hello, (hands.clone(), hands), drain.clone());
        let aborted = abort.clone();
        let link = tokio::spawn(async move {
            tokio::select! {
                end = kept => end,
                () = aborted.cancelled() => LinkEnd::Left,
            }
        });
        Self { underway, drain, link, _abort: abort.drop_guard() }
    }

    /// Takes nothing new, finishes what is under way, and says goodbye.
    pub async fn drain(self) {
        self.drain.cancel();
        // A link that broke off has nothing more to say.
        let _ = self.link.await;
        self.underway.all_ended().await;
    }
}
