//! Newcomers join, certificates are renewed, operators make and revoke.

use std::sync::Arc;

use kiln_model::{Action, IdentityAction, Joined, Newcomer, Outcome, Projects, Role, TokenRecord, TokenUse};
use kiln_plan::id::{AgentId, TokenId};
use kiln_proto::token::{Token, TokenKind};
use kiln_proto::transport::{Ended, Endpoint, Peer};
use kiln_proto::v1::identity_server::Identity;
use kiln_proto::{Code, Problem, convert, v1};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::Coordinator;
use crate::identity::authority::{Authority, Certified, Requested, Subject};
use crate::identity::caller::Caller;
use crate::identity::layer::about;
use crate::identity::{AuthorityError, tokens};

/// The most characters of an address or a name in a request.
const TEXT: usize = 255;

/// How long after its end an agent's certificate still serves to ask for another, in seconds: a machine that was off
/// for a holiday comes back by itself.
const RETURN_WITHIN: i64 = 30 * 24 * 3_600;

/// The service.
#[derive(Debug)]
pub(super) struct Service {
    coordinator: Arc<Coordinator>,
}

impl Service {
    pub(super) const fn new(coordinator: Arc<Coordinator>) -> Self {
        Self { coordinator }
    }

    fn authority(&self) -> Result<Arc<Authority>, Problem> {
        let authority = self.coordinator.ledger.read(|farm| self.coordinator.identity.authority(farm));
        authority.map_err(|error| problem(&error))
    }

    async fn change(&self, action: IdentityAction) -> Result<Outcome, Problem> {
        match self.coordinator.ledger.propose(Action::Identity(action)).await? {
            Outcome::Refused(refusal) => Err(Problem::from_error(Code::Refused, &refusal)),
            outcome => Ok(outcome),
        }
    }

    /// Uses a token up.
    async fn admit(
        &self,
        text: &str,
        kind: TokenKind,
        (requested, newcomer): (&Requested, Newcomer),
    ) -> Result<Joined, Problem> {
        let token: Token = text.parse().map_err(|error| Problem::from_error(Code::Unidentified, &error))?;
        if token.kind() != kind {
            let told = "the token is for something else; ask an operator for one of the right kind";
            return Err(Problem::new(Code::Unidentified, told));
        }
        let (secret, key) = (token.digest(), requested.digest());
        let admit = IdentityAction::UseJoinToken { token: token.id(), secret, key, newcomer };
        match self.change(admit).await? {
            Outcome::Joined(joined) => Ok(joined),
            other => Err(Problem::new(Code::Internal, format!("joining came to {other:?}"))),
        }
    }

    fn agent(&self, agent: AgentId) -> Subject {
        Subject {
            peer: Peer::Agent(agent),
            names: Vec::new(),
            life: self.coordinator.settings.certificates.agent,
        }
    }

    fn certify(&self, requested: &Requested, subject: &Subject) -> Result<(Certified, String), Problem> {
        let authority = self.authority()?;
        let certified = authority.certify(requested, subject, self.coordinator.clock.now());
        certified.map(|certified| (certified, authority.pem().to_owned())).map_err(|error| problem(&error))
    }

    /// Who asks for a new certificate, by the connection or by a certificate that has ended.
    fn renewing(&self, caller: &Caller, ended: &str, requested: &Requested) -> Result<AgentId, Problem> {
        let told = |text: &str| Problem::new(Code::Unidentified, text.to_owned());
        match caller {
            Caller::Agent(agent) => return Ok(*agent),
            Caller::Nobody if !ended.is_empty() => {}
            _ => return Err(told("only agents renew their certificates here")),
        }
        let authority = self.authority()?;
        let ended = Ended::verify(ended, authority.pem());
        let ended = ended.map_err(|error| Problem::from_error(Code::Unidentified, &error))?;
        let Peer::Agent(agent) = ended.peer else {
            return Err(told("only agents come back with a certificate that has ended"));
        };
        if ended.key != requested.digest() {
            return Err(told("a certificate that has ended serves only for the key that it was made for"));
        }
        let now = i64::try_from(self.coordinator.clock.now().0 / 1_000).unwrap_or(i64::MAX);
        if now.saturating_sub(ended.expires) > RETURN_WITHIN {
            return Err(told("the certificate ended more than 30 days ago; enrol anew with a token"));
        }
        let revoked = self.coordinator.ledger.read(|farm| farm.identities().is_agent_revoked(agent));
        if revoked {
            let refusal = kiln_model::IdentityRefusal::AgentRevoked(agent);
            return Err(Problem::from_error(Code::Unidentified, &refusal));
        }
        Ok(agent)
    }
}

fn problem(error: &AuthorityError) -> Problem {
    let code = match error {
        AuthorityError::Request(_) | AuthorityError::TooLarge(_) => Code::Invalid,
        AuthorityError::NotFounded => Code::Refused,
        _ => Code::Internal,
    };
    Problem::from_error(code, error)
}

fn bounded(what: &str, text: &str) -> Result<(), Problem> {
    if text.len() > TEXT || text.chars().any(char::is_control) {
        return Err(Problem::new(Code::Invalid, format!("the {what} is too long or not printable")));
    }
    Ok(())
}

#[tonic::async_trait]
impl Identity for Service {
    async fn enrol(&self, request: Request<v1::EnrolRequest>) -> Result<Response<v1::EnrolReply>, Status> {
        let v1::EnrolRequest { token, signing_request, name } = request.into_inner();
        bounded("name", &name)?;
        let requested = Requested::read(&signing_request).map_err(|error| problem(&error))?;
        // Without it the token would be used up for nothing.
        self.authority()?;
        let newcomer = Newcomer::Agent(AgentId::new(Uuid::now_v7()));
        let Joined::Agent(agent) = self.admit(&token, TokenKind::Agent, (&requested, newcomer)).await? else {
            return Err(Problem::new(Code::Internal, "an agent joined as something else").into());
        };
        let (certified, authority) = self.certify(&requested, &self.agent(agent))?;
        let reply = v1::EnrolReply { agent: agent.to_string(), chain: certified.chain, authority };
        Ok(about(reply, format!("agent {agent} ({name})")))
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::RenewReply>, Status> {
        let caller = Caller::of(&request);
        let v1::RenewRequest { signing_request, ended_chain } = request.into_inner();
        let requested = Requested::read(&signing_request).map_err(|error| problem(&error))?;
        let agent = self.renewing(&caller, &ended_chain, &requested)?;
        let (certified, authority) = self.certify(&requested, &self.agent(agent))?;
        let reply = v1::RenewReply { chain: certified.chain, authority };
        Ok(about(reply, format!("agent {agent}")))
    }

    async fn join_coordinator(
        &self,
        request: Request<v1::JoinCoordinatorRequest>,
    ) -> Result<Response<v1::JoinCoordinatorReply>, Status> {
        let v1::JoinCoordinatorRequest { token, signing_request, address } = request.into_inner();
        bounded("address", &address)?;
        let requested = Requested::read(&signing_request).map_err(|error| problem(&error))?;
        self.authority()?;
        let newcomer = (&requested, Newcomer::Coordinator);
        let Joined::Coordinator(number) = self.admit(&token, TokenKind::Coordinator, newcomer).await? else {
            return Err(Problem::new(Code::Internal, "a coordinator joined as something else").into());
        };
        let names = host(&address).into_iter().collect();
        let life = self.coordinator.settings.certificates.coordinator;
        let subject = Subject { peer: Peer::Coordinator(number), names, life };
        let (certified, authority) = self.certify(&requested, &subject)?;
        let sealer = self.coordinator.identity.sealer();
        let farm_keys = sealer.map(|sealer| sealer.to_text().into_bytes()).unwrap_or_default().into();
        let Certified { chain, .. } = certified;
        let reply = v1::JoinCoordinatorReply { coordinator: number, chain, authority, farm_keys };
        Ok(about(reply, format!("coordinator {number} ({address})")))
    }

    async fn announce(
        &self,
        request: Request<v1::AnnounceRequest>,
    ) -> Result<Response<v1::AnnounceReply>, Status> {
        let caller = Caller::of(&request);
        let v1::AnnounceRequest { address } = request.into_inner();
        let Caller::Coordinator(number) = caller else {
            return Err(Problem::new(Code::Forbidden, "only a coordinator announces itself").into());
        };
        let endpoint: Endpoint =
            address.parse().map_err(|error| Problem::from_error(Code::Invalid, &error))?;
        let added = self.coordinator.ledger.add_voter(number, &endpoint.to_string()).await;
        added.map_err(|error| Problem::from_error(Code::Unavailable, &error))?;
        Ok(about(v1::AnnounceReply {}, format!("coordinator {number} at {endpoint}")))
    }

    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenReply>, Status> {
        let v1::CreateTokenRequest { name, usage, valid_ms } = request.into_inner();
        let usage = usage_in(usage)?;
        let name = if name.is_empty() { usage.noun().to_owned() } else { name };
        let expires = tokens::check(&name, &usage, valid_ms, self.coordinator.clock.now())?;
        let authority = self.authority()?.fingerprint();
        let made = tokens::make(&name, usage, expires, authority);
        let (token, new) = made.map_err(|error| Problem::from_error(Code::Internal, &error))?;
        self.change(IdentityAction::CreateToken { token: new }).await?;
        let info = self
            .coordinator
            .ledger
            .read(|farm| farm.identities().tokens().get(&token.id()).map(|record| self.info(record)));
        let target = format!("token {} ({name})", token.id());
        Ok(about(v1::CreateTokenReply { token: token.reveal(), info }, target))
    }

    async fn list_tokens(
        &self,
        _request: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensReply>, Status> {
        let tokens = self
            .coordinator
            .ledger
            .read(|farm| farm.identities().tokens().values().map(|record| self.info(record)).collect());
        Ok(Response::new(v1::ListTokensReply { tokens }))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenReply>, Status> {
        let token: TokenId = convert::id("token", &request.into_inner().id)?;
        self.change(IdentityAction::RevokeToken { token }).await?;
        Ok(about(v1::RevokeTokenReply {}, format!("token {token}")))
    }

    async fn revoke_agent(
        &self,
        request: Request<v1::RevokeAgentRequest>,
    ) -> Result<Response<v1::RevokeAgentReply>, Status> {
        let agent: AgentId = convert::id("agent", &request.into_inner().agent)?;
        self.change(IdentityAction::RevokeAgent { agent }).await?;
        Ok(about(v1::RevokeAgentReply {}, format!("agent {agent}")))
    }

    async fn revoke_coordinator(
        &self,
        request: Request<v1::RevokeCoordinatorRequest>,
    ) -> Result<Response<v1::RevokeCoordinatorReply>, Status> {
        let coordinator = request.into_inner().coordinator;
        if self.coordinator.ledger.members().iter().any(|member| member.id == coordinator) {
            let told = format!("coordinator {coordinator} votes; take it out first, which revokes it, too");
            return Err(Problem::new(Code::Refused, told).into());
        }
        self.change(IdentityAction::RevokeCoordinator { coordinator }).await?;
        Ok(about(v1::RevokeCoordinatorReply {}, format!("coordinator {coordinator}")))
    }

    async fn who_am_i(
        &self,
        request: Request<v1::WhoAmIRequest>,
    ) -> Result<Response<v1::WhoAmIReply>, Status> {
        let caller = Caller::of(&request);
        let (role, projects) = match &caller {
            Caller::Person { role, projects, .. } => (role_out(*role), projects_out(projects)),
            _ => (v1::Role::Unspecified, Vec::new()),
        };
        let reply = v1::WhoAmIReply { caller: caller.to_string(), role: role.into(), projects };
        Ok(Response::new(reply))
    }
}

impl Service {
    fn info(&self, record: &TokenRecord) -> v1::TokenInfo {
        v1::TokenInfo {
            id: record.id.to_string(),
            name: record.name.clone(),
            usage: Some(usage_out(&record.usage)),
            made: record.made.0,
            expires: record.expires.map(|end| end.0),
            state: tokens::state(record, self.coordinator.clock.now()),
        }
    }
}

/// The name or address of `https://HOST:PORT`, `HOST:PORT` or `HOST`.
fn host(address: &str) -> Option<String> {
    if let Ok(endpoint) = address.parse::<Endpoint>() {
        return Some(endpoint.host().to_owned());
    }
    let host = match address.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None if address.matches(':').count() == 1 => address.split(':').next()?,
        None => address,
    };
    (!host.is_empty()).then(|| host.to_owned())
}

fn usage_in(usage: Option<v1::TokenUse>) -> Result<TokenUse, Problem> {
    use v1::token_use::Usage;
    let missing = || Problem::new(Code::Invalid, "a token must be good for something");
    match usage.and_then(|usage| usage.usage).ok_or_else(missing)? {
        Usage::JoinAgent(_) => Ok(TokenUse::JoinAgent),
        Usage::JoinCoordinator(_) => Ok(TokenUse::JoinCoordinator),
        Usage::Client(client) => {
            let role = match client.role() {
                v1::Role::Viewer => Role::Viewer,
                v1::Role::Builder => Role::Builder,
                v1::Role::Operator => Role::Operator,
                v1::Role::Unspecified => {
                    return Err(Problem::new(Code::Invalid, "a client token must have a role"));
                }
            };
            let projects = match client.projects {
                all if all.is_empty() => Projects::All,
                named => Projects::Named(named.into_iter().collect()),
            };
            Ok(TokenUse::Client { role, projects })
        }
    }
}

fn usage_out(usage: &TokenUse) -> v1::TokenUse {
    use v1::token_use::Usage;
    let usage = match usage {
        TokenUse::JoinAgent => Usage::JoinAgent(v1::JoinAgent {}),
        TokenUse::JoinCoordinator => Usage::JoinCoordinator(v1::JoinFarm {}),
        TokenUse::Client { role, projects } => {
            Usage::Client(v1::Client { role: role_out(*role).into(), projects: projects_out(projects) })
        }
    };
    v1::TokenUse { usage: Some(usage) }
}

const fn role_out(role: Role) -> v1::Role {
    match role {
        Role::Viewer => v1::Role::Viewer,
        Role::Builder => v1::Role::Builder,
        Role::Operator => v1::Role::Operator,
    }
}

fn projects_out(projects: &Projects) -> Vec<String> {
    match projects {
        Projects::All => Vec::new(),
        Projects::Named(names) => names.iter().cloned().collect(),
    }
}
