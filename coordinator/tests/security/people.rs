//! People with tokens: what each may do, and how that ends.

use kiln_plan::id::BuildId;
use kiln_proto::token::Token;
use kiln_proto::v1;
use tonic::{Code, Status};

use crate::farm::{Farm, Link, bounded};

async fn who(farm: &Farm, token: &Token) -> Result<String, Status> {
    let reply = bounded(farm.identity(token).who_am_i(v1::WhoAmIRequest {})).await?;
    Ok(reply.into_inner().caller)
}

/// A build that an agent could carry out, and doesn't.
pub(crate) async fn submit(farm: &Farm, token: &Token) -> Result<BuildId, Status> {
    let request = v1::SubmitRequest { request: br#"{"tasks": 1}"#.as_slice().into(), ..<_>::default() };
    let reply = bounded(farm.submission(token).submit(request)).await?.into_inner();
    Ok(reply.build.unwrap().parse().unwrap())
}

async fn cancel(farm: &Farm, token: &Token, build: BuildId) -> Result<(), Status> {
    let request = v1::CancelRequest { build: build.to_string() };
    bounded(farm.submission(token).cancel(request)).await.map(drop)
}

#[tokio::test]
async fn a_viewer_looks_a_builder_builds_and_an_operator_rules() {
    let farm = Farm::found().await;
    let agent = farm.agent().await;
    let _link = Link::open(farm.channel(&agent.credentials), agent.id).await.unwrap();
    let viewer = farm.client_token(v1::Role::Viewer, None).await;
    let builder = farm.client_token(v1::Role::Builder, None).await;
    assert_eq!(who(&farm, &viewer).await.unwrap(), "test (viewer in all projects)");
    assert_eq!(submit(&farm, &viewer).await.unwrap_err().code(), Code::PermissionDenied);
    let build = submit(&farm, &builder).await.unwrap();
    let status = cancel(&farm, &viewer, build).await.unwrap_err();
    let told = "test (viewer in all projects) may not do this; it takes a builder";
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, told));
    let follow = v1::FollowRequest { build: build.to_string(), from: vec![] };
    assert!(bounded(farm.submission(&viewer).follow(follow)).await.is_ok());
    cancel(&farm, &builder, build).await.unwrap();
    let list = bounded(farm.identity(&builder).list_tokens(v1::ListTokensRequest {})).await;
    assert_eq!(list.unwrap_err().code(), Code::PermissionDenied);
    let list = bounded(farm.identity(&farm.operator).list_tokens(v1::ListTokensRequest {})).await.unwrap();
    let names: Vec<_> = list.into_inner().tokens.into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["first operator", "test", "test", "test"]);
    let audit = farm.audit();
    assert!(audit.contains(r#""act":"Submission/Cancel","outcome":"forbidden""#), "{audit}");
    let done = format!(r#""act":"Submission/Cancel","target":"build {build}","outcome":"done""#);
    assert!(audit.contains(&done) && audit.contains(&builder.id().to_string()), "{audit}");
    for token in [&viewer, &builder, &farm.operator] {
        assert!(!audit.contains(&token.reveal()[40..80]), "the audit holds a secret");
    }
}

#[tokio::test]
async fn the_key_of_a_request_is_its_senders_own() {
    let farm = Farm::found().await;
    let agent = farm.agent().await;
    let _link = Link::open(farm.channel(&agent.credentials), agent.id).await.unwrap();
    // Two tokens of one name.
    let (first, second) =
        (farm.client_token(v1::Role::Builder, None).await, farm.client_token(v1::Role::Builder, None).await);
    let mut builds = Vec::new();
    for token in [&first, &second, &first, &farm.operator, &second] {
        let request = v1::SubmitRequest {
            request: br#"{"tasks": 1}"#.as_slice().into(),
            key: Some("0192f0c1-0000-7000-8000-000000000001".into()),
            ..<_>::default()
        };
        builds
            .push(bounded(farm.submission(token).submit(request)).await.unwrap().into_inner().build.unwrap());
    }
    assert_eq!((&builds[0], &builds[1]), (&builds[2], &builds[4]));
    assert!(builds[0] != builds[1] && builds[0] != builds[3] && builds[1] != builds[3]);
    let request = v1::SubmitRequest { key: Some("again".into()), ..<_>::default() };
    let status = bounded(farm.submission(&first).submit(request)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
}

#[tokio::test]
async fn whoever_shows_nothing_or_nonsense_is_told_so() {
    let farm = Farm::found().await;
    let none = bounded(farm.stranger().list_tokens(v1::ListTokensRequest {})).await.unwrap_err();
    let told = "this is only for those who are known (operator of all projects)";
    assert_eq!((none.code(), none.message()), (Code::Unauthenticated, told));
    let join = farm.join_token().await;
    let other = bounded(farm.identity(&join).list_tokens(v1::ListTokensRequest {})).await.unwrap_err();
    assert_eq!((other.code(), other.message()), (Code::Unauthenticated, "the token is not one for people"));
    let elsewhere = Farm::found().await;
    let foreign = bounded(farm.identity(&elsewhere.operator).list_tokens(v1::ListTokensRequest {})).await;
    let foreign = foreign.unwrap_err();
    assert!(foreign.message().starts_with("the token is not one of this farm"), "{foreign}");
    let mut odd = v1::identity_client::IdentityClient::new(farm.channel(&farm.agent().await.credentials));
    let mut request = tonic::Request::new(v1::WhoAmIRequest {});
    request.metadata_mut().insert("x-kiln-caller", "in-process".parse().unwrap());
    let agent = bounded(odd.who_am_i(request)).await.unwrap().into_inner().caller;
    assert!(agent.starts_with("agent "), "nobody but a coordinator says who really asks: {agent}");
}

#[tokio::test]
async fn a_stream_ends_when_its_token_is_revoked_or_expires() {
    let farm = Farm::found().await;
    let agent = farm.agent().await;
    let _link = Link::open(farm.channel(&agent.credentials), agent.id).await.unwrap();
    let build = submit(&farm, &farm.operator).await.unwrap();
    let revoked = farm.client_token(v1::Role::Viewer, None).await;
    let brief = farm.client_token(v1::Role::Viewer, Some(2_000)).await;
    let table = [
        (&revoked, "the token was revoked by an operator"),
        (&brief, "the token has expired; ask an operator for another"),
    ];
    for (token, told) in table {
        let follow = v1::FollowRequest { build: build.to_string(), from: vec![] };
        let mut stream = bounded(farm.submission(token).follow(follow)).await.unwrap().into_inner();
        if token.id() == revoked.id() {
            let request = v1::RevokeTokenRequest { id: revoked.id().to_string() };
            bounded(farm.identity(&farm.operator).revoke_token(request)).await.unwrap();
        }
        let status = loop {
            match bounded(stream.message()).await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended without a reason"),
                Err(status) => break status,
            }
        };
        assert_eq!((status.code(), status.message()), (Code::Unauthenticated, told));
        let next = cancel(&farm, token, build).await.unwrap_err();
        assert_eq!(next.message(), told, "and so is the next request");
    }
}

#[tokio::test]
async fn tokens_outlive_the_process() {
    let farm = Farm::found().await;
    let agent = farm.agent().await;
    let farm = farm.restarted().await;
    assert_eq!(who(&farm, &farm.operator).await.unwrap(), "first operator (operator in all projects)");
    Link::open(farm.channel(&agent.credentials), agent.id).await.unwrap();
}

#[tokio::test]
async fn a_token_for_a_project_sees_and_touches_no_other() {
    let farm = Farm::found().await;
    let agent = farm.agent().await;
    let _link = Link::open(farm.channel(&agent.credentials), agent.id).await.unwrap();
    let client = |project: &str| {
        let role = v1::Role::Builder.into();
        v1::token_use::Usage::Client(v1::Client { role, projects: vec![project.into()] })
    };
    let (web, db) = (farm.token(client("web"), None).await, farm.token(client("db"), None).await);
    let ask = |project: &str| v1::SubmitRequest {
        request: br#"{"tasks": 1}"#.as_slice().into(),
        project: project.into(),
        ..<_>::default()
    };
    for other in ["", "db"] {
        let status = bounded(farm.submission(&web).submit(ask(other))).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    }
    let reply = bounded(farm.submission(&web).submit(ask("web"))).await.unwrap().into_inner();
    let build: BuildId = reply.build.unwrap().parse().unwrap();
    let origin = farm.handle.read(|state| state.builds()[&build].origin.clone());
    assert_eq!((origin.project.as_str(), origin.submitter.as_deref()), ("web", Some("test")));
    let follow = || v1::FollowRequest { build: build.to_string(), from: vec![] };
    let status = bounded(farm.submission(&db).follow(follow())).await.unwrap_err();
    let told = "test (builder in db) may do nothing in project \"web\"";
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, told));
    assert_eq!(cancel(&farm, &db, build).await.unwrap_err().message(), told);
    assert!(bounded(farm.submission(&web).follow(follow())).await.is_ok());
    cancel(&farm, &web, build).await.unwrap();
}
