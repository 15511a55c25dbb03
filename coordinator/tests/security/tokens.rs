//! Join tokens that are good, and those that are not.

use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::TokenId;
use kiln_proto::token::{Token, TokenKind};
use kiln_proto::transport::PrivateKey;
use kiln_proto::v1;
use tonic::Code;
use uuid::Uuid;

use crate::farm::{Farm, bounded};

const OTHER_KIND: &str = "the token is for something else; ask an operator for one of the right kind";
const NOT_OURS: &str = "the token is not one of this farm, or was forgotten; ask an operator for another";
const USED: &str = "the token was used before and is good only once; ask an operator for another";

#[tokio::test]
async fn only_a_good_join_token_lets_an_agent_in() {
    let farm = Farm::found().await;
    let good = farm.join_token().await;
    let used = farm.join_token().await;
    let first = PrivateKey::generate().unwrap();
    let enrolled = farm.enrol(&used.reveal(), &first).await.unwrap().agent;
    let again = farm.enrol(&used.reveal(), &first).await.unwrap().agent;
    assert_eq!(again, enrolled, "whose answer was lost asks again");
    let forged = Token::new(TokenKind::Agent, good.id(), [9; 32], Fingerprint::of_bytes(b""));
    let unknown =
        Token::new(TokenKind::Agent, TokenId::new(Uuid::nil()), [9; 32], Fingerprint::of_bytes(b""));
    let coordinator = farm.token(v1::token_use::Usage::JoinCoordinator(v1::JoinFarm {}), None).await.reveal();
    let disguised = coordinator.replace("kiln_coordinator_", "kiln_agent_");
    let expired = expired(&farm).await;
    let revoked = farm.join_token().await;
    let revoke = v1::RevokeTokenRequest { id: revoked.id().to_string() };
    bounded(farm.identity(&farm.operator).revoke_token(revoke)).await.unwrap();
    let table = [
        (used.reveal(), Code::FailedPrecondition, USED),
        (forged.reveal(), Code::FailedPrecondition, NOT_OURS),
        (unknown.reveal(), Code::FailedPrecondition, NOT_OURS),
        (expired.reveal(), Code::FailedPrecondition, "the token has expired; ask an operator for another"),
        (revoked.reveal(), Code::FailedPrecondition, "the token was revoked by an operator"),
        (coordinator, Code::Unauthenticated, OTHER_KIND),
        (farm.operator.reveal(), Code::Unauthenticated, OTHER_KIND),
        (disguised, Code::FailedPrecondition, "the token is not one for agents"),
        ("kiln_agent_short".into(), Code::Unauthenticated, "the token is not whole; copy all of it"),
    ];
    for (token, code, told) in &table {
        let key = PrivateKey::generate().unwrap();
        let status = farm.enrol(token, &key).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (*code, *told));
    }
    farm.enrol(&good.reveal(), &PrivateKey::generate().unwrap()).await.unwrap();
    let audit = farm.audit();
    for (token, _, told) in &table {
        assert!(audit.contains(told), "the audit tells of each: {told}");
        let secret = token.get(30..70).unwrap_or(token);
        assert!(!audit.contains(secret), "and holds no secret");
    }
}

/// A token whose time is over.
async fn expired(farm: &Farm) -> Token {
    let token = farm.token(v1::token_use::Usage::JoinAgent(v1::JoinAgent {}), Some(1)).await;
    let mut identity = farm.identity(&farm.operator);
    let seen = async {
        loop {
            let reply = identity.list_tokens(v1::ListTokensRequest {}).await.unwrap().into_inner();
            if reply.tokens.iter().any(|info| info.id == token.id().to_string() && info.state == "expired") {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    bounded(seen).await;
    token
}

#[tokio::test]
async fn an_operator_can_not_make_nonsense() {
    use v1::token_use::Usage;
    let farm = Farm::found().await;
    let join = || Some(Usage::JoinAgent(v1::JoinAgent {}));
    let client = |role: v1::Role, project: &str| {
        Some(Usage::Client(v1::Client { role: role.into(), projects: vec![project.into()] }))
    };
    let table = [
        (" ", join(), None, "a token needs a name of 1 to 100 printable characters"),
        ("a\nb", join(), None, "a token needs a name of 1 to 100 printable characters"),
        ("a", None, None, "a token must be good for something"),
        ("a", join(), Some(0), "a token must be good for some time"),
        ("a", join(), Some(u64::MAX), "a token for joining may be good for at most 7 days"),
        ("a", client(v1::Role::Unspecified, "web"), None, "a client token must have a role"),
        (
            "a",
            client(v1::Role::Viewer, "a b"),
            None,
            "\"a b\" is no name of a project: letters, digits, dot, dash and underscore are",
        ),
    ];
    for (name, usage, valid_ms, told) in table {
        let usage = Some(v1::TokenUse { usage });
        let request = v1::CreateTokenRequest { name: name.into(), usage, valid_ms };
        let status = bounded(farm.identity(&farm.operator).create_token(request)).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, told));
    }
}

#[tokio::test]
async fn a_signing_request_must_be_one() {
    let farm = Farm::found().await;
    let token = farm.join_token().await.reveal();
    let whole = PrivateKey::generate().unwrap().request().unwrap();
    let mut changed = whole.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    for request in [vec![], vec![0x30; 9], whole[..40].to_vec(), changed, vec![0; 20_000]] {
        let request =
            v1::EnrolRequest { token: token.clone(), signing_request: request.into(), name: "a".into() };
        let status = bounded(farm.stranger().enrol(request)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    farm.enrol(&token, &PrivateKey::generate().unwrap()).await.expect("the token was not used up");
}
