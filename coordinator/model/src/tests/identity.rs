//! Who may take part, told as stories.

use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::TokenId;
use uuid::Uuid;

use super::farm::{Farm, agent, needs, new_task, offers, succeeded};
use crate::identity::{MOST_TOKENS, REMEMBERED_MS, TokenRecord};
use crate::{
    Action, Authority, IdentityAction, Joined, NewToken, Newcomer, Outcome, Projects, Role, Timestamp,
    TokenUse,
};

const HOUR: u64 = 3_600_000;

pub(super) const fn token(n: u128) -> TokenId {
    TokenId::new(Uuid::from_u128(0xf000 + n))
}

pub(super) fn secret(n: u128) -> Fingerprint {
    Fingerprint::of_bytes(&n.to_be_bytes())
}

impl Farm {
    pub(super) fn founded() -> Self {
        let mut farm = Self { now: 1_000, ..Self::default() };
        assert_eq!(farm.ask(found("authority")), "done");
        farm
    }

    /// One word or sentence for what became of it.
    fn ask(&mut self, action: IdentityAction) -> String {
        match self.apply(Action::Identity(action)) {
            Outcome::Done => "done".into(),
            Outcome::Joined(Joined::Agent(id)) if id == agent(1) => "agent 1".into(),
            Outcome::Joined(Joined::Coordinator(number)) => format!("coordinator {number}"),
            Outcome::Refused(refusal) => refusal.to_string(),
            other => format!("{other:?}"),
        }
    }

    fn make(&mut self, n: u128, usage: TokenUse, expires: Option<u64>) -> String {
        let expires = expires.map(|ms| Timestamp(self.now + ms));
        let new = NewToken { id: token(n), name: format!("t{n}"), secret: secret(n), usage, expires };
        self.ask(IdentityAction::CreateToken { token: new })
    }
}

pub(super) fn found(certificate: &str) -> IdentityAction {
    let authority = Authority { certificate: certificate.into(), sealed_key: "sealed".into() };
    IdentityAction::FoundFarm { authority }
}

pub(super) fn join(t: u128, s: u128, key: u128, newcomer: Newcomer) -> IdentityAction {
    IdentityAction::UseJoinToken { token: token(t), secret: secret(s), key: secret(1_000 + key), newcomer }
}

fn client() -> TokenUse {
    TokenUse::Client { role: Role::Viewer, projects: Projects::All }
}

#[test]
fn a_farm_is_founded_once_and_keeps_its_authority() {
    let mut farm = Farm { now: 1, ..Farm::default() };
    let early = farm.make(1, client(), None);
    assert_eq!(early, "the farm has no authority yet; found it with `kiln coordinator init`");
    assert_eq!(farm.ask(found("ours")), "done");
    assert_eq!(farm.ask(found("another")), "the farm was founded before and has its authority");
    assert_eq!(farm.ask(IdentityAction::ResealAuthority { sealed_key: "anew".into() }), "done");
    let authority = farm.state.identities().authority().unwrap();
    assert_eq!((authority.certificate.as_str(), authority.sealed_key.as_str()), ("ours", "anew"));
}

#[test]
fn a_join_token_is_good_once() {
    let mut farm = Farm::founded();
    let once = "the token was used before and is good only once; ask an operator for another";
    let not_ours = "the token is not one of this farm, or was forgotten; ask an operator for another";
    farm.make(1, TokenUse::JoinAgent, Some(HOUR));
    farm.make(2, TokenUse::JoinCoordinator, Some(HOUR));
    farm.make(3, client(), None);
    let table = [
        (join(1, 7, 1, Newcomer::Agent(agent(1))), not_ours),
        (join(9, 9, 1, Newcomer::Agent(agent(1))), not_ours),
        (join(1, 1, 1, Newcomer::Coordinator), "the token is not one for coordinators"),
        (join(2, 2, 1, Newcomer::Agent(agent(1))), "the token is not one for agents"),
        (join(3, 3, 1, Newcomer::Agent(agent(1))), "the token is not one for agents"),
        (join(1, 1, 1, Newcomer::Agent(agent(1))), "agent 1"),
        // The answer was lost, and the agent asks again.
        (join(1, 1, 1, Newcomer::Agent(agent(2))), "agent 1"),
        (join(1, 1, 2, Newcomer::Agent(agent(2))), once),
        (join(2, 2, 1, Newcomer::Coordinator), "coordinator 2"),
        (join(2, 2, 1, Newcomer::Coordinator), once),
    ];
    for (action, expected) in table {
        assert_eq!(farm.ask(action.clone()), expected, "{action:?}");
    }
}

#[test]
fn tokens_end_when_they_expire_or_are_revoked_and_are_forgotten_later() {
    let mut farm = Farm::founded();
    assert_eq!(farm.make(1, TokenUse::JoinAgent, None), "a token for joining must have an end");
    farm.make(1, TokenUse::JoinAgent, Some(HOUR));
    farm.make(2, TokenUse::JoinAgent, Some(HOUR));
    farm.make(3, client(), None);
    assert_eq!(farm.ask(IdentityAction::RevokeToken { token: token(2) }), "done");
    let revoked = "the token was revoked by an operator";
    assert_eq!(farm.ask(IdentityAction::RevokeToken { token: token(2) }), revoked);
    assert_eq!(farm.ask(join(2, 2, 1, Newcomer::Agent(agent(1)))), revoked);
    farm.now += HOUR;
    let late = "the token has expired; ask an operator for another";
    assert_eq!(farm.ask(join(1, 1, 1, Newcomer::Agent(agent(1)))), late);
    farm.now += REMEMBERED_MS;
    assert!(farm.state.identities().has_forgettable(Timestamp(farm.now)));
    farm.ask(IdentityAction::Forget);
    let left: Vec<TokenId> = farm.state.identities().tokens().keys().copied().collect();
    assert_eq!(left, [token(3)]);
    assert!(!farm.state.identities().has_forgettable(Timestamp(farm.now)));
    let good = |n| farm.state.identities().good_token(token(3), secret(n), Timestamp(farm.now)).is_ok();
    assert_eq!((good(3), good(4)), (true, false));
}

#[test]
fn nothing_that_a_revoked_agent_says_counts() {
    let mut farm = Farm::with_one_running();
    farm.ask(found("authority"));
    assert_eq!(farm.ask(IdentityAction::RevokeAgent { agent: agent(1) }), "done");
    let told = [
        farm.synchronize(1, vec![Farm::claim(1, 1)]),
        farm.report(1, 1, 1, succeeded()),
        farm.apply(Action::Connect { agent: agent(1), name: "a1".into(), offer: offers(2, &[]) }),
    ];
    for outcome in told {
        let said = outcome.refusal().map(ToString::to_string).unwrap_or_default();
        assert!(said.contains("was revoked by an operator"), "{said}");
    }
    farm.submit(2, 0, vec![new_task(2, needs("builder/null"))]);
    let refused = farm.assign(2, 1);
    assert!(refused.refusal().is_some(), "it is given nothing");
    assert!(matches!(farm.assign(2, 2), Outcome::Assigned { .. }));
}

#[test]
fn a_coordinator_is_turned_away_by_its_number() {
    let mut farm = Farm::founded();
    let revoke = |number| IdentityAction::RevokeCoordinator { coordinator: number };
    assert_eq!(farm.ask(revoke(2)), "there is no coordinator 2");
    assert_eq!(farm.ask(revoke(1)), "done");
    assert_eq!(farm.ask(revoke(1)), "coordinator 1 was revoked by an operator");
    assert!(farm.state.identities().is_coordinator_revoked(1));
}

#[test]
fn the_token_that_ended_first_gives_way_when_the_farm_has_as_many_as_it_keeps() {
    let mut farm = Farm::founded();
    let all = MOST_TOKENS as u128;
    farm.make(0, client(), None);
    let first = farm.state.identities.tokens[&token(0)].clone();
    let others = (1..all).map(|n| (token(n), TokenRecord { id: token(n), ..first.clone() }));
    farm.state.identities.tokens.extend(others);
    assert!(farm.make(all, client(), None).ends_with("the most that it keeps; revoke some"));
    for n in [7, 5] {
        farm.now += 1;
        assert_eq!(farm.ask(IdentityAction::RevokeToken { token: token(n) }), "done");
    }
    assert_eq!(farm.make(all, client(), None), "done");
    let kept = |farm: &Farm, n| farm.state.identities().tokens().contains_key(&token(n));
    assert_eq!((kept(&farm, 5), kept(&farm, 7), kept(&farm, all)), (true, false, true));
    assert_eq!(farm.make(all + 1, client(), None), "done");
    assert!(!kept(&farm, 5), "and so on, until none has ended");
    assert!(farm.make(all + 2, client(), None).ends_with("revoke some"));
}
