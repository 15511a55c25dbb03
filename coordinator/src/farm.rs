//! What people see and do of the farm as a whole, over gRPC and HTTP alike.

use kiln_model::{Action, IdentityAction, Outcome, Refusal, Role, TaskPhase};
use kiln_plan::id::{AgentId, BuildId};
use kiln_proto::view::{Agent, Build, Explanation, Member, Overview};
use kiln_proto::{Code, Problem};

use crate::identity::Caller;
use crate::ledger::{ChangeError, Leadership};
use crate::{Coordinator, view};

impl Coordinator {
    /// How the farm does.
    pub(crate) fn overview(&self) -> Overview {
        let overview = self.ledger.read(view::overview);
        Overview { members: self.members(), ..overview }
    }

    /// The coordinators.
    pub(crate) fn members(&self) -> Vec<Member> {
        self.ledger.members().iter().map(view::member).collect()
    }

    /// Whether requests are answered.
    ///
    /// # Errors
    /// Why they are not, in words.
    pub(crate) fn readiness(&self) -> Result<(), String> {
        if self.lifecycle.is_closing() {
            return Err("this coordinator is about to stop".to_owned());
        }
        match *self.ledger.leadership().borrow() {
            Leadership::Leads { .. } | Leadership::Follows { .. } => Ok(()),
            Leadership::Nobody => {
                Err("the farm has no leader; is a majority of its coordinators up?".to_owned())
            }
        }
    }

    /// The agents.
    pub(crate) fn agents(&self) -> Vec<Agent> {
        let heard_ago = self.pulse.with(|liveness, now| liveness.heard_ago(now));
        let now = self.clock.now();
        self.ledger.read(|farm| view::agents(farm, now, &heard_ago))
    }

    /// The builds that the caller may see, latest first.
    pub(crate) fn builds(&self, caller: &Caller, most: u32, running: bool) -> Vec<Build> {
        let sees = |build: &kiln_model::Build| caller.may_in(Role::Viewer, &build.origin.project).is_ok();
        self.ledger.read(|farm| {
            view::builds(farm, view::most_builds(most), |build| {
                sees(build) && (!running || !build.is_ended())
            })
        })
    }

    /// One build.
    ///
    /// # Errors
    /// When it isn't known, or the caller may not see it.
    pub(crate) fn build_view(&self, caller: &Caller, build: BuildId) -> Result<Build, Problem> {
        self.may(caller, Role::Viewer, build)?;
        let seen = self.ledger.read(|farm| farm.builds().get(&build).map(|known| view::build(farm, known)));
        seen.ok_or_else(|| unknown(build))
    }

    /// Why the waiting tasks of a build wait.
    ///
    /// # Errors
    /// When it isn't known, or the caller may not see it.
    pub(crate) fn explain(&self, caller: &Caller, build: BuildId) -> Result<Vec<Explanation>, Problem> {
        self.may(caller, Role::Viewer, build)?;
        let now = self.clock.now();
        let seen =
            self.ledger.read(|farm| farm.builds().get(&build).map(|known| view::explain(farm, known, now)));
        let mut seen = seen.ok_or_else(|| unknown(build))?;
        for Explanation { task, reasons, .. } in &mut seen {
            let waits = self.ledger.read(|farm| {
                farm.tasks().get(task).is_some_and(|task| matches!(task.phase, TaskPhase::Queued { .. }))
            });
            // After how long it has waited, and before what keeps agents from it.
            if waits && let Some(why) = self.postponed.why(*task) {
                reasons.insert(reasons.len().min(1), why);
            }
        }
        Ok(seen)
    }

    /// Ends a build. One that has ended stays as it is.
    ///
    /// # Errors
    /// When it isn't known, or the ledger doesn't answer.
    pub(crate) async fn cancel(&self, build: BuildId) -> Result<(), Problem> {
        match self.ledger.propose(Action::Cancel { build }).await? {
            Outcome::Refused(refusal @ Refusal::UnknownBuild(_)) => {
                Err(Problem::from_error(Code::NotFound, &refusal))
            }
            // That it has ended already is what was wanted.
            _ => Ok(()),
        }
    }

    /// Lets an agent, by identifier or name, finish what it has and gives it nothing new; or gives it work again.
    ///
    /// # Errors
    /// When no agent or more than one is called so, or the ledger doesn't answer.
    pub(crate) async fn set_draining(&self, called: &str, draining: bool) -> Result<(), Problem> {
        let agent = self.agent_called(called)?;
        let action = match draining {
            true => Action::DrainAgent { agent },
            false => Action::UndrainAgent { agent },
        };
        match self.ledger.propose(action).await? {
            Outcome::Refused(refusal) => Err(Problem::from_error(Code::Refused, &refusal)),
            _ => Ok(()),
        }
    }

    fn agent_called(&self, called: &str) -> Result<AgentId, Problem> {
        let found: Vec<AgentId> = self.ledger.read(|farm| {
            let all = farm.agents().values();
            all.filter(|agent| agent.name == called || agent.id.to_string() == called)
                .map(|agent| agent.id)
                .collect()
        });
        match found.as_slice() {
            [agent] => Ok(*agent),
            [] => Err(Problem::new(
                Code::NotFound,
                format!("no agent is called {called:?}; `kiln farm agents` lists them"),
            )),
            many => {
                let told = format!("{} agents are called {called:?}; name it by its identifier", many.len());
                Err(Problem::new(Code::Refused, told))
            }
        }
    }

    /// Takes a coordinator out of the farm that is gone for good. Its certificate is worthless from then on: else it
    /// would announce itself again when it is started.
    ///
    /// # Errors
    /// When there is no such coordinator, it is the last, or no quorum agrees.
    pub(crate) async fn remove_member(&self, member: u64) -> Result<(), Problem> {
        let revoke = IdentityAction::RevokeCoordinator { coordinator: member };
        match self.ledger.remove_voter(member).await {
            Ok(()) => {}
            // It was a voter once, or was about to be: its certificate stands as long as nobody says otherwise.
            Err(ChangeError::UnknownMember(_)) => {
                return match self.ledger.propose(Action::Identity(revoke)).await? {
                    Outcome::Refused(refusal) => Err(Problem::from_error(Code::Refused, &refusal)),
                    _ => Ok(()),
                };
            }
            Err(error) => return Err(Problem::from_error(Code::Refused, &error)),
        }
        match self.ledger.propose(Action::Identity(revoke)).await {
            // A farm without certificates has none to revoke.
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, member, "a coordinator was removed, and its certificate stands");
            }
        }
        Ok(())
    }
}

fn unknown(build: BuildId) -> Problem {
    Problem::from_error(Code::NotFound, &Refusal::UnknownBuild(build))
}
