//! What can happen to a request, an attempt, and the sidecar itself.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{Direction, Flags};

/// Something that happened to a request outside its attempts.
#[derive(Clone, Debug)]
pub enum RequestEvent {
    /// The deadline is known.
    DeadlineSet {
        /// Time left on arrival.
        left: Duration,
    },
    /// The route sends it elsewhere than it was sent to.
    Rewritten {
        /// What the attempts ask for.
        to: http::Uri,
    },
    /// There will be another attempt, after a pause.
    RetryScheduled {
        /// Condition that allowed it, as `5xx`.
        condition: &'static str,
        /// Length of the pause.
        delay: Duration,
        /// Share of the retry budget that is left, 0 to 1.
        budget_left: f64,
    },
    /// The failure met a retry condition, but there will be no further attempt.
    RetryRefused {
        /// `budget_exhausted`, `not_idempotent`, `body_too_large`, `deadline` or
        /// `attempts_exhausted`.
        reason: &'static str,
        /// Share of the retry budget that is left, 0 to 1.
        budget_left: f64,
    },
    /// The next attempt of this number begins beside one that is slow.
    HedgeStarted {
        /// Number of the attempt.
        number: u32,
        /// Share of the retry budget that is left, 0 to 1.
        budget_left: f64,
    },
    /// An attempt was slow, but there will be none beside it.
    HedgeRefused {
        /// As of [`RequestEvent::RetryRefused`].
        reason: &'static str,
    },
    /// The outcome of this attempt was taken; those that still run are given up.
    RaceWon {
        /// Number of the attempt.
        number: u32,
    },
    /// Refused by a limit, without an attempt.
    Shed {
        /// `rate_limited`, `overload`, `adaptive_limit`, … (bounded).
        reason: &'static str,
    },
    /// Refused by the access policy.
    Denied,
    /// A fault of position `request`, or at the node, struck.
    Fault(FaultInjected),
    /// A fault breaks the answer off: attempts that end now were not left by the caller.
    BrokenOff {
        /// Bounded code.
        reason: &'static str,
        /// Envoy's letters for what it imitates.
        flags: Flags,
    },
    /// It came over TLS.
    Secured(Arc<Secured>),
}

/// Something that happened to one attempt.
#[derive(Clone, Debug)]
pub enum AttemptEvent {
    /// A fault struck.
    Fault(FaultInjected),
    /// The outcome of this attempt ejected its endpoint.
    Ejected {
        /// Why, as `consecutive_failures` (bounded).
        reason: &'static str,
        /// How long it stays out.
        duration: Duration,
    },
    /// This attempt is the one that a half-open breaker lets through.
    HalfOpenProbe,
    /// It goes over TLS.
    Secured(Arc<Secured>),
}

/// What is known of a TLS connection; shared by all that goes over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secured {
    /// Both sides have a certificate.
    pub mutual: bool,
    /// Version of the protocol, as `1.3`.
    pub version: &'static str,
    /// The verified SPIFFE ID or name of the peer; none: it showed no certificate, or
    /// was verified by its address.
    pub peer: Option<Arc<str>>,
}

impl Secured {
    /// As it stands in the label `tls`.
    pub(super) fn label(secured: Option<&Arc<Self>>) -> &'static str {
        match secured {
            None => "none",
            Some(secured) if secured.mutual => "mutual",
            Some(_) => "server",
        }
    }
}

/// A fault, with all that is needed to draw it again.
#[derive(Clone, Debug)]
pub struct FaultInjected {
    /// Id of the rule.
    pub rule: Arc<str>,
    /// Kind of the fault, as it stands in the label `fault`.
    pub fault: &'static str,
    /// Start of the draw.
    pub seed: u64,
    /// What was drawn, 0 to 1.
    pub draw: f64,
    /// Percentage that was in force: it strikes where a hundred times the draw is below.
    pub share: f64,
    /// Trace that it was drawn for; none: the request's own.
    pub fate: Option<[u8; 16]>,
    /// Delay that the rule asks for; none: it is no delay, or has no length of its own.
    pub planned: Option<Duration>,
    /// Delay that it became.
    pub actual: Option<Duration>,
    /// Status that stands in place of the upstream's.
    pub replaced_status: Option<u16>,
    /// Status of gRPC that stands in place of the upstream's.
    pub replaced_grpc_status: Option<u16>,
    /// Bytes of the body that came before it broke off, or that were changed.
    pub bytes: Option<u64>,
}

impl FaultInjected {
    /// A fault of this kind, which did nothing yet.
    #[must_use]
    pub fn new(rule: &Arc<str>, fault: &'static str, seed: u64, draw: f64, share: f64) -> Self {
        Self {
            rule: Arc::clone(rule),
            fault,
            seed,
            draw,
            share,
            fate: None,
            planned: None,
            actual: None,
            replaced_status: None,
            replaced_grpc_status: None,
            bytes: None,
        }
    }
}

/// State of one endpoint's breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Takes requests.
    Closed,
    /// Takes one request, to see whether it can be closed.
    HalfOpen,
    /// Takes none.
    Open,
}

/// Something that happened to the sidecar, outside any one request.
#[derive(Clone, Debug)]
pub enum ProcessEvent<'a> {
    /// The breaker took an endpoint out.
    EndpointEjected {
        /// Its cluster.
        cluster: &'a str,
        /// `host:port`.
        endpoint: &'a str,
        /// Why, as `consecutive_failures` (bounded).
        reason: &'static str,
    },
    /// The breaker took it back.
    EndpointReadmitted {
        /// Its cluster.
        cluster: &'a str,
        /// `host:port`.
        endpoint: &'a str,
    },
    /// The endpoint is gone from the policy.
    EndpointRemoved {
        /// Its cluster.
        cluster: &'a str,
        /// `host:port`.
        endpoint: &'a str,
    },
    /// What the balancer chooses from.
    Endpoints {
        /// The cluster.
        cluster: &'a str,
        /// Take requests.
        ready: usize,
        /// Out by the breaker.
        ejected: usize,
        /// Take no new requests.
        draining: usize,
        /// Out by health checks.
        unhealthy: usize,
    },
    /// A health check asked an endpoint.
    HealthChecked {
        /// The cluster.
        cluster: &'a str,
        /// `ok`, `unhealthy`, `refused`, `timeout` or `error`.
        result: &'static str,
    },
    /// The endpoints of a cluster were looked up by name.
    Discovered {
        /// The cluster.
        cluster: &'a str,
        /// `ok`, `empty` or `error`.
        result: &'static str,
    },
    /// A policy is in force.
    ConfigApplied {
        /// Its revision; 0 for the file's.
        revision: u64,
    },
    /// A policy was refused; the old one stays.
    ConfigRejected {
        /// Its revision.
        revision: u64,
        /// How many problems it has.
        problems: usize,
    },
    /// The stream to the console opened (true) or broke.
    ControlConnected(bool),
    /// A connection to an endpoint was tried.
    UpstreamConnect {
        /// The cluster.
        cluster: &'a str,
        /// `ok`, `refused`, `timeout` or `error`.
        result: &'static str,
    },
    /// A pooled connection is there.
    UpstreamOpened {
        /// The cluster.
        cluster: &'a str,
    },
    /// A pooled connection is gone.
    UpstreamClosed {
        /// The cluster.
        cluster: &'a str,
    },
    /// A caller's connection is there.
    DownstreamOpened {
        /// `inbound`, `outbound`, `admin` or `metrics`.
        listener: &'static str,
    },
    /// A caller's connection is gone.
    DownstreamClosed {
        /// Its listener.
        listener: &'static str,
        /// Why (bounded).
        reason: &'static str,
    },
    /// A request was malformed, and its connection closed.
    Malformed {
        /// The listener.
        listener: &'static str,
        /// What is wrong with it (bounded).
        reason: &'static str,
    },
    /// A TLS handshake ended.
    TlsHandshake {
        /// Which side.
        direction: Direction,
        /// `ok`, `untrusted`, `expired`, `wrong_identity`, `timeout` or `error`.
        result: &'static str,
    },
    /// The certificate that is shown was read, or there is none any more.
    CertificateExpiry {
        /// Which side.
        direction: Direction,
        /// When it ends; of several the first end; none: none is shown.
        ends: Option<SystemTime>,
    },
    /// An adaptive cap of requests in flight has a new size.
    ConcurrencyLimit {
        /// Which side.
        direction: Direction,
        /// The called service.
        destination: &'a str,
        /// Name of the route.
        route: &'a str,
        /// Requests that may be in flight; none: there is no such cap any more.
        limit: Option<usize>,
    },
}
