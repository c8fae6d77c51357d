//! What is measured: who, in which dress, under which load.

use crate::{
    contestants::{
        BackEnd, Contestant, Dress,
        Kind::{self, Direct, Envoy, Haproxy, MeshProxy, Nginx},
    },
    load::{
        Pace,
        Protocol::{self, Http1, Http2},
    },
};

/// Requests at once in closed loops.
const IN_FLIGHT: usize = 32;
/// Requests a second at a fixed rate.
const RATE: u64 = 1000;

/// One table of the report.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// For the command line.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    pub(crate) shape: Shape,
    /// The first of them that is Envoy is what ratios are to.
    pub(crate) contestants: Vec<Contestant>,
    /// What is wanted of the ratio of the first mesh-proxy to the reference.
    pub(crate) aim: Option<Aim>,
}

/// How it is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Under a load.
    Load(Pace),
    /// Idle, with connections, after them; and the time to start.
    Footprint,
}

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aim {
    /// CPU a request, at most so many times the reference's.
    Cpu(f64),
    /// Added 99th percentile, at most so many times the reference's.
    AddedP99(f64),
    /// CPU a request of every other mesh-proxy here within this share of the first's.
    Flat(f64),
    /// Memory: idle in bytes, and for each idle connection.
    Memory { idle: f64, connection: f64 },
}

/// All of them, in order.
pub(crate) fn all() -> Vec<Scenario> {
    [
        one_hop(),
        further_hops(),
        fixed_rate(),
        growth(),
        footprint(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn closed(name: &'static str, title: &'static str, contestants: Vec<Contestant>) -> Scenario {
    let in_flight = IN_FLIGHT;
    scenario(
        name,
        title,
        Shape::Load(Pace::Closed { in_flight }),
        contestants,
    )
}

fn paced(name: &'static str, title: &'static str, contestants: Vec<Contestant>) -> Scenario {
    let per_second = RATE;
    scenario(
        name,
        title,
        Shape::Load(Pace::Rate { per_second }),
        contestants,
    )
}

fn scenario(
    name: &'static str,
    title: &'static str,
    shape: Shape,
    contestants: Vec<Contestant>,
) -> Scenario {
    Scenario {
        name,
        title,
        shape,
        contestants,
        aim: None,
    }
}

impl Scenario {
    fn aim(self, aim: Aim) -> Self {
        Self {
            aim: Some(aim),
            ..self
        }
    }
}

fn one_hop() -> Vec<Scenario> {
    let traced = "everything on, 1 % traced";
    let all_traced = "everything on, 100 % traced";
    vec![
        closed("plain", "a route and nothing else", plain(Http1)),
        closed("plain-h2", "a route and nothing else, HTTP/2", plain(Http2)),
        closed("all-1", traced, everything(Http1, 0.01)).aim(Aim::Cpu(0.32)),
        closed("all-100", all_traced, everything(Http1, 1.0)).aim(Aim::Cpu(0.28)),
        closed(
            "all-1-h2",
            "HTTP/2, everything on, 1 % traced",
            everything(Http2, 0.01),
        ),
        closed(
            "all-100-h2",
            "HTTP/2, everything on, 100 % traced",
            everything(Http2, 1.0),
        ),
    ]
}

fn further_hops() -> Vec<Scenario> {
    let mutual = "two hops with mTLS between them, against two plain ones";
    vec![
        closed(
            "two-hops",
            "two hops, everything on, 100 % traced",
            two_hops(Http1),
        ),
        closed(
            "two-hops-h2",
            "two hops, HTTP/2, everything on, 100 % traced",
            two_hops(Http2),
        ),
        closed("two-hops-mtls", mutual, mutual_tls()).aim(Aim::Cpu(0.4)),
    ]
}

fn fixed_rate() -> Vec<Scenario> {
    let title = "1,000 requests a second, everything on, 1 % traced";
    let http2 = "1,000 requests a second, HTTP/2, everything on, 1 % traced";
    vec![
        paced("rate", title, at_rate(Http1)).aim(Aim::AddedP99(0.6)),
        paced("rate-h2", http2, at_rate(Http2)),
    ]
}

fn growth() -> Vec<Scenario> {
    let flat = Aim::Flat(0.1);
    let back_end = "a telemetry back end that is alive, dead, hanging";
    vec![
        closed("routes", "1 and 1,000 routes", routes()).aim(flat),
        closed("rules", "1 and 1,000 chaos rules on other routes", rules()).aim(flat),
        closed("endpoints", "1 and 1,000 endpoints", endpoints()).aim(flat),
        closed("back-end", back_end, back_ends()),
    ]
}

fn footprint() -> Vec<Scenario> {
    let (idle, connection) = (8e6, 8192.0);
    let all = five(&Dress::everything(Http1, 0.01));
    vec![
        scenario("memory", "memory and start", Shape::Footprint, all)
            .aim(Aim::Memory { idle, connection }),
    ]
}

fn one(name: &'static str, kind: Kind, dress: &Dress) -> Contestant {
    Contestant::new(name, kind, dress.clone())
}

fn five(dress: &Dress) -> Vec<Contestant> {
    vec![
        one("direct", Direct, dress),
        one("mesh-proxy", MeshProxy, dress),
        one("envoy", Envoy, dress),
        one("haproxy", Haproxy, dress),
        one("nginx", Nginx, dress),
    ]
}

fn plain(protocol: Protocol) -> Vec<Contestant> {
    five(&Dress::plain(protocol))
}

/// `HAProxy` and nginx have a log and no more; Envoy, where every request is traced, also
/// with half the spans and with batches as large as ours.
fn everything(protocol: Protocol, traces: f64) -> Vec<Contestant> {
    let dress = Dress::everything(protocol, traces);
    let mut all = five(&dress);
    if traces >= 1.0 {
        all.extend([
            one(
                "envoy, one span",
                Envoy,
                &Dress {
                    one_span: true,
                    ..dress.clone()
                },
            ),
            one(
                "envoy, large batches",
                Envoy,
                &Dress {
                    large_batches: true,
                    ..dress.clone()
                },
            ),
            one(
                "mesh-proxy, no tracing",
                MeshProxy,
                &Dress {
                    traces: None,
                    ..dress
                },
            ),
        ]);
    }
    all
}

fn at_rate(protocol: Protocol) -> Vec<Contestant> {
    five(&Dress::everything(protocol, 0.01))
}

fn two_hops(protocol: Protocol) -> Vec<Contestant> {
    five(&Dress {
        hops: 2,
        ..Dress::everything(protocol, 1.0)
    })
}

fn mutual_tls() -> Vec<Contestant> {
    let plain = Dress {
        hops: 2,
        ..Dress::everything(Http1, 1.0)
    };
    let tls = Dress {
        tls: true,
        ..plain.clone()
    };
    vec![
        one("mesh-proxy, mTLS", MeshProxy, &tls),
        one("envoy, plain", Envoy, &plain),
        one("envoy, mTLS", Envoy, &tls),
        one("mesh-proxy, plain", MeshProxy, &plain),
    ]
}

fn routes() -> Vec<Contestant> {
    let dress = Dress {
        routes: 1,
        rules: 0,
        ..Dress::everything(Http1, 0.01)
    };
    vec![
        one("1 route", MeshProxy, &dress),
        one(
            "1,000 routes",
            MeshProxy,
            &Dress {
                routes: 1000,
                ..dress
            },
        ),
    ]
}

fn rules() -> Vec<Contestant> {
    let dress = Dress {
        routes: 1000,
        rules: 1,
        ..Dress::everything(Http1, 0.01)
    };
    vec![
        one("1 rule", MeshProxy, &dress),
        one(
            "1,000 rules",
            MeshProxy,
            &Dress {
                rules: 1000,
                ..dress
            },
        ),
    ]
}

fn endpoints() -> Vec<Contestant> {
    let dress = Dress::everything(Http1, 0.01);
    vec![
        one("1 endpoint", MeshProxy, &dress),
        one(
            "1,000 endpoints",
            MeshProxy,
            &Dress {
                endpoints: 1000,
                ..dress
            },
        ),
    ]
}

fn back_ends() -> Vec<Contestant> {
    let dress = Dress::everything(Http1, 1.0);
    vec![
        one("alive", MeshProxy, &dress),
        one(
            "dead",
            MeshProxy,
            &Dress {
                back_end: BackEnd::Dead,
                ..dress.clone()
            },
        ),
        one(
            "hanging",
            MeshProxy,
            &Dress {
                back_end: BackEnd::Hanging,
                ..dress
            },
        ),
    ]
}
