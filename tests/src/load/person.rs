//! A person who wants something of the farm while its leader changes. They sit at a machine of their own, so they ask from a
//! thread of their own: ten thousand agents that come again keep this process's other threads busy.

use std::time::{Duration, Instant};

use kiln_proto::v1;
use tokio::sync::oneshot;

use super::farm::Door;
use super::{Fault, plans, submit};

/// How long a question to a farm without leader may take before it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// When they were served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    /// A question was answered.
    pub(super) answers: Instant,
    /// A build was taken.
    pub(super) takes_work: Instant,
}

/// Somebody who is connected.
#[derive(Debug)]
pub(super) struct Person {
    begin: oneshot::Sender<()>,
    served: oneshot::Receiver<Result<Served, Fault>>,
}

impl Person {
    /// They connect, and ask nothing yet.
    pub(super) async fn connect(door: Door) -> Result<Self, Fault> {
        let (connected, is_connected) = oneshot::channel();
        let (begin, begun) = oneshot::channel();
        let (tell, served) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            let _ = tell.send(runtime.block_on(serve(door, connected, begun)));
        });
        is_connected.await?;
        Ok(Self { begin, served })
    }

    /// They ask, and ask again, until they are served.
    pub(super) async fn ask(self) -> Result<Served, Fault> {
        self.begin.send(()).map_err(|()| "nobody is there to ask")?;
        self.served.await?
    }
}

async fn serve(
    door: Door,
    connected: oneshot::Sender<()>,
    begun: oneshot::Receiver<()>,
) -> Result<Served, Fault> {
    let (mut identity, submission) = (door.identity()?, door.submission()?);
    identity.who_am_i(v1::WhoAmIRequest {}).await?;
    let _ = connected.send(());
    begun.await?;
    let answers = async {
        while !matches!(
            tokio::time::timeout(ASK_AGAIN, identity.who_am_i(v1::WhoAmIRequest {})).await,
            Ok(Ok(_))
        ) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Instant::now()
    };
    let takes_work = async {
        submit(submission, plans::request(1)).await?;
        Ok::<Instant, Fault>(Instant::now())
    };
    let (answers, takes_work) = tokio::join!(answers, takes_work);
    Ok(Served { answers, takes_work: takes_work? })
}
