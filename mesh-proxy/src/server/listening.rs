//! What the connections of one listener share.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;
use tokio::{sync::Semaphore, time::Instant};

use super::http2::Streams;
use crate::{
    baggage::BAGGAGE,
    config::{Forwarded, ListenerLimits},
    random::Random,
    tls::ServerTls,
};

/// Longest time between two looks at the clock while a connection is busy: timers are
/// not set and cancelled for each request, and times are kept to this.
const LONGEST_TICK: Duration = Duration::from_secs(1);

/// Shortest; a limit below four of them is kept less exactly.
const SHORTEST_TICK: Duration = Duration::from_millis(20);

/// Headers that hyper reads without a place on the heap.
const HYPERS_HEADERS: usize = 100;

/// Share of its age by which a connection may retire earlier, so that those that were
/// opened together do not all come back together.
const JITTER: f64 = 0.1;

/// Bytes of one answer that are taken before its caller has room for them. A caller may
/// leave all its streams unread, so that each connection holds `max_streams` times this.
const SEND_BUFFER: usize = 64 * 1024;

/// Silence on an HTTP/2 connection after which its caller is asked whether it is still
/// there, and how long the answer may take.
const KEEP_ALIVE: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(20)];

/// See the module.
pub(crate) struct Listening {
    /// Bounded: it is a label.
    pub(super) name: &'static str,
    pub(super) limits: ListenerLimits,
    /// How many connections may still come.
    pub(super) places: Arc<Semaphore>,
    pub(super) http1: http1::Builder,
    pub(super) http2: http2::Builder<Streams>,
    /// See [`LONGEST_TICK`].
    pub(super) tick: Duration,
    /// None: plain text.
    pub(super) tls: Option<Arc<ServerTls>>,
    random: Random,
}

impl Listening {
    /// `name` as in metrics: `inbound`, `outbound`, `admin` or `metrics`.
    pub(crate) fn new(
        name: &'static str,
        limits: ListenerLimits,
        tls: Option<Arc<ServerTls>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            places: Arc::new(Semaphore::new(limits.max_connections)),
            http1: http1_builder(&limits),
            http2: http2_builder(&limits),
            tick: tick(&limits),
            random: Random::from_system(),
            limits,
            tls,
        })
    }

    /// When a connection that begins now is asked to end.
    pub(super) fn retires(&self) -> Option<Instant> {
        let age = self.limits.max_connection_age?;
        Some(Instant::now() + age.mul_f64(1.0 - JITTER * self.random.unit()))
    }

    /// Whether a request is told where it comes from: for `Forwarded`, or because its
    /// baggage may be that of a tester.
    pub(super) fn tells_address(&self, headers: &HeaderMap) -> bool {
        self.limits.forwarded != Forwarded::Off || headers.contains_key(BAGGAGE)
    }
}

fn tick(limits: &ListenerLimits) -> Duration {
    let shortest = [
        Some(limits.head_timeout),
        limits.idle_timeout,
        limits.max_connection_age,
    ];
    let shortest = shortest.into_iter().flatten().min();
    let tick = shortest.map_or(LONGEST_TICK, |shortest| shortest / 4);
    tick.clamp(SHORTEST_TICK, LONGEST_TICK)
}

fn http1_builder(limits: &ListenerLimits) -> http1::Builder {
    const LEAST: usize = 8192; // hyper's
    let head = usize::try_from(limits.max_head).unwrap_or(usize::MAX);
    let mut http = http1::Builder::new();
    http.header_read_timeout(None) // kept here, without a timer for each request
        .max_header_size(head)
        .max_buf_size(head.max(LEAST));
    if limits.max_headers != HYPERS_HEADERS {
        http.max_headers(limits.max_headers);
    }
    http
}

fn http2_builder(limits: &ListenerLimits) -> http2::Builder<Streams> {
    let mut http = http2::Builder::new(Streams);
    let [silence, patience] = KEEP_ALIVE;
    http.timer(TokioTimer::new())
        .keep_alive_interval(silence)
        .keep_alive_timeout(patience)
        .max_send_buf_size(SEND_BUFFER)
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(u32::try_from(limits.max_head).unwrap_or(u32::MAX));
    http
}
