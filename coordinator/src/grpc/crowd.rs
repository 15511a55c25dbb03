//! What is dear to serve is served to a few at a time, and a few more wait; all others are told at once to come again. Before
//! anything of a request is read: who waits costs next to nothing.
//!
//! ```text
//!   Submit, PutBundle ──► too many wait, or too many of the same caller's ── unavailable
//!          │
//!          └──► waits for a place ──► is read and carried out ──► gives the place back with the answer
//! ```
//!
//! One caller can't take all the places to wait, so that a flood from one side leaves room for the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use kiln_proto::{Code, Problem};
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service, ServiceExt};

use crate::identity::caller::Identified;

/// How many may do it at once, wait for it, and be of one caller.
#[derive(Clone, Copy, Debug)]
struct Room {
    path: &'static str,
    what: &'static str,
    places: usize,
    most: usize,
    most_of_one: usize,
}

/// What is dear. A submission holds its request and its files in memory while it is evaluated, a bundle all that came of it.
const ROOMS: [Room; 2] = [
    Room {
        path: "/kiln.v1.Submission/Submit",
        what: "submissions",
        places: 16,
        most: 1_024,
        most_of_one: 256,
    },
    Room { path: "/kiln.v1.Submission/PutBundle", what: "bundles", places: 4, most: 64, most_of_one: 16 },
];

/// Lets in a few at a time. Clones share the room.
#[derive(Clone, Debug)]
pub(crate) struct CrowdLayer {
    crowds: Arc<[Crowd; 2]>,
}

#[derive(Debug)]
struct Crowd {
    room: Room,
    places: Arc<Semaphore>,
    /// Who is there, by caller.
    here: Mutex<BTreeMap<String, usize>>,
}

/// Somebody who waits or is served.
#[derive(Debug)]
struct Present {
    crowds: Arc<[Crowd; 2]>,
    nth: usize,
    caller: String,
}

impl CrowdLayer {
    pub(crate) fn new() -> Self {
        let crowd = |room: Room| Crowd {
            room,
            places: Arc::new(Semaphore::new(room.places)),
            here: Mutex::default(),
        };
        Self { crowds: Arc::new(ROOMS.map(crowd)) }
    }

    /// Takes somebody in, if there is room.
    fn enter(&self, nth: usize, caller: String) -> Result<Present, Problem> {
        let Room { what, most, most_of_one, .. } = self.crowds[nth].room;
        let full = |told: String| Err(Problem::new(Code::Unavailable, told));
        self.crowds[nth].with(|here| {
            if here.values().sum::<usize>() >= most {
                return full(format!("{most} {what} are under way already; try again later"));
            }
            let own = here.entry(caller.clone()).or_default();
            if *own >= most_of_one {
                return full(format!("{most_of_one} {what} of yours are under way already; try again later"));
            }
            *own += 1;
            Ok(Present { crowds: Arc::clone(&self.crowds), nth, caller })
        })
    }
}

impl Crowd {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<String, usize>) -> T) -> T {
        work(&mut self.here.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.crowds[self.nth].with(|here| {
            if let Some(own) = here.get_mut(&self.caller) {
                *own -= 1;
                if *own == 0 {
                    here.remove(&self.caller);
                }
            }
        });
    }
}

impl<S> Layer<S> for CrowdLayer {
    type Service = Crowded<S>;

    fn layer(&self, services: S) -> Crowded<S> {
        Crowded { services, layer: self.clone() }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Crowded<S> {
    services: S,
    layer: CrowdLayer,
}

impl<S> Service<Request<Body>> for Crowded<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.services.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let Some(nth) = ROOMS.iter().position(|room| room.path == path) else {
            return Box::pin(self.services.call(request));
        };
        let known = request.extensions().get::<Identified>();
        let caller = known.map_or_else(String::new, |known| known.caller.to_header());
        let present = match self.layer.enter(nth, caller) {
            Ok(present) => present,
            Err(problem) => return Box::pin(std::future::ready(Ok(Status::from(problem).into_http()))),
        };
        let places = Arc::clone(&self.layer.crowds[nth].places);
        // The one that was found ready serves; its clone will be asked whether it is ready.
        let clone = self.services.clone();
        let services = std::mem::replace(&mut self.services, clone);
        Box::pin(async move {
            let _place = places.acquire_owned().await;
            let answer = services.oneshot(request).await;
            drop(present);
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_leaves_room_for_others_and_all_together_have_a_bound() {
        let layer = CrowdLayer::new();
        let enter = |caller: usize| layer.enter(0, caller.to_string());
        let Room { most, most_of_one, .. } = ROOMS[0];
        let mut present: Vec<Present> = (0..most_of_one).map(|_| enter(0).unwrap()).collect();
        let told = enter(0).unwrap_err();
        assert_eq!(told.message, "256 submissions of yours are under way already; try again later");
        present.extend((most_of_one..most).map(|n| enter(n).unwrap()));
        let told = enter(most).unwrap_err();
        assert_eq!(
            (told.code, told.message.as_str()),
            (Code::Unavailable, "1024 submissions are under way already; try again later")
        );
        assert!(layer.enter(1, "0".into()).is_ok(), "bundles have a room of their own");
        present.pop();
        assert!(enter(most).is_ok());
        drop(present);
        assert!(layer.crowds[0].with(|here| here.is_empty()));
    }
}
