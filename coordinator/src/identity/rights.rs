//! Who may do what: one table, checked in one place. What isn't in it nobody may do.
//!
//! A role for projects is enough where the table asks for a role: what belongs to a project is then checked against
//! the projects of the caller ([`Caller::may_in`]), what belongs to the whole farm needs the role in all of them.

use kiln_model::{Projects, Role};
use kiln_plan::id::{AgentId, BuildId};
use kiln_proto::{Code, Problem};

use super::caller::Caller;
use crate::Coordinator;

/// What a method asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: newcomers call it, and show a token in the request, or it tells nothing.
    Nothing,
    /// To be an agent.
    Agent,
    /// To be a coordinator.
    Coordinator,
    /// To be a person with this role in some project, or in the process.
    Role(Role),
    /// To be a person with this role in all projects, or in the process.
    FarmRole(Role),
}

/// What calling a method amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It looks.
    Reads,
    /// It changes something: each call is in the audit.
    Changes,
    /// It goes on for long: it ends when its caller is no longer believed.
    Streams,
}

/// One method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its path, as in HTTP/2.
    pub path: &'static str,
    /// What it asks.
    pub need: Need,
    /// What it amounts to.
    pub effect: Effect,
}

const fn row(path: &'static str, need: Need, effect: Effect) -> Row {
    Row { path, need, effect }
}

use self::Effect::{Changes, Reads, Streams};
use self::Need::{Agent, FarmRole, Nothing};
use kiln_model::Role::{Builder, Operator, Viewer};

/// Every method of every service.
pub const TABLE: &[Row] = &[
    row("/kiln.v1.Submission/Submit", Need::Role(Builder), Changes),
    row("/kiln.v1.Submission/Follow", Need::Role(Viewer), Streams),
    row("/kiln.v1.Submission/Cancel", Need::Role(Builder), Changes),
    row("/kiln.v1.Submission/Answer", Need::Role(Builder), Changes),
    row("/kiln.v1.Submission/AskData", Need::Role(Builder), Changes),
    row("/kiln.v1.Submission/FindBundle", Need::Role(Builder), Reads),
    row("/kiln.v1.Submission/PutBundle", Need::Role(Builder), Changes),
    row("/kiln.v1.Farm/GetOverview", Need::Role(Viewer), Reads),
    row("/kiln.v1.Farm/ListBuilds", Need::Role(Viewer), Reads),
    row("/kiln.v1.Farm/GetBuild", Need::Role(Viewer), Reads),
    row("/kiln.v1.Farm/ListAgents", Need::Role(Viewer), Reads),
    row("/kiln.v1.Farm/ListMembers", Need::Role(Viewer), Reads),
    row("/kiln.v1.Farm/Explain", Need::Role(Viewer), Reads),
    row("/kiln.v1.Farm/SetDraining", FarmRole(Operator), Changes),
    row("/kiln.v1.Farm/RemoveMember", FarmRole(Operator), Changes),
    row("/kiln.v1.AgentLink/Synchronize", Agent, Streams),
    row("/kiln.v1.AgentLink/AppendEvents", Agent, Streams),
    row("/kiln.v1.AgentLink/AnswerQuestions", Agent, Streams),
    row("/kiln.v1.AgentLink/FetchBundle", Agent, Reads),
    row("/kiln.v1.Images/FindChunks", Agent, Reads),
    row("/kiln.v1.Images/GrantPacks", Agent, Changes),
    row("/kiln.v1.Images/FinishPacks", Agent, Changes),
    row("/kiln.v1.Images/Publish", Agent, Changes),
    row("/kiln.v1.Images/ListImages", Need::Role(Viewer), Reads),
    row("/kiln.v1.Images/ShowImage", Need::Role(Viewer), Reads),
    row("/kiln.v1.Images/GrantPull", Need::Role(Viewer), Changes),
    row("/kiln.v1.Images/VerifyImage", Need::Role(Builder), Reads),
    row("/kiln.v1.Images/DeleteImage", Need::Role(Operator), Changes),
    row("/kiln.v1.Images/CollectGarbage", FarmRole(Operator), Changes),
    row("/kiln.v1.Identity/Enrol", Nothing, Changes),
    row("/kiln.v1.Identity/Renew", Nothing, Changes),
    row("/kiln.v1.Identity/JoinCoordinator", Nothing, Changes),
    row("/kiln.v1.Identity/Announce", Need::Coordinator, Changes),
    row("/kiln.v1.Identity/CreateToken", FarmRole(Operator), Changes),
    row("/kiln.v1.Identity/ListTokens", FarmRole(Operator), Reads),
    row("/kiln.v1.Identity/RevokeToken", FarmRole(Operator), Changes),
    row("/kiln.v1.Identity/RevokeAgent", FarmRole(Operator), Changes),
    row("/kiln.v1.Identity/RevokeCoordinator", FarmRole(Operator), Changes),
    row("/kiln.v1.Identity/WhoAmI", Nothing, Reads),
    row("/kiln.v1.Peer/Append", Need::Coordinator, Reads),
    row("/kiln.v1.Peer/Vote", Need::Coordinator, Reads),
    row("/kiln.v1.Peer/InstallSnapshot", Need::Coordinator, Reads),
    row("/kiln.v1.Peer/Canvass", Need::Coordinator, Reads),
];

/// The row of a method.
pub fn of(path: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.path == path)
}

impl Need {
    /// As people read it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Agent => "agent",
            Self::Coordinator => "coordinator",
            Self::Role(role) => role.word(),
            Self::FarmRole(Role::Viewer) => "viewer of all projects",
            Self::FarmRole(Role::Builder) => "builder in all projects",
            Self::FarmRole(Role::Operator) => "operator of all projects",
        }
    }
}

impl Caller {
    /// Whether the caller has what is needed.
    ///
    /// # Errors
    /// What is missing.
    pub fn may(&self, need: Need) -> Result<(), Problem> {
        match (need, self) {
            (Need::Nothing, _) | (_, Self::InProcess) => Ok(()),
            (Need::Agent, Self::Agent(_)) | (Need::Coordinator, Self::Coordinator(_)) => Ok(()),
            (Need::Role(needed), Self::Person { role, .. }) if *role >= needed => Ok(()),
            (Need::FarmRole(needed), Self::Person { role, projects: Projects::All, .. })
                if *role >= needed =>
            {
                Ok(())
            }
            (_, Self::Nobody) => {
                let told = format!("this is only for those who are known ({})", need.words());
                Err(Problem::new(Code::Unidentified, told))
            }
            _ => {
                let told = format!("{self} may not do this; it takes {}", need.article());
                Err(Problem::new(Code::Forbidden, told))
            }
        }
    }

    /// Whether the caller has a role in a project.
    ///
    /// # Errors
    /// What is missing.
    pub fn may_in(&self, needed: Role, project: &str) -> Result<(), Problem> {
        self.may(Need::Role(needed))?;
        match self {
            Self::Person { projects, .. } if !projects.include(project) => {
                Err(Problem::new(Code::Forbidden, format!("{self} may do nothing in project {project:?}")))
            }
            _ => Ok(()),
        }
    }

    /// Whether the caller may speak for an agent: only that agent may.
    ///
    /// # Errors
    /// That it is another.
    pub fn may_speak_for(&self, agent: AgentId) -> Result<(), Problem> {
        match self {
            Self::InProcess => Ok(()),
            Self::Agent(own) if *own == agent => Ok(()),
            _ => Err(Problem::new(Code::Forbidden, format!("{self} may not speak for agent {agent}"))),
        }
    }
}

impl Coordinator {
    /// Whether a caller has a role in the project of a build. Whether there is such a build is not said here.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn may(&self, caller: &Caller, needed: Role, build: BuildId) -> Result<(), Problem> {
        let project = self.ledger.read(|farm| Some(farm.builds().get(&build)?.origin.project.clone()));
        project.map_or(Ok(()), |project| caller.may_in(needed, &project))
    }
}

impl Need {
    fn article(self) -> String {
        let words = self.words();
        let article = if words.starts_with(['a', 'o']) { "an" } else { "a" };
        format!("{article} {words}")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use kiln_plan::id::TokenId;
    use uuid::Uuid;

    use super::*;

    /// `/kiln.v1.Service/Method` of every `.proto` file.
    fn methods() -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/wire/kiln/v1");
        let mut methods = Vec::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let mut service = "";
            for line in text.lines() {
                let words: Vec<&str> =
                    line.split(|c: char| " ({".contains(c)).filter(|w| !w.is_empty()).collect();
                match words.as_slice() {
                    ["service", name, ..] => service = name,
                    ["rpc", name, ..] => methods.push(format!("/kiln.v1.{service}/{name}")),
                    _ => {}
                }
            }
        }
        methods
    }

    #[test]
    fn every_method_has_a_row() {
        let methods = methods();
        assert!(methods.len() > 20, "{methods:?}");
        let missing: Vec<_> = methods.iter().filter(|method| of(method).is_none()).collect();
        assert!(missing.is_empty(), "nobody may call {missing:?}: say in the table who may");
    }

    #[test]
    fn the_documented_rights_are_those_of_the_table() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md");
        let page = std::fs::read_to_string(page).unwrap();
        let line =
            |row: &Row| format!("| {} | {} |", row.path.trim_start_matches("/kiln.v1."), row.need.words());
        let missing: Vec<_> = TABLE.iter().map(line).filter(|line| !page.contains(line)).collect();
        assert!(missing.is_empty(), "docs/security.md lacks:\n{}", missing.join("\n"));
    }

    fn person(role: Role, projects: &[&str]) -> Caller {
        let names = projects.iter().map(|name| (*name).to_owned()).collect();
        let projects = if projects.is_empty() { Projects::All } else { Projects::Named(names) };
        Caller::Person { token: TokenId::new(Uuid::nil()), name: "ci".into(), role, projects }
    }

    #[test]
    fn roles_include_the_smaller_ones_and_projects_bound_them() {
        let agent = Caller::Agent(AgentId::new(Uuid::nil()));
        let viewer = person(Role::Viewer, &[]);
        let builder = person(Role::Builder, &["web"]);
        let operator = person(Role::Operator, &[]);
        let known = "this is only for those who are known (viewer)";
        let table = [
            (&viewer, Need::Role(Role::Viewer), ""),
            (
                &viewer,
                Need::Role(Role::Builder),
                "ci (viewer in all projects) may not do this; it takes a builder",
            ),
            (&builder, Need::Role(Role::Viewer), ""),
            (
                &builder,
                Need::FarmRole(Role::Viewer),
                "ci (builder in web) may not do this; it takes a viewer of all projects",
            ),
            (&operator, Need::FarmRole(Role::Operator), ""),
            (&operator, Need::Agent, "ci (operator in all projects) may not do this; it takes an agent"),
            (&agent, Need::Agent, ""),
            (
                &agent,
                Need::Role(Role::Viewer),
                "agent 00000000-0000-0000-0000-000000000000 may not do this; it takes a viewer",
            ),
            (&Caller::Coordinator(2), Need::Agent, "coordinator 2 may not do this; it takes an agent"),
            (&Caller::InProcess, Need::Agent, ""),
            (&Caller::InProcess, Need::FarmRole(Role::Operator), ""),
            (&Caller::Nobody, Need::Nothing, ""),
            (&Caller::Nobody, Need::Role(Role::Viewer), known),
        ];
        for (caller, need, expected) in table {
            let told = caller.may(need).err().map(|problem| problem.message).unwrap_or_default();
            assert_eq!(told, expected, "{caller} {need:?}");
        }
        let where_may = |project| builder.may_in(Role::Builder, project).is_ok();
        assert_eq!((where_may("web"), where_may("db")), (true, false));
        assert!(viewer.may_in(Role::Viewer, "db").is_ok());
        let other = AgentId::new(Uuid::from_u128(1));
        assert_eq!(
            (agent.may_speak_for(other).is_ok(), Caller::InProcess.may_speak_for(other).is_ok()),
            (false, true)
        );
    }
}
