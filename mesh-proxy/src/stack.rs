//! The table of contents: what a request passes, outside-in, and why each layer
//! stands where it does. A layer that has nothing to do decides that itself, so
//! this list is always the whole truth.

use std::{convert::Infallible, future::Future, sync::Arc};

use mesh_telemetry::proxy::Direction::{Inbound, Outbound};
use tower::{Service, ServiceBuilder};

use crate::{
    body::{Request, Response},
    call::Try,
    layers::{
        Fallible,
        answer::Answer,
        application::Application,
        attempt_telemetry::AttemptTelemetry,
        attempt_timeout::AttemptTimeout,
        authorize::Authorize,
        balance::Balance,
        breaker::Breaker,
        chaos::Chaos,
        deadline::Deadline,
        edge::Edge,
        forward::Forward,
        guard::Guard,
        hop::Hop,
        layer,
        limit::Limit,
        local::Local,
        mirror::Mirror,
        passing::{detour, gate, lookout},
        rate_limit::RateLimit,
        request_telemetry::RequestTelemetry,
        rescue::Rescue,
        retry::Retry,
        rewrite::Rewrite,
        route::Route,
        tunnel::Tunnel,
    },
    shared::Shared,
};

/// Application → its sidecar → network.
pub(crate) fn outbound(shared: &Arc<Shared>, worker: usize) -> impl Stack {
    ServiceBuilder::new()
        .layer(layer(Hop::new(shared, Outbound))) // what belongs to the caller's connection ends here; tunnels begin here
        .layer(layer(RequestTelemetry::outbound(shared))) // every request counts once, refused ones too
        .layer(layer(Rescue)) // inside telemetry, which so sees the final status
        .layer(gate(Guard::new(shared, Outbound))) // nothing ambiguous is routed
        .layer(detour(Tunnel::new(shared, Outbound))) // nothing below could see into it
        .layer(gate(Route::new(shared))) // the layers below need the policy
        .layer(detour(Deadline)) // outside retry: covers all attempts and the pauses between them
        .layer(gate(RateLimit)) // outside retry: what is shed is not tried again, or overload feeds itself
        .layer(layer(Limit)) // after the cheaper check; shed at once, no queue
        .layer(detour(Rewrite)) // before mirror: a copy is of what is sent; outside answer: its headers are changed, too
        .layer(detour(Answer)) // below the limits, which hold for what is answered here, above all that asks somebody
        .layer(gate(Mirror::new(shared, attempt(shared, worker)))) // once a request, not once an attempt
        .layer(lookout(Chaos)) // a dead dependency: before retry, which cannot save it
        .layer(layer(Retry::new(shared))) // outside the balancer: each attempt may change endpoint
        .service(attempt(shared, worker))
}

/// One try, from the choice of an endpoint to the wire.
fn attempt(shared: &Arc<Shared>, worker: usize) -> impl Fallible<Try> {
    ServiceBuilder::new()
        .layer(layer(Balance::new(shared))) // no attempt before there is an endpoint
        .layer(layer(AttemptTelemetry)) // the callee's span hangs under the attempt's
        .layer(layer(Breaker)) // outside timeout and chaos: both count against the endpoint
        .layer(detour(AttemptTimeout)) // inside the breaker, or a slow endpoint is never blamed
        .layer(lookout(Chaos)) // directly before what it imitates
        .service(Forward::new(shared, Outbound, worker)) // the wire
}

/// Network → sidecar → its application. No retry, balancer or breaker: retries on
/// both sides multiply, and belong to the caller's.
pub(crate) fn inbound(shared: &Arc<Shared>, worker: usize) -> impl Stack {
    ServiceBuilder::new()
        .layer(layer(Hop::new(shared, Inbound))) // what belongs to the caller's connection ends here; tunnels begin here
        .layer(gate(Edge::new(shared))) // what strangers claim reaches neither record nor rule
        .layer(layer(RequestTelemetry::inbound(shared))) // every request counts once, refused ones too
        .layer(layer(Rescue)) // inside telemetry, which so sees the final status
        .layer(gate(Guard::new(shared, Inbound))) // nothing ambiguous is authorized
        .layer(detour(Tunnel::new(shared, Inbound))) // none: nothing could be authorized in it
        .layer(gate(Local::new(shared))) // the layers below need the policy for this caller
        .layer(gate(Authorize)) // before chaos, which must never change an access decision
        .layer(detour(Deadline)) // adopts what the caller has left
        .layer(gate(RateLimit)) // before work is begun
        .layer(layer(Limit)) // outside chaos: an injected delay holds a slot, as a slow application would
        .layer(lookout(Chaos)) // a bad node, for every caller
        .layer(gate(Application::new(shared))) // the one endpoint there is
        .layer(layer(AttemptTelemetry)) // the request less this hop is what the sidecar costs
        .layer(detour(AttemptTimeout)) // ends a hair before the deadline, so the hop's record says why
        .service(Forward::new(shared, Inbound, worker)) // the wire
}

/// A whole stack: every request gets a response.
pub(crate) trait Stack:
    Service<
        Request,
        Response = Response,
        Error = Infallible,
        Future: Future + Send + Unpin + 'static,
    > + Clone
    + Send
    + Sync
    + Unpin
    + 'static
{
}

impl<S> Stack for S where
    S: Service<
            Request,
            Response = Response,
            Error = Infallible,
            Future: Future + Send + Unpin + 'static,
        > + Clone
        + Send
        + Sync
        + Unpin
        + 'static
{
}
