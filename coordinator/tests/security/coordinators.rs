//! Further coordinators: joining brings what they need, and only by a token of the right kind.

use kiln_coordinator::identity::{FoundError, Place};
use kiln_proto::transport::Peer;
use kiln_proto::v1;
use kiln_proto::v1::identity_client::IdentityClient;
use tonic::Code;

use crate::farm::{Farm, Link, bounded};

async fn coordinator_token(farm: &Farm) -> kiln_proto::token::Token {
    farm.token(v1::token_use::Usage::JoinCoordinator(v1::JoinFarm {}), None).await
}

#[tokio::test]
async fn a_coordinator_joins_and_is_given_the_farms_keys() {
    let farm = Farm::found().await;
    let directory = tempfile::tempdir().unwrap();
    let place = Place::new(directory.path().join("second"));
    let endpoints = [farm.endpoint.clone()];
    let token = coordinator_token(&farm).await;
    let number = bounded(place.join(&endpoints, &token, "farm-2.example:7447")).await.unwrap();
    assert_eq!(number, 2);
    let credentials = place.credentials().unwrap();
    assert_eq!(
        (credentials.peer(), credentials.names()),
        (Peer::Coordinator(2), vec!["farm-2.example".into()])
    );
    let sealed = farm.place.sealer().unwrap().unwrap().seal("plan", b"x").unwrap();
    assert_eq!(place.sealer().unwrap().unwrap().open("plan", &sealed).unwrap(), b"x");
    for path in [place.farm_key(), place.certificate()] {
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }

    let mut client = IdentityClient::new(farm.channel(&credentials));
    let who = |named: Option<&str>| {
        let mut request = tonic::Request::new(v1::WhoAmIRequest {});
        if let Some(named) = named {
            request.metadata_mut().insert("x-kiln-caller", named.parse().unwrap());
        }
        request
    };
    let itself = bounded(client.who_am_i(who(None))).await.unwrap().into_inner().caller;
    let for_another = bounded(client.who_am_i(who(Some("coordinator/7")))).await.unwrap().into_inner().caller;
    let for_nobody = bounded(client.who_am_i(who(Some("person/x")))).await.unwrap().into_inner().caller;
    assert_eq!([itself, for_another, for_nobody], ["coordinator 2", "coordinator 7", "somebody unknown"]);

    let again = Place::new(directory.path().join("third"));
    let replayed = bounded(again.join(&endpoints, &token, "x")).await.unwrap_err();
    let told = kiln_plan::fault::chain(&replayed);
    assert!(told.contains("was used before"), "{told}");
    assert!(!again.is_settled());
    let twice = bounded(place.join(&endpoints, &token, "x")).await.unwrap_err();
    assert!(matches!(twice, FoundError::AlreadyFounded { .. }), "{twice}");

    let revoke = v1::RevokeCoordinatorRequest { coordinator: 2 };
    bounded(farm.identity(&farm.operator).revoke_coordinator(revoke)).await.unwrap();
    let caller = bounded(client.who_am_i(who(None))).await.unwrap().into_inner().caller;
    assert_eq!(caller, "somebody unknown");
    let status = bounded(client.list_tokens(v1::ListTokensRequest {})).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unauthenticated, "coordinator 2 was revoked by an operator")
    );
}

#[tokio::test]
async fn an_agents_token_makes_no_coordinator_and_a_wrong_farm_gets_no_token() {
    let (farm, other) = (Farm::found().await, Farm::found().await);
    let directory = tempfile::tempdir().unwrap();
    let place = Place::new(directory.path());
    let endpoints = [farm.endpoint.clone()];
    let error = bounded(place.join(&endpoints, &farm.join_token().await, "x")).await.unwrap_err();
    let told = kiln_plan::fault::chain(&error);
    assert!(told.contains("the token is for something else"), "{told}");
    // The token of another farm pins another authority: it is not even sent.
    let error = bounded(place.join(&endpoints, &coordinator_token(&other).await, "x")).await.unwrap_err();
    let told = kiln_plan::fault::chain(&error);
    assert!(told.contains("UnknownIssuer"), "{told}");
    assert!(!farm.audit().contains("JoinCoordinator\",\"target"), "nobody joined");
}

#[tokio::test]
async fn no_secret_lies_in_the_clear() {
    let farm = Farm::found().await;
    let agent = farm.agent().await;
    let token = coordinator_token(&farm).await;
    let _link = Link::open(farm.channel(&agent.credentials), agent.id).await.unwrap();
    let request = v1::SubmitRequest { request: br#"{"tasks": 1}"#.as_slice().into(), ..<_>::default() };
    bounded(farm.submission(&farm.operator).submit(request)).await.unwrap();
    let keys = std::fs::read_to_string(farm.place.farm_key()).unwrap();
    let key = keys.trim().rsplit(' ').next().unwrap().to_owned();
    let secrets = [key, token.reveal()[30..70].to_owned(), farm.operator.reveal()[30..70].to_owned()];
    let own = [farm.place.farm_key(), farm.place.certificate()];
    let mut plans = 0;
    let mut folders = vec![farm.directory().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
            assert!(own.contains(&path) || !secrets.iter().any(|s| holds(s)), "{}", path.display());
            assert!(own.contains(&path) || !holds("PRIVATE KEY"), "{}", path.display());
            plans += usize::from(path.parent().is_some_and(|folder| folder.ends_with("plans")));
            assert!(!holds("source_name"), "a plan lies in the clear: {}", path.display());
        }
    }
    assert_eq!(plans, 1, "the plan was looked at");
    assert!(farm.audit().contains(&agent.id.to_string()));
}
