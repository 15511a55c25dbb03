//! The coordinators that are measured, as processes.

use std::process::Stdio;
use std::time::{Duration, Instant};

use kiln_proto::token::{Bearer, Token};
use kiln_proto::transport::{Credentials, Endpoint, dial};
use kiln_proto::v1;
use kiln_proto::v1::identity_client::IdentityClient;
use kiln_proto::v1::submission_client::SubmissionClient;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::coordinator::{How, Places, processor_seconds, resident};
use super::{Fault, PATIENCE};

type Shown = InterceptedService<Channel, Bearer>;

/// The way to submit builds.
pub(super) type Submissions = SubmissionClient<Shown>;

/// What a coordinator says of itself.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    leads: bool,
    agents: usize,
}

/// A coordinator's process.
#[derive(Debug)]
struct Process {
    endpoint: Endpoint,
    places: Places,
    child: Child,
    /// Closing it ends the coordinator.
    _stdin: ChildStdin,
    said: watch::Receiver<Said>,
}

/// A farm of one coordinator or several.
#[derive(Debug)]
pub(super) struct Farm {
    processes: Vec<Process>,
    pub(super) operator: Token,
    directory: TempDir,
}

/// How the operator gets in.
#[derive(Clone, Debug)]
pub(super) struct Door {
    endpoints: Vec<Endpoint>,
    operator: Token,
}

impl Door {
    fn shown(&self) -> Result<Shown, Fault> {
        let anonymous = Credentials::anonymous(self.operator.trust())?;
        Ok(InterceptedService::new(dial(&self.endpoints, &anonymous), Bearer::of(&self.operator)))
    }

    /// Who may take part.
    pub(super) fn identity(&self) -> Result<IdentityClient<Shown>, Fault> {
        Ok(IdentityClient::new(self.shown()?))
    }

    /// Submissions.
    pub(super) fn submission(&self) -> Result<Submissions, Fault> {
        Ok(SubmissionClient::new(self.shown()?).max_decoding_message_size(kiln_proto::MESSAGE_LIMIT))
    }
}

fn places(directory: &TempDir, number: u64) -> Places {
    let directory = directory.path();
    Places { ledger: directory.join(format!("c{number}")), store: directory.join("objects") }
}

async fn start(how: How, places: Places) -> Result<(Process, Option<String>), Fault> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("coordinator").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let mut stdin = stdin.ok_or("the coordinator has no input")?;
    stdin.write_all(how.line(&places).as_bytes()).await?;
    let mut lines = BufReader::new(stdout.ok_or("the coordinator has no output")?).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await??;
    let line = line.ok_or("a coordinator ended before it was ready")?;
    let mut words = line.split('\t').skip(1);
    let endpoint = words.next().unwrap_or_default().parse()?;
    let operator = words.next().filter(|token| !token.is_empty()).map(str::to_owned);
    let (tell, said) = watch::channel(Said::default());
    tokio::spawn(listen(lines, tell));
    Ok((Process { endpoint, places, child, _stdin: stdin, said }, operator))
}

async fn listen(mut lines: Lines<BufReader<ChildStdout>>, tell: watch::Sender<Said>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let mut words = line.split('\t').skip(1);
        let leads = words.next() == Some("leads");
        let agents = words.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        tell.send_replace(Said { leads, agents });
    }
    tell.send_replace(Said::default());
}

impl Farm {
    /// Founds a farm of so many coordinators.
    pub(super) async fn start(coordinators: u64) -> Result<Self, Fault> {
        let directory = tempfile::tempdir()?;
        let (first, operator) = start(How::Found, places(&directory, 1)).await?;
        let operator: Token = operator.ok_or("the farm has no operator")?.parse()?;
        let mut farm = Self { processes: vec![first], operator, directory };
        for n in 2..=coordinators {
            let usage = v1::token_use::Usage::JoinCoordinator(v1::JoinFarm {});
            let usage = Some(v1::TokenUse { usage: Some(usage) });
            let request = v1::CreateTokenRequest { name: "load".into(), usage, valid_ms: None };
            let token = farm.door().identity()?.create_token(request).await?.into_inner().token;
            let known = farm.processes[0].endpoint.clone();
            let places = places(&farm.directory, n);
            farm.processes.push(start(How::Join(known, token), places).await?.0);
        }
        Ok(farm)
    }

    /// Where all of them are.
    pub(super) fn endpoints(&self) -> Vec<Endpoint> {
        self.processes.iter().map(|process| process.endpoint.clone()).collect()
    }

    /// The operator's way in.
    pub(super) fn door(&self) -> Door {
        Door { endpoints: self.endpoints(), operator: self.operator.clone() }
    }

    /// Which of them leads, once one does.
    async fn leader(&self) -> usize {
        loop {
            if let Some(leader) = self.processes.iter().position(|process| process.said.borrow().leads) {
                return leader;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until so many agents have a stream with the leader, and returns when that was.
    pub(super) async fn seated(&self, agents: u64) -> Result<Instant, Fault> {
        let seated = async {
            loop {
                let leader = self.leader().await;
                let mut said = self.processes[leader].said.clone();
                let all = |said: &Said| !said.leads || said.agents as u64 >= agents;
                if said.wait_for(all).await.is_ok_and(|said| said.leads) {
                    return Instant::now();
                }
            }
        };
        Ok(tokio::time::timeout(PATIENCE, seated).await?)
    }

    /// Kills the leader as a power cut would, and returns when that was and who it was. One that is alone is started
    /// again at once.
    pub(super) async fn kill_leader(&mut self) -> Result<(usize, Instant), Fault> {
        let leader = self.leader().await;
        let killed = Instant::now();
        self.processes[leader].child.kill().await?;
        if self.processes.len() == 1 {
            self.restart(leader).await?;
        } else {
            let mut said = self.processes[leader].said.clone();
            said.wait_for(|said| !said.leads).await?;
        }
        Ok((leader, killed))
    }

    /// Starts one again that was killed.
    pub(super) async fn restart(&mut self, number: usize) -> Result<(), Fault> {
        let Process { endpoint, places, .. } = &self.processes[number];
        let (again, _) = start(How::Again(endpoint.clone()), places.clone()).await?;
        self.processes[number] = again;
        Ok(())
    }

    /// Ends all of them, and leaves nothing behind.
    pub(super) async fn end(mut self) -> Result<(), Fault> {
        for process in &mut self.processes {
            process.child.kill().await?;
        }
        Ok(self.directory.close()?)
    }

    fn numbers(&self) -> impl Iterator<Item = u32> {
        self.processes.iter().filter_map(|process| process.child.id())
    }

    /// Bytes that all of them have in memory.
    pub(super) fn resident(&self) -> u64 {
        self.numbers().map(resident).sum()
    }

    /// Seconds of processor time that all of them have used.
    pub(super) fn processor_seconds(&self) -> f64 {
        self.numbers().map(processor_seconds).sum()
    }
}
