//! The wire against real sockets: who is let in, who is not, and that the one doesn't suffer from the other.

use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::AgentId;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
    date_time_ymd,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt as _;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;
use tonic::transport::Channel;
use tower::Service;

use super::*;

const BOUND: Duration = Duration::from_secs(30);

async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, future).await.expect("it takes far less")
}

/// An authority for tests.
struct Farm {
    certificate: String,
    fingerprint: Fingerprint,
    issuer: Issuer<'static, KeyPair>,
}

impl Farm {
    fn found() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let certificate = params.self_signed(&key).unwrap();
        let fingerprint = Fingerprint::of_bytes(certificate.der());
        Self { certificate: certificate.pem(), fingerprint, issuer: Issuer::new(params, key) }
    }

    fn trust(&self) -> Trust {
        Trust::from_pem(self.certificate.as_bytes()).unwrap()
    }

    /// A certificate that ends so many seconds from now.
    fn certify(&self, peer: Peer, seconds: i64) -> Identity {
        let (chain, key) = self.certify_as_pem(peer, seconds);
        Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
    }

    fn certify_as_pem(&self, peer: Peer, seconds: i64) -> (String, String) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let end = u64::try_from(i64::try_from(now.as_secs()).unwrap() + seconds).unwrap();
        let mut params = CertificateParams::default();
        params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(end);
        let uri = peer.uri().unwrap().as_str().try_into().unwrap();
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if let Peer::Coordinator(_) = peer {
            params.subject_alt_names.push(SanType::DnsName(COORDINATOR_NAME.try_into().unwrap()));
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (format!("{}{}", certificate.pem(), self.certificate), key.serialize_pem())
    }

    fn credentials(&self, peer: Peer) -> Credentials {
        Credentials::new(self.certify(peer, 3_600), self.trust()).unwrap()
    }

    async fn serve(&self) -> Endpoint {
        serve(self.credentials(Peer::Coordinator(1)), Limits::default()).await
    }
}

fn agent() -> Peer {
    Peer::Agent(AgentId::new("0192f0c1-0000-7000-8000-000000000001".parse().unwrap()))
}

/// Answers every request with who asked.
#[derive(Clone)]
struct WhoAsks;

impl NamedService for WhoAsks {
    const NAME: &'static str = "who";
}

impl Service<Request<Body>> for WhoAsks {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let peer = request.extensions().get::<Arrival>().unwrap().peer.to_string();
        std::future::ready(Ok(Response::builder().header("peer", peer).body(Body::empty()).unwrap()))
    }
}

async fn serve(credentials: Credentials, limits: Limits) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
    let incoming = accept(listener, credentials, limits);
    tokio::spawn(server().add_service(WhoAsks).serve_with_incoming(incoming));
    endpoint
}

/// Who the other end says asked, or why there was no answer.
async fn ask(channel: &mut Channel) -> Result<String, String> {
    let request = Request::builder().uri("https://coordinator.kiln/who/asks").body(Body::empty()).unwrap();
    let reply = bounded(async {
        std::future::poll_fn(|cx| channel.poll_ready(cx)).await?;
        channel.call(request).await
    });
    let reply = reply.await.map_err(|error| kiln_plan::fault::chain(&error))?;
    Ok(reply.headers()["peer"].to_str().unwrap().to_owned())
}

async fn ask_with(endpoint: &Endpoint, credentials: &Credentials) -> Result<String, String> {
    ask(&mut dial(std::slice::from_ref(endpoint), credentials)).await
}

fn address(endpoint: &Endpoint) -> SocketAddr {
    format!("{}:{}", endpoint.host(), endpoint.port()).parse().unwrap()
}

#[tokio::test]
async fn callers_are_who_their_certificates_say() {
    let (farm, other) = (Farm::found(), Farm::found());
    let endpoint = farm.serve().await;
    let expired = Credentials::new(farm.certify(agent(), -60), farm.trust()).unwrap();
    let foreign = Credentials::new(other.certify(agent(), 60), farm.trust()).unwrap();
    let pinned = Credentials::anonymous(Trust::Pinned(farm.fingerprint)).unwrap();
    let misled = Credentials::anonymous(Trust::Pinned(other.fingerprint)).unwrap();
    let table = [
        (farm.credentials(agent()), Ok("agent 0192f0c1-0000-7000-8000-000000000001")),
        (farm.credentials(Peer::Coordinator(3)), Ok("coordinator 3")),
        (Credentials::anonymous(farm.trust()).unwrap(), Ok("somebody without certificate")),
        (pinned, Ok("somebody without certificate")),
        (expired, Err("expired")),
        (foreign, Err("")),
        (misled, Err("UnknownIssuer")),
        (Credentials::anonymous(other.trust()).unwrap(), Err("invalid peer certificate")),
    ];
    for (credentials, expected) in table {
        let answer = ask_with(&endpoint, &credentials).await;
        match (&answer, expected) {
            (Ok(answer), Ok(expected)) => assert_eq!(answer, expected),
            (Err(error), Err(part)) => {
                assert!(error.to_lowercase().contains(&part.to_lowercase()), "{error}");
            }
            _ => panic!("{credentials:?}: {answer:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn an_agent_can_not_pass_for_a_coordinator() {
    let farm = Farm::found();
    let endpoint = serve(farm.credentials(agent()), Limits::default()).await;
    let error = ask_with(&endpoint, &farm.credentials(Peer::Coordinator(2))).await.unwrap_err();
    assert!(error.contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn new_credentials_count_from_the_next_connection_on() {
    let farm = Farm::found();
    let shown = farm.credentials(Peer::Coordinator(1));
    let endpoint = serve(shown.clone(), Limits::default()).await;
    let mine = farm.credentials(agent());
    let mut before = dial(std::slice::from_ref(&endpoint), &mine);
    assert!(ask(&mut before).await.unwrap().starts_with("agent"));
    // The authority is replaced: for a while both are trusted, then only the new one is.
    let new = Farm::found();
    mine.replace(new.certify(Peer::Coordinator(7), 60), new.trust()).unwrap();
    assert_eq!(mine.peer(), Peer::Coordinator(7));
    shown.replace(new.certify(Peer::Coordinator(1), 60), new.trust()).unwrap();
    assert_eq!(ask_with(&endpoint, &mine).await.unwrap(), "coordinator 7");
    assert!(ask(&mut before).await.unwrap().starts_with("agent"), "what is open stays open");
    assert!(ask_with(&endpoint, &farm.credentials(agent())).await.is_err());
}

#[tokio::test]
async fn a_connection_ends_with_its_certificate() {
    let farm = Farm::found();
    let endpoint = farm.serve().await;
    let brief = Credentials::new(farm.certify(agent(), 3), farm.trust()).unwrap();
    let mut channel = dial(std::slice::from_ref(&endpoint), &brief);
    assert!(ask(&mut channel).await.is_ok());
    let refused = async {
        while ask(&mut channel).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    bounded(refused).await;
}

#[tokio::test]
async fn the_next_coordinator_is_tried_when_one_does_not_answer() {
    let farm = Farm::found();
    let dead = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("https://{}", listener.local_addr().unwrap()).parse::<Endpoint>().unwrap()
    };
    let credentials = farm.credentials(agent());
    let endpoints = [dead.clone(), farm.serve().await];
    let dialler = Dialler::new(&endpoints, &credentials);
    assert!(ask(&mut dialler.channel()).await.is_ok());
    dialler.move_on();
    assert!(ask(&mut dialler.channel()).await.is_ok());
    let error = ask_with(&dead, &credentials).await.unwrap_err();
    let expected = format!("failed to reach a coordinator of the farm ({dead}: Connection refused");
    assert!(error.contains(&expected), "{error}");
}

/// Sends bytes and waits until the other end closes. Returns how long that took.
async fn poke(endpoint: &Endpoint, bytes: &[u8]) -> Duration {
    let began = std::time::Instant::now();
    let mut tcp = TcpStream::connect(address(endpoint)).await.unwrap();
    // It may be closed while we still write.
    let _ = tcp.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = bounded(tcp.read_to_end(&mut answer)).await;
    began.elapsed()
}

#[tokio::test]
async fn whoever_does_not_speak_tls_is_dropped_and_disturbs_nobody() {
    let farm = Farm::found();
    let limits = Limits { handshake: Duration::from_secs(2), ..Limits::default() };
    let endpoint = serve(farm.credentials(Peer::Coordinator(1)), limits).await;
    let mut working = dial(std::slice::from_ref(&endpoint), &farm.credentials(agent()));
    assert!(ask(&mut working).await.is_ok());
    let silent: Vec<_> = (0..100)
        .map(|_| {
            let endpoint = endpoint.clone();
            tokio::spawn(async move { poke(&endpoint, &[0x16, 3, 1]).await })
        })
        .collect();
    let garbage: Vec<u8> = (0..4_096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for bytes in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &garbage] {
        assert!(poke(&endpoint, bytes).await < limits.handshake, "refused at once");
        assert!(ask(&mut working).await.is_ok());
    }
    assert!(ask_with(&endpoint, &farm.credentials(agent())).await.is_ok(), "newcomers get in, too");
    for poke in silent {
        let lasted = poke.await.unwrap();
        assert!(lasted >= limits.handshake && lasted < limits.handshake * 3, "{lasted:?}");
    }
    assert!(ask(&mut working).await.is_ok());
}

#[tokio::test]
async fn whoever_shakes_hands_and_then_says_nothing_is_dropped() {
    let farm = Farm::found();
    let limits = Limits { handshake: Duration::from_secs(1), ..Limits::default() };
    let endpoint = serve(farm.credentials(Peer::Coordinator(1)), limits).await;
    let anonymous = Credentials::anonymous(farm.trust()).unwrap();
    let tcp = TcpStream::connect(address(&endpoint)).await.unwrap();
    let name = COORDINATOR_NAME.try_into().unwrap();
    let connector = tokio_rustls::TlsConnector::from(anonymous.client());
    let mut stream = connector.connect(name, tcp).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0").await.unwrap();
    let mut answer = Vec::new();
    let _ = bounded(stream.read_to_end(&mut answer)).await;
}

#[test]
fn credentials_that_do_not_go_together_are_refused() {
    let farm = Farm::found();
    let pem = farm.certificate.as_bytes();
    let key = PrivateKey::generate().unwrap().to_pem();
    let wrong = |result: Result<Credentials, CredentialsError>| result.unwrap_err().to_string();
    let unnamed = Identity::from_pem(pem, key.as_bytes()).unwrap();
    assert_eq!(wrong(Credentials::new(unnamed, farm.trust())), "the certificate is not one of a farm");
    let (chain, _) = farm.certify_as_pem(agent(), 60);
    let mixed = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    let expected = "the certificate, its key and the farm's authority don't go together";
    assert_eq!(wrong(Credentials::new(mixed, farm.trust())), expected);
    let error = Identity::from_pem(pem, b"no key").unwrap_err().to_string();
    assert_eq!(error, "failed to read a private key in PEM form");
    let debug = format!("{:?}", farm.credentials(agent()));
    assert!(debug.contains("Agent") && !debug.contains("key"), "{debug}");
}

#[tokio::test]
async fn who_is_not_believed_is_told_apart_from_who_is_not_there() {
    let (farm, other) = (Farm::found(), Farm::found());
    let there = farm.serve().await;
    let away: Endpoint = "https://127.0.0.1:1".parse().unwrap();
    let table = [
        (vec![there.clone()], other.trust(), true),
        (vec![away.clone()], other.trust(), false),
        (vec![there, away], other.trust(), false),
    ];
    for (endpoints, trust, distrust) in table {
        let mut channel = dial(&endpoints, &Credentials::anonymous(trust).unwrap());
        let error = bounded(std::future::poll_fn(|cx| channel.poll_ready(cx))).await;
        let request =
            Request::builder().uri("https://coordinator.kiln/who/asks").body(Body::empty()).unwrap();
        let error = match error {
            Ok(()) => bounded(channel.call(request)).await.unwrap_err(),
            Err(error) => error,
        };
        let status = tonic::Status::from_error(Box::new(error));
        assert_eq!(
            (is_distrust(&status), is_absence(&status)),
            (distrust, !distrust),
            "{endpoints:?}: {status:?}"
        );
    }
}

#[tokio::test]
async fn an_authority_of_which_the_fingerprint_is_known_is_shown_to_other_clients() {
    let (farm, other) = (Farm::found(), Farm::found());
    let endpoints = [farm.serve().await];
    let pinned = |of: &Farm| Trust::Pinned(of.fingerprint);
    let shown = bounded(authorities(&endpoints, &pinned(&farm))).await.unwrap();
    let Trust::Authorities(all) = farm.trust() else { panic!("it has certificates") };
    assert_eq!(shown, [all[0].to_vec()]);
    assert!(bounded(authorities(&endpoints, &pinned(&other))).await.is_err());
    assert_eq!(bounded(authorities(&[], &farm.trust())).await.unwrap(), shown);
}

#[tokio::test]
async fn what_a_connection_carries_shows_when_it_comes_in() {
    let farm = Farm::found();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint: Endpoint = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
    let mut incoming =
        std::pin::pin!(accept(listener, farm.credentials(Peer::Coordinator(1)), Limits::default()));
    let mut lane = async |peer: Peer, for_consensus: bool| {
        let dialler = Dialler::new(std::slice::from_ref(&endpoint), &farm.credentials(peer));
        let dialler = if for_consensus { dialler.for_consensus() } else { dialler };
        let mut channel = dialler.channel();
        let asking = tokio::spawn(async move { ask(&mut channel).await });
        let lane = bounded(incoming.next()).await.unwrap().unwrap().lane();
        asking.abort();
        lane
    };
    assert_eq!(lane(Peer::Coordinator(2), true).await, Lane::Consensus);
    assert_eq!(lane(Peer::Coordinator(2), false).await, Lane::Coordinators);
    assert_eq!(lane(agent(), false).await, Lane::Crowd);
    assert_eq!(lane(agent(), true).await, Lane::Crowd, "it is no coordinator, whatever it says");
}
