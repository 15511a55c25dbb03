//! A flood of submissions: each is taken once or refused with a clear answer, and nobody else notices.

use std::collections::BTreeSet;
use std::time::Duration;

use kiln_proto::v1;
use tonic::{Code, Status};

use crate::farm::{Farm, Link, bounded};

/// From so many connections, so many each.
const CONNECTIONS: usize = 50;
const EACH: usize = 200;

fn request() -> v1::SubmitRequest {
    v1::SubmitRequest {
        request: br#"{"tasks": 1}"#.as_slice().into(),
        key: Some(uuid::Uuid::new_v4().to_string()),
        ..<_>::default()
    }
}

/// The most memory that this process has had, in MiB.
fn high_water() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// One connection's part of the flood.
async fn flood(farm: &Farm, token: &kiln_proto::token::Token) -> Vec<Result<String, Status>> {
    let client = farm.submission(token);
    let all = (0..EACH).map(|_| {
        let mut client = client.clone();
        async move { Ok(client.submit(request()).await?.into_inner().build.unwrap()) }
    });
    futures::future::join_all(all).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_submissions_are_taken_once_or_told_to_come_again() {
    let farm = Farm::found().await;
    let agent = farm.agent().await;
    let _link = Link::open(farm.channel(&agent.credentials), agent.id).await.unwrap();
    let (loud, quiet) =
        (farm.client_token(v1::Role::Builder, None).await, farm.client_token(v1::Role::Builder, None).await);
    let floods = futures::future::join_all((0..CONNECTIONS).map(|_| flood(&farm, &loud)));
    // Somebody else gets their builds in, some by trying again, and looks at the farm.
    let others = async {
        let (mut submission, mut people) = (farm.submission(&quiet), farm.people(&farm.operator));
        let mut taken = BTreeSet::new();
        while taken.len() < 5 {
            let asked = request();
            let build = loop {
                match submission.submit(asked.clone()).await {
                    Ok(reply) => break reply.into_inner().build.unwrap(),
                    Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status}"),
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            taken.insert(build);
            people.get_overview(v1::GetOverviewRequest {}).await.unwrap();
        }
        taken
    };
    let limit = Duration::from_secs(600);
    let (answers, mut taken) =
        tokio::time::timeout(limit, async { tokio::join!(floods, others) }).await.expect("it ends");
    let (mut accepted, mut refused) = (0, 0);
    for answer in answers.into_iter().flatten() {
        match answer {
            Ok(build) => {
                accepted += 1;
                assert!(taken.insert(build), "two requests have one build");
            }
            Err(status) => {
                refused += 1;
                assert_eq!(status.code(), Code::Unavailable, "{status}");
                assert!(status.message().ends_with("under way already; try again later"), "{status}");
            }
        }
    }
    assert_eq!(accepted + refused, CONNECTIONS * EACH);
    assert!(accepted >= 256, "{accepted} were taken");
    let known: BTreeSet<String> =
        farm.handle.read(|state| state.builds().keys().map(ToString::to_string).collect());
    assert_eq!(known, taken, "what was taken is there, and nothing else");
    // The flood itself is in it, with its connections and requests.
    assert!(high_water() < 2_048, "{} MiB", high_water());
    let reply = bounded(farm.submission(&loud).submit(request())).await.unwrap();
    assert!(reply.into_inner().build.is_some(), "afterwards all is well");
}
