//! Who is compared, and in which dress.

mod certificates;
mod envoy;
mod mesh_proxy;
mod others;
mod programs;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use serde::Serialize;

pub(crate) use certificates::Certificates;
pub(crate) use programs::Programs;

use crate::{
    load::{Protocol, Target, first_answer},
    machine::Cores,
    process::Process,
    receiver::Receiver,
    upstream::Upstream,
};

/// How long a proxy may take to its first answer.
const START: Duration = Duration::from_secs(8);

/// One of those who are compared.
#[derive(Clone, Debug)]
pub(crate) struct Contestant {
    /// How the report calls it.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) dress: Dress,
}

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// No proxy at all.
    Direct,
    MeshProxy,
    Envoy,
    Haproxy,
    Nginx,
}

/// What a contestant is asked to do.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing of its own that is on or off"
)]
pub(crate) struct Dress {
    /// Spoken on all hops that can speak it.
    pub(crate) protocol: Protocol,
    /// Proxies one behind the other.
    pub(crate) hops: usize,
    /// Between the hops: mutual TLS.
    pub(crate) tls: bool,
    /// Routes with retries, breaker, limits, chaos rules, an access log; otherwise a
    /// route and nothing else.
    pub(crate) everything: bool,
    /// Share of requests that are traced, 0 to 1; none: no tracing at all.
    pub(crate) traces: Option<f64>,
    /// What is at the other end of the tracing.
    pub(crate) back_end: BackEnd,
    /// Envoy only: one span a hop instead of one for the request and one for the attempt.
    pub(crate) one_span: bool,
    /// Envoy only: spans leave in batches of 512 instead of 5, its default.
    pub(crate) large_batches: bool,
    /// Routes in all, the one that matches last.
    pub(crate) routes: usize,
    /// Chaos rules on other routes.
    pub(crate) rules: usize,
    /// Endpoints of the cluster.
    pub(crate) endpoints: usize,
}

/// Back end of the tracing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BackEnd {
    /// Takes and checks every span.
    Live,
    /// Nobody listens on its port.
    Dead,
    /// Takes connections and never answers.
    Hanging,
}

impl Dress {
    /// A route and nothing else.
    pub(crate) fn plain(protocol: Protocol) -> Self {
        Self {
            protocol,
            hops: 1,
            tls: false,
            everything: false,
            traces: None,
            back_end: BackEnd::Live,
            one_span: false,
            large_batches: false,
            routes: 1,
            rules: 0,
            endpoints: 1,
        }
    }

    /// Everything on, with this share of traces.
    pub(crate) fn everything(protocol: Protocol, traces: f64) -> Self {
        Self {
            everything: true,
            traces: Some(traces),
            routes: 10,
            rules: 10,
            ..Self::plain(protocol)
        }
    }
}

/// Where things are.
pub(crate) struct Ground<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) cores: Cores,
    pub(crate) folder: &'a Path,
    pub(crate) upstream: &'a Upstream,
    pub(crate) certificates: &'a Certificates,
}

/// A contestant that answers.
pub(crate) struct Running {
    pub(crate) target: Target,
    pub(crate) processes: Vec<Process>,
    /// Pages with the proxy's own account of its spans.
    pub(crate) metrics: Vec<SocketAddr>,
    pub(crate) receiver: Option<Receiver>,
    /// Spans of one traced request.
    pub(crate) spans: usize,
    /// Answers before the load: each may have been traced.
    pub(crate) probes: u64,
    /// Holds the port of a back end that hangs.
    _hanging: Option<TcpListener>,
}

/// The back end of one contestant's tracing.
struct Tracing {
    url: Option<String>,
    receiver: Option<Receiver>,
    hanging: Option<TcpListener>,
}

impl Tracing {
    fn of(dress: &Dress) -> anyhow::Result<Self> {
        let mut tracing = Self {
            url: None,
            receiver: None,
            hanging: None,
        };
        if dress.traces.is_some() {
            match dress.back_end {
                BackEnd::Live => {
                    let receiver = Receiver::start()?;
                    tracing.url = Some(receiver.url());
                    tracing.receiver = Some(receiver);
                }
                BackEnd::Dead => tracing.url = Some(format!("http://{}", free_address()?)),
                BackEnd::Hanging => {
                    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                    tracing.url = Some(format!("http://{}", listener.local_addr()?));
                    tracing.hanging = Some(listener);
                }
            }
        }
        Ok(tracing)
    }
}

/// A hop to be started: what it listens on, and where it sends.
struct Hop {
    /// Unique among all processes of a run.
    name: String,
    listen: SocketAddr,
    to: SocketAddr,
    /// 0: the first, where the application sends its requests.
    index: usize,
    /// The last, before the upstream.
    last: bool,
}

impl Contestant {
    pub(crate) fn new(name: &'static str, kind: Kind, dress: Dress) -> Self {
        Self { name, kind, dress }
    }

    /// Starts its processes and waits for the first answer; the error says why it
    /// cannot take part.
    pub(crate) async fn start(&self, ground: &Ground<'_>) -> anyhow::Result<Running> {
        let tracing = Tracing::of(&self.dress)?;
        let mut running = Running {
            target: Target {
                address: match self.dress.protocol {
                    Protocol::Http1 => ground.upstream.http1,
                    Protocol::Http2 => ground.upstream.http2,
                },
                protocol: self.dress.protocol,
            },
            processes: Vec::new(),
            metrics: Vec::new(),
            receiver: tracing.receiver,
            spans: 0,
            probes: 0,
            _hanging: tracing.hanging,
        };
        let hops = if self.kind == Kind::Direct {
            0
        } else {
            self.dress.hops
        };
        // From the last to the first: each is told where the next listens.
        for index in (0..hops).rev() {
            let hop = Hop {
                name: format!("{}-{index}", self.name.replace([' ', ',', '%'], "-")),
                listen: free_address()?,
                to: running.target.address,
                index,
                last: index + 1 == hops,
            };
            self.start_hop(&hop, tracing.url.as_deref(), ground, &mut running)?;
            running.target.address = hop.listen;
        }
        first_answer(running.target, START)
            .await
            .with_context(|| self.says(ground, &running))?;
        running.probes = 1;
        Ok(running)
    }

    fn start_hop(
        &self,
        hop: &Hop,
        otlp: Option<&str>,
        ground: &Ground<'_>,
        running: &mut Running,
    ) -> anyhow::Result<()> {
        let command = match self.kind {
            Kind::Direct => return Ok(()),
            Kind::MeshProxy => {
                let metrics = free_address()?;
                running.metrics.push(metrics);
                running.spans += if hop.index == 0 { 2 } else { 1 };
                mesh_proxy::command(hop, &self.dress, otlp, metrics, ground)?
            }
            Kind::Envoy => {
                running.spans += if self.dress.one_span { 1 } else { 2 };
                envoy::command(hop, &self.dress, otlp, ground)?
            }
            Kind::Haproxy => others::haproxy(hop, &self.dress, ground)?,
            Kind::Nginx => others::nginx(hop, &self.dress, ground)?,
        };
        let process = Process::start(&hop.name, command, ground.cores, ground.folder)?;
        running.processes.push(process);
        Ok(())
    }

    /// The last lines of its logs, for the one who wonders why it does not answer.
    fn says(&self, ground: &Ground<'_>, running: &Running) -> String {
        let mut text = format!("{} does not answer", self.name);
        for process in &running.processes {
            let log = ground.folder.join(format!("{}.log", process.name()));
            let log = std::fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(3)..] {
                text.push_str("\n  ");
                text.push_str(line);
            }
        }
        text
    }
}

/// An address that nobody listens on now.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}
