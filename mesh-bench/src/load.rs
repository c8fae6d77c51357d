//! The load: cheap, because it shares a core with the upstream, and strict, because a
//! fast wrong answer is worth nothing. Every answer is read to its end and compared.

mod http1;
mod http2;

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    os::fd::OwnedFd,
    rc::Rc,
    time::Duration,
};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use serde::Serialize;
use tokio::{
    io::unix::AsyncFd,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::process::{CpuMeter, Process};

/// Longest that one answer may take; longer ones are failures.
const ANSWER: Duration = Duration::from_secs(10);
/// Connections over which HTTP/2 requests are spread, as those of a few clients.
const HTTP2_CONNECTIONS: usize = 4;

/// What is spoken to the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    /// HTTP/1.1 with kept connections.
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
}

/// Where requests go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) protocol: Protocol,
}

/// How often they go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// So many at once, the next as soon as one is answered.
    Closed { in_flight: usize },
    /// So many a second, however long answers take; latency counts from when a request
    /// should have begun.
    Rate { per_second: u64 },
}

/// How long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// Before anything counts.
    pub(crate) warm_up: Duration,
    /// Measured.
    pub(crate) window: Duration,
}

/// What one run of load showed.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Answers in the window.
    pub(crate) answered: u64,
    /// Right answers before, in and after the window.
    pub(crate) answered_in_all: u64,
    /// Wrong or missing answers, in all.
    pub(crate) failed: u64,
    /// What the first of them was.
    pub(crate) failure: Option<String>,
    /// Time of the proxies on a core in the window.
    pub(crate) cpu: Duration,
    /// The same by name of thread.
    pub(crate) by_thread: Vec<(String, Duration)>,
    /// Length of the window.
    pub(crate) elapsed: Duration,
    /// Nanoseconds to the last byte of an answer, in the window.
    pub(crate) latency: Histogram<u64>,
}

impl Sample {
    /// Microseconds of the proxies for one answer.
    pub(crate) fn cpu_per_request(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.answered as f64
    }

    /// Answers a second.
    pub(crate) fn rate(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }

    /// Milliseconds within which this share of answers came.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        self.latency.value_at_quantile(share) as f64 / 1e6
    }
}

/// What happened to requests, as they end.
struct Book {
    measuring: Cell<bool>,
    stopping: Cell<bool>,
    answered: Cell<u64>,
    failed: Cell<u64>,
    failure: RefCell<Option<String>>,
    latency: RefCell<Histogram<u64>>,
}

impl Book {
    fn new() -> anyhow::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            measuring: Cell::new(false),
            stopping: Cell::new(false),
            answered: Cell::new(0),
            failed: Cell::new(0),
            failure: RefCell::default(),
            latency: RefCell::new(Histogram::new_with_bounds(1000, 60_000_000_000, 3)?),
        }))
    }

    fn write(&self, result: anyhow::Result<()>, since: Instant) {
        match result {
            Ok(()) => {
                self.answered.set(self.answered.get() + 1);
                if self.measuring.get() {
                    let nanoseconds = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    self.latency.borrow_mut().saturating_record(nanoseconds);
                }
            }
            Err(error) => {
                self.failed.set(self.failed.get() + 1);
                self.failure
                    .borrow_mut()
                    .get_or_insert_with(|| format!("{error:#}"));
            }
        }
    }
}

/// Runs the load and measures the processes meanwhile. Must be called in a `LocalSet`.
pub(crate) async fn run(
    target: Target,
    pace: Pace,
    times: Times,
    processes: &[Process],
) -> anyhow::Result<Sample> {
    let book = Book::new()?;
    let mut meter = CpuMeter::new(processes);
    let mut tasks = begin(target, pace, &book).await?;
    sleep(times.warm_up).await;
    let (before, answered, begun) = (meter.read(), book.answered.get(), Instant::now());
    meter.mark();
    book.measuring.set(true);
    watch(&mut meter, begun, times.window).await;
    let (after, until) = (meter.read(), book.answered.get());
    let elapsed = begun.elapsed();
    book.measuring.set(false);
    book.stopping.set(true);
    let _ended = timeout(ANSWER, async { while tasks.join_next().await.is_some() {} }).await;
    drop(tasks);
    Ok(Sample {
        answered: until - answered,
        answered_in_all: book.answered.get(),
        failed: book.failed.get(),
        failure: book.failure.take(),
        cpu: after.since(before),
        by_thread: meter.by_thread(),
        elapsed,
        latency: book.latency.borrow().clone(),
    })
}

/// Looks at the threads every now and then, so that none comes and goes unseen.
async fn watch(meter: &mut CpuMeter, begun: Instant, window: Duration) {
    const PAUSE: Duration = Duration::from_millis(500);
    while let Some(left) = window.checked_sub(begun.elapsed()) {
        sleep(left.min(PAUSE)).await;
        meter.read();
    }
}

async fn begin(target: Target, pace: Pace, book: &Rc<Book>) -> anyhow::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    match (pace, target.protocol) {
        (Pace::Closed { in_flight }, Protocol::Http1) => {
            for _ in 0..in_flight {
                let client = http1::Client::connect(target.address).await?;
                tasks.spawn_local(closed_http1(client, Rc::clone(book)));
            }
        }
        (Pace::Closed { in_flight }, Protocol::Http2) => {
            let clients = http2_clients(target).await?;
            for index in 0..in_flight {
                let client = clients[index % clients.len()].clone();
                tasks.spawn_local(closed_http2(client, Rc::clone(book)));
            }
        }
        (Pace::Rate { per_second }, protocol) => {
            let arrivals = Arrivals::every(Duration::from_nanos(1_000_000_000 / per_second))?;
            let clients = match protocol {
                Protocol::Http1 => Vec::new(),
                Protocol::Http2 => http2_clients(target).await?,
            };
            tasks.spawn_local(paced(arrivals, target, clients, Rc::clone(book)));
        }
    }
    Ok(tasks)
}

async fn http2_clients(target: Target) -> anyhow::Result<Vec<http2::Client>> {
    let mut clients = Vec::new();
    for _ in 0..HTTP2_CONNECTIONS {
        clients.push(http2::Client::connect(target.address).await?);
    }
    Ok(clients)
}

async fn closed_http1(mut client: http1::Client, book: Rc<Book>) {
    while !book.stopping.get() {
        let since = Instant::now();
        let result = client.exchange().await;
        let failed = result.is_err();
        book.write(result, since);
        if failed && !again(&mut client, &book).await {
            return;
        }
    }
}

/// A broken connection is replaced, unhurriedly.
async fn again(client: &mut http1::Client, book: &Book) -> bool {
    while !book.stopping.get() {
        sleep(Duration::from_millis(20)).await;
        if let Ok(fresh) = http1::Client::connect(client.address()).await {
            *client = fresh;
            return true;
        }
    }
    false
}

async fn closed_http2(mut client: http2::Client, book: Rc<Book>) {
    while !book.stopping.get() {
        let since = Instant::now();
        let result = client.exchange().await;
        let failed = result.is_err();
        book.write(result, since);
        if failed {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn paced(mut arrivals: Arrivals, target: Target, http2: Vec<http2::Client>, book: Rc<Book>) {
    let mut running = JoinSet::new();
    let idle: Rc<RefCell<Vec<http1::Client>>> = Rc::default();
    let mut count = 0;
    while !book.stopping.get() {
        tokio::select! {
            Some(_ended) = running.join_next() => {}
            since = arrivals.next() => {
                let Ok(since) = since else { return };
                let book = Rc::clone(&book);
                if http2.is_empty() {
                    running.spawn_local(one_http1(target, Rc::clone(&idle), book, since));
                } else {
                    let mut client = http2[count % http2.len()].clone();
                    running.spawn_local(async move { book.write(client.exchange().await, since) });
                }
                count += 1;
            }
        }
    }
    while running.join_next().await.is_some() {}
}

async fn one_http1(
    target: Target,
    idle: Rc<RefCell<Vec<http1::Client>>>,
    book: Rc<Book>,
    since: Instant,
) {
    let kept = idle.borrow_mut().pop();
    let client = match kept {
        Some(client) => Ok(client),
        None => http1::Client::connect(target.address).await,
    };
    let result = match client {
        Ok(mut client) => match client.exchange().await {
            Ok(()) => {
                idle.borrow_mut().push(client);
                Ok(())
            }
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    book.write(result, since);
}

/// Instants at which requests should begin. The runtime's own timer has ticks of a
/// millisecond, which is as long as the answers take: this one is the kernel's.
struct Arrivals {
    timer: AsyncFd<OwnedFd>,
    every: Duration,
    next: Instant,
    due: u64,
}

impl Arrivals {
    fn every(every: Duration) -> anyhow::Result<Self> {
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )
        .context("a timer")?;
        let every_spec = Timespec {
            tv_sec: every.as_secs().try_into()?,
            tv_nsec: every.subsec_nanos().into(),
        };
        let spec = Itimerspec {
            it_interval: every_spec,
            it_value: every_spec,
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &spec).context("setting a timer")?;
        Ok(Self {
            next: Instant::now() + every,
            timer: watched(timer)?,
            every,
            due: 0,
        })
    }

    /// When the next request should have begun, once that time has come.
    async fn next(&mut self) -> anyhow::Result<Instant> {
        while self.due == 0 {
            let mut ready = self.timer.readable().await?;
            let mut count = [0; 8];
            match ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut count)?)) {
                Ok(read) => {
                    read?;
                    self.due = u64::from_ne_bytes(count);
                }
                Err(_would_block) => {}
            }
        }
        self.due -= 1;
        let now = self.next;
        self.next += self.every;
        Ok(now)
    }
}

#[expect(
    deprecated,
    reason = "its replacement is unsafe; an `OwnedFd` keeps its number as long as it lives"
)]
fn watched(timer: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(timer)
}

/// One right answer, within this time, or what went wrong last.
pub(crate) async fn first_answer(target: Target, within: Duration) -> anyhow::Result<()> {
    let until = Instant::now() + within;
    loop {
        let tried = match timeout(within, once(target)).await {
            Ok(tried) => tried,
            Err(_) => Err(anyhow::anyhow!("no answer within {within:?}")),
        };
        match tried {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= until => return Err(error),
            Err(_) => sleep(Duration::from_millis(1)).await,
        }
    }
}

async fn once(target: Target) -> anyhow::Result<()> {
    match target.protocol {
        Protocol::Http1 => {
            http1::Client::connect(target.address)
                .await?
                .exchange()
                .await
        }
        Protocol::Http2 => {
            http2::Client::connect(target.address)
                .await?
                .exchange()
                .await
        }
    }
}

/// Connections that have each had one answer and now do nothing.
pub(crate) struct Idle {
    _connections: Vec<http1::Client>,
}

impl Idle {
    pub(crate) async fn open(address: SocketAddr, count: usize) -> anyhow::Result<Self> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            let mut client = http1::Client::connect(address).await?;
            client.exchange().await?;
            connections.push(client);
        }
        Ok(Self {
            _connections: connections,
        })
    }
}
