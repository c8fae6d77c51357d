//! What travels down the stack. Each stage has a type of its own, so that a
//! layer in the wrong place does not compile: nothing can ask for a route before
//! `route`, for an endpoint before `balance`, or for an attempt's span before
//! `attempt_telemetry`.

mod due;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

pub(crate) use due::Due;
use mesh_telemetry::proxy::{AttemptScope, RequestScope};

use crate::{
    body::Request,
    cluster::{Endpoint, Permit},
    policy::RouteState,
};

/// A request whose record is open.
pub(crate) struct Call {
    pub(crate) request: Request,
    pub(crate) scope: RequestScope,
}

/// A request whose route, and with it policy, is known.
pub(crate) struct Routed {
    pub(crate) request: Request,
    pub(crate) scope: RequestScope,
    pub(crate) route: Arc<RouteState>,
    /// None: neither the policy nor the caller set one.
    pub(crate) deadline: Option<Due>,
    /// Which of its caller's attempts this request is; 1 unless a sidecar says otherwise.
    pub(crate) callers_attempt: u32,
}

/// One try at a request, before there is an endpoint for it.
pub(crate) struct Try {
    pub(crate) request: Request,
    pub(crate) scope: RequestScope,
    pub(crate) route: Arc<RouteState>,
    pub(crate) deadline: Option<Due>,
    /// 1, 2, …
    pub(crate) number: u32,
    /// Endpoints of earlier tries; none where there is only one try.
    pub(crate) tried: Option<Tried>,
}

/// A try with an endpoint.
pub(crate) struct Placed {
    pub(crate) request: Request,
    pub(crate) scope: RequestScope,
    pub(crate) route: Arc<RouteState>,
    pub(crate) deadline: Option<Due>,
    pub(crate) number: u32,
    pub(crate) endpoint: Arc<Endpoint>,
    /// The balancer's; none on the way to the application, which is never ejected.
    pub(crate) permit: Option<Permit>,
}

/// A try with an endpoint and an open record.
pub(crate) struct Attempt {
    pub(crate) request: Request,
    pub(crate) scope: AttemptScope,
    pub(crate) trace_id: [u8; 16],
    pub(crate) route: Arc<RouteState>,
    pub(crate) deadline: Option<Due>,
    pub(crate) number: u32,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) permit: Option<Permit>,
}

/// What the tries of one request know of each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tried(Arc<Tries>);

#[derive(Debug, Default)]
struct Tries {
    endpoints: Mutex<Vec<Arc<Endpoint>>>,
    is_won: AtomicBool,
}

impl Tried {
    pub(crate) fn add(&self, endpoint: &Arc<Endpoint>) {
        self.with(|tried| tried.push(Arc::clone(endpoint)));
    }

    pub(crate) fn contains(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.with(|tried| tried.iter().any(|other| Arc::ptr_eq(other, endpoint)))
    }

    /// One of them has the answer; those that still run have lost.
    pub(crate) fn win(&self) {
        self.0.is_won.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_won(&self) -> bool {
        self.0.is_won.load(Ordering::Relaxed)
    }

    fn with<T>(&self, then: impl FnOnce(&mut Vec<Arc<Endpoint>>) -> T) -> T {
        then(
            &mut self
                .0
                .endpoints
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

impl Routed {
    /// The request goes to the application beside this sidecar.
    pub(crate) fn into_placed(self, endpoint: Arc<Endpoint>) -> Placed {
        Placed {
            request: self.request,
            scope: self.scope,
            route: self.route,
            deadline: self.deadline,
            number: 1,
            endpoint,
            permit: None,
        }
    }
}
