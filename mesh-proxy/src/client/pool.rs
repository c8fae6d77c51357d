//! Connections of one worker to one endpoint: idle ones of HTTP/1.1, newest first,
//! and the shared ones of HTTP/2.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use http::uri::Scheme;
use hyper::client::conn::{http1, http2};
use mesh_telemetry::task;
use tokio::time::{Instant, sleep_until};

use super::{Settings, Wanted, establish::Outcome};
use crate::body::Body;

/// Idle connections that are kept; more were a burst.
const MOST_IDLE: usize = 128;

/// How long an endpoint that could have chosen HTTP/2 and did not is taken at its word.
const HTTP1_REMEMBERED: Duration = Duration::from_mins(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Pool {
    settings: Arc<ArcSwap<Settings>>,
    state: Mutex<State>,
    open: Arc<AtomicUsize>,
    /// The peer does not want to be asked whether it is there.
    in_peace: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// HTTP/1.1, the one used last at the end.
    idle: Vec<Idle>,
    /// HTTP/2.
    shared: Vec<Arc<Shared>>,
    /// A shared connection is being made, for this; the outcome is told here.
    connecting: Option<(Wanted, Outcome)>,
    /// The last connection that could choose chose HTTP/1.1.
    http1: Option<Chosen>,
    /// There is a task that closes what is idle.
    swept: bool,
}

/// When, and under which settings.
#[derive(Debug)]
struct Chosen {
    at: Instant,
    settings: Arc<Settings>,
}

#[derive(Debug)]
struct Idle {
    held: Held,
    since: Instant,
}

/// An HTTP/1.1 connection that nobody else uses.
#[derive(Debug)]
pub(crate) struct Held {
    pub(super) sender: http1::SendRequest<Body>,
    pub(super) terms: Terms,
}

/// An HTTP/2 connection.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) sender: http2::SendRequest<Body>,
    pub(super) terms: Terms,
    /// Streams that the peer allows at once.
    pub(super) limit: Arc<AtomicUsize>,
    streams: AtomicUsize,
    used: Mutex<Instant>,
}

/// Under what a connection was made.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(super) settings: Arc<Settings>,
    pub(super) born: Instant,
    pub(super) _place: Place,
}

impl Terms {
    /// Whether the connection may take a new request.
    fn hold(&self, current: &Arc<Settings>, now: Instant) -> bool {
        let young = |age| now.saturating_duration_since(self.born) < age;
        Arc::ptr_eq(&self.settings, current) && current.max_age.is_none_or(young)
    }
}

/// A connection's place among those that are allowed.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place on a shared connection.
#[derive(Debug)]
pub(crate) struct Stream(pub(super) Arc<Shared>);

impl Stream {
    /// What requests on it say about the connection.
    pub(super) fn scheme(&self) -> Scheme {
        match self.0.terms.settings.tls {
            Some(_) => Scheme::HTTPS,
            None => Scheme::HTTP,
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        *lock(&self.0.used) = Instant::now();
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    pub(super) fn new(
        sender: http2::SendRequest<Body>,
        terms: Terms,
        limit: Arc<AtomicUsize>,
    ) -> Self {
        let used = Mutex::new(terms.born);
        Self {
            sender,
            terms,
            limit,
            streams: AtomicUsize::new(0),
            used,
        }
    }

    fn stream(self: &Arc<Self>) -> Option<Stream> {
        // Only this worker takes streams, so nobody comes in between.
        let free = self.streams.load(Ordering::Relaxed) < self.limit.load(Ordering::Relaxed);
        free.then(|| {
            self.streams.fetch_add(1, Ordering::Relaxed);
            Stream(Arc::clone(self))
        })
    }

    fn idle_since(&self) -> Option<Instant> {
        (self.streams.load(Ordering::Relaxed) == 0).then(|| *lock(&self.used))
    }
}

/// How a request gets its place on a shared connection.
pub(super) enum Way {
    /// Here is one.
    Stream(Stream),
    /// Somebody is connecting, and wants this.
    Wait(Wanted, Outcome),
    /// Whoever asked must connect, and tell the others.
    Connect(Place),
    /// There are as many connections as there may be.
    Full,
}

impl Pool {
    pub(super) fn new(settings: &Arc<ArcSwap<Settings>>) -> Arc<Self> {
        Arc::new(Self {
            settings: Arc::clone(settings),
            state: Mutex::default(),
            open: Arc::default(),
            in_peace: AtomicBool::new(false),
        })
    }

    pub(super) fn settings(&self) -> Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// After what silence a peer is asked whether it is there, if it is asked.
    pub(super) fn keep_alive(&self) -> Option<Duration> {
        let asks = !self.in_peace.load(Ordering::Relaxed);
        self.settings().keep_alive.filter(|_| asks)
    }

    /// From now on the peer is not asked that any more.
    pub(super) fn leave_in_peace(&self) {
        self.in_peace.store(true, Ordering::Relaxed);
    }

    /// The HTTP/1.1 connection used last that is ready for a request.
    pub(super) fn take(&self) -> Option<Held> {
        let mut state = self.state();
        if state.idle.is_empty() {
            return None;
        }
        let (settings, now) = (self.settings(), Instant::now());
        let at = state
            .idle
            .iter()
            .rposition(|idle| idle.held.sender.is_ready())?;
        if !state.idle[at].is_fresh(&settings, now) {
            state.idle.retain(|idle| idle.is_fresh(&settings, now)); // those below are older still
            return None;
        }
        Some(state.idle.remove(at).held)
    }

    /// Gives an HTTP/1.1 connection back whose answer has been read.
    pub(super) fn put(&self, held: Held) {
        let now = Instant::now();
        if held.sender.is_closed() || !held.terms.hold(&self.settings(), now) {
            return;
        }
        let mut state = self.state();
        if state.idle.len() >= MOST_IDLE {
            state.idle.retain(|idle| !idle.held.sender.is_closed());
        }
        if state.idle.len() < MOST_IDLE {
            state.idle.push(Idle { held, since: now });
        }
    }

    /// A stream of a shared connection, or how to come by one.
    pub(super) fn stream(&self) -> Way {
        let mut state = self.state();
        if let Some(stream) = state.free_stream(&self.settings()) {
            return Way::Stream(stream);
        }
        if let Some((wanted, outcome)) = &state.connecting {
            return Way::Wait(*wanted, outcome.clone());
        }
        self.room(&mut state).map_or(Way::Full, Way::Connect)
    }

    /// A place for one more connection; none: there are as many as there may be.
    pub(super) fn place(&self) -> Option<Place> {
        self.room(&mut self.state())
    }

    fn room(&self, state: &mut State) -> Option<Place> {
        if let Some(most) = self.settings().max_connections {
            if self.open.load(Ordering::Relaxed) >= most {
                state.evict();
            }
            if self.open.load(Ordering::Relaxed) >= most {
                return None;
            }
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        Some(Place(Arc::clone(&self.open)))
    }

    /// Tells further requests that somebody is connecting.
    pub(super) fn connecting(&self, wanted: Wanted, outcome: Outcome) {
        self.state().connecting = Some((wanted, outcome));
    }

    /// Nobody is connecting any more.
    pub(super) fn connected(&self) {
        self.state().connecting = None;
    }

    /// Shares a connection.
    pub(super) fn share(&self, shared: Shared) {
        let mut state = self.state();
        state.http1 = None;
        state.shared.push(Arc::new(shared));
    }

    /// Remembers what the upstream chooses when it may.
    pub(super) fn chose_http1(&self, held: &Held) {
        self.state().http1 = Some(Chosen {
            at: Instant::now(),
            settings: Arc::clone(&held.terms.settings),
        });
    }

    /// Whether the upstream chose HTTP/1.1 when it last could, not long ago.
    pub(super) fn speaks_http1(&self) -> bool {
        let mut state = self.state();
        let Some(chosen) = &state.http1 else {
            return false;
        };
        let holds = chosen.at.elapsed() < HTTP1_REMEMBERED
            && Arc::ptr_eq(&chosen.settings, &self.settings());
        if !holds {
            state.http1 = None;
        }
        holds
    }

    /// An exchange over HTTP/1.1 went wrong: the next that may choose asks anew.
    pub(super) fn doubt_http1(&self) {
        self.state().http1 = None;
    }

    /// Takes a shared connection out of use; its streams go on.
    pub(super) fn retire(&self, shared: &Arc<Shared>) {
        self.state()
            .shared
            .retain(|other| !Arc::ptr_eq(other, shared));
    }

    /// Lets unused connections be closed in time, also when nothing more is asked for.
    /// Must be called on the worker's runtime.
    pub(super) fn keep_swept(self: &Arc<Self>) {
        if std::mem::replace(&mut self.state().swept, true) {
            return;
        }
        let pool = Arc::downgrade(self);
        task::spawn("upstream_sweep", async move {
            while let Some(next) = pool.upgrade().and_then(|pool| pool.sweep(Instant::now())) {
                sleep_until(next).await;
            }
        });
    }

    /// Closes what is idle for too long; returns when to look again, none when there
    /// are no connections.
    fn sweep(&self, now: Instant) -> Option<Instant> {
        let settings = self.settings();
        let mut state = self.state();
        state.idle.retain(|idle| idle.is_fresh(&settings, now));
        state.idle.shrink_to_fit();
        state
            .shared
            .retain(|shared| shared.is_wanted(&settings, now));
        if self.open.load(Ordering::Relaxed) == 0 {
            state.swept = false;
            return None;
        }
        let next = now + settings.idle_timeout;
        let expiry = |since: Instant| since + settings.idle_timeout;
        let idle = state.idle.first().map(|idle| idle.since);
        let shared = state
            .shared
            .iter()
            .filter_map(|shared| shared.idle_since())
            .min();
        let first = idle.into_iter().chain(shared).map(expiry).min();
        // A hair later, so that what is due is over then.
        Some(first.map_or(next, |first| first.min(next)) + Duration::from_millis(1))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn free_stream(&mut self, settings: &Arc<Settings>) -> Option<Stream> {
        if self.shared.is_empty() {
            return None;
        }
        let now = Instant::now();
        self.shared
            .retain(|shared| !shared.sender.is_closed() && shared.terms.hold(settings, now));
        self.shared.iter().find_map(Shared::stream)
    }

    /// Makes room: what is closed, then the HTTP/1.1 connection idle for longest, else an
    /// unused shared one.
    fn evict(&mut self) {
        let before = self.idle.len() + self.shared.len();
        self.idle.retain(|idle| !idle.held.sender.is_closed());
        self.shared.retain(|shared| !shared.sender.is_closed());
        if self.idle.len() + self.shared.len() < before {
            return;
        }
        if !self.idle.is_empty() {
            self.idle.remove(0);
        } else if let Some(at) = self
            .shared
            .iter()
            .position(|shared| shared.idle_since().is_some())
        {
            self.shared.remove(at);
        }
    }
}

impl Idle {
    fn is_fresh(&self, settings: &Arc<Settings>, now: Instant) -> bool {
        let unused = now.saturating_duration_since(self.since);
        !self.held.sender.is_closed()
            && unused < settings.idle_timeout
            && self.held.terms.hold(settings, now)
    }
}

impl Shared {
    fn is_wanted(&self, settings: &Arc<Settings>, now: Instant) -> bool {
        let unused = self
            .idle_since()
            .map(|since| now.saturating_duration_since(since));
        !self.sender.is_closed()
            && self.terms.hold(settings, now)
            && unused.is_none_or(|unused| unused < settings.idle_timeout)
    }
}

/// A panic while one of these short locks is held leaves nothing half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
