//! The subscription to a console, played by a real server.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use mesh_proxy::config::{Ack, Policy, Registration, Report, Snapshot};
use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, channel, unbounded_channel};

use crate::support::{App, Proxy, config, full, get, policy, send, serve, text, within};

pub(crate) type Frames = Sender<Result<Frame<Bytes>, std::io::Error>>;

/// A console of which a test holds every stream.
pub(crate) struct Console {
    pub(crate) address: SocketAddr,
    streams: Receiver<(Registration, Frames)>,
    acks: Receiver<Ack>,
    reports: UnboundedReceiver<Report>,
}

impl Console {
    pub(crate) async fn start() -> Self {
        let (opened, streams) = channel(8);
        let (acked, acks) = channel(8);
        let (told, reports) = unbounded_channel();
        let address = serve(move |request| {
            let (opened, acked, told) = (opened.clone(), acked.clone(), told.clone());
            async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                if path == "/control/v1/ack" {
                    acked
                        .send(serde_json::from_slice(&body).unwrap())
                        .await
                        .unwrap();
                    return text(StatusCode::OK, "");
                }
                if path == "/control/v1/report" {
                    let _ = told.send(serde_json::from_slice(&body).unwrap());
                    return text(StatusCode::OK, "");
                }
                assert_eq!(path, "/control/v1/subscribe");
                let (frames, mut queued) = channel(8);
                let stream = futures_util::stream::poll_fn(move |cx| queued.poll_recv(cx));
                opened
                    .send((serde_json::from_slice(&body).unwrap(), frames))
                    .await
                    .unwrap();
                Response::new(StreamBody::new(stream).boxed_unsync())
            }
        })
        .await;
        Self {
            address,
            streams,
            acks,
            reports,
        }
    }

    pub(crate) async fn stream(&mut self) -> Frames {
        within(self.streams.recv()).await.unwrap().1
    }

    async fn ack(&mut self) -> Ack {
        within(self.acks.recv()).await.unwrap()
    }

    /// Puts a policy in force.
    pub(crate) async fn put(&mut self, stream: &Frames, revision: u64, policy: Policy) {
        push(stream, revision, policy).await;
        let ack = self.ack().await;
        assert_eq!((ack.revision, ack.problems.len()), (revision, 0), "{ack:?}");
    }

    /// The first report from now on of which this holds.
    pub(crate) async fn report(&mut self, wanted: impl Fn(&Report) -> bool) -> Report {
        within(async {
            loop {
                let report = self.reports.recv().await.unwrap();
                if wanted(&report) {
                    return report;
                }
            }
        })
        .await
    }

    /// Reports that came and were not looked at.
    pub(crate) fn reports_left(&mut self) -> Vec<Report> {
        std::iter::from_fn(|| self.reports.try_recv().ok()).collect()
    }

    /// A sidecar of `orders` that follows it.
    pub(crate) fn subscriber(&self) -> Proxy {
        subscriber(self.address)
    }
}

pub(crate) async fn beat(stream: &Frames) {
    stream.send(Ok(Frame::data("\n".into()))).await.unwrap();
}

pub(crate) async fn push(stream: &Frames, revision: u64, policy: Policy) {
    let mut line = serde_json::to_vec(&Snapshot { revision, policy }).unwrap();
    line.push(b'\n');
    // In two pieces: a line may come in any number of them.
    let rest = line.split_off(line.len() / 2);
    for piece in [line, rest] {
        stream.send(Ok(Frame::data(piece.into()))).await.unwrap();
    }
}

fn subscriber(console: SocketAddr) -> Proxy {
    let mut settings = config("orders", None, Policy::default());
    settings.control = Some(format!("http://{console}"));
    Proxy::start(settings)
}

fn routed(app: &App) -> Policy {
    policy(
        "
clusters: { payments: { endpoints: [$app] } }
routes: [{ name: payments, match: {}, cluster: payments }]
",
        &[("app", app.address)],
    )
}

#[tokio::test]
async fn a_sidecar_registers_applies_acknowledges_and_is_ready_then() {
    let (mut console, app) = (Console::start().await, App::fine().await);
    let proxy = subscriber(console.address);
    let (registration, stream) = within(console.streams.recv()).await.unwrap();
    assert_eq!(
        (
            registration.service.as_str(),
            registration.instance.as_str()
        ),
        ("orders", "orders-1")
    );
    assert_eq!(registration.admin, proxy.sidecar.admin_address());
    assert!(!proxy.readiness.is_ready());
    push(&stream, 7, routed(&app)).await;
    let ack = console.ack().await;
    assert_eq!((ack.revision, ack.problems.len()), (7, 0));
    assert!(proxy.readiness.is_ready());
    assert_eq!(
        send(proxy.out(), get("payments", "/")).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn bad_snapshots_are_refused_with_all_problems_and_the_old_one_stays() {
    let (mut console, app) = (Console::start().await, App::fine().await);
    let proxy = subscriber(console.address);
    let stream = console.stream().await;
    push(&stream, 1, routed(&app)).await;
    console.ack().await;
    push(
        &stream,
        2,
        policy(
            "routes: [{ name: a, match: {}, cluster: b }, { name: a, match: {}, cluster: b }]",
            &[],
        ),
    )
    .await;
    let refused = console.ack().await;
    assert_eq!(refused.revision, 2);
    assert!(refused.problems.len() >= 3, "{:?}", refused.problems);
    stream
        .send(Ok(Frame::data("{\"revision\": 3, \"polcy\": {}}\n".into())))
        .await
        .unwrap();
    let unread = console.ack().await;
    assert_eq!(unread.revision, 3);
    assert!(
        unread.problems[0].message.contains("polcy"),
        "{:?}",
        unread.problems
    );
    assert_eq!(proxy.sidecar.revision(), 1);
    assert_eq!(
        send(proxy.out(), get("payments", "/")).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_lost_console_is_found_again_and_traffic_goes_on_meanwhile() {
    let (mut console, app) = (Console::start().await, App::fine().await);
    let proxy = subscriber(console.address);
    let stream = console.stream().await;
    push(&stream, 1, routed(&app)).await;
    console.ack().await;
    drop(stream);
    assert_eq!(
        send(proxy.out(), get("payments", "/")).await.status,
        StatusCode::OK
    );
    let again = console.stream().await;
    push(&again, 2, routed(&app)).await;
    assert_eq!(console.ack().await.revision, 2);
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_given_up_and_a_heartbeat_keeps_it() {
    let mut console = Console::start().await;
    let _proxy = subscriber(console.address);
    let stream = console.stream().await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(4)).await;
        beat(&stream).await;
    }
    assert!(
        console.streams.try_recv().is_err(),
        "heartbeats kept the stream"
    );
    let begin = tokio::time::Instant::now();
    let _again = console.stream().await;
    assert!(
        begin.elapsed() >= Duration::from_secs(6),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn reconnects_are_spread_and_slow_down() {
    let knocks = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&knocks);
    let closed = serve(move |_| {
        log.lock().unwrap().push(tokio::time::Instant::now());
        async {
            let mut refusal = Response::new(full("not now"));
            *refusal.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            refusal
        }
    })
    .await;
    let _proxy = subscriber(closed);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let knocks = knocks.lock().unwrap();
    let pauses: Vec<Duration> = knocks.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((8..30).contains(&pauses.len()), "{pauses:?}");
    assert!(
        pauses[0] <= Duration::from_millis(110)
            && pauses.iter().all(|p| *p <= Duration::from_millis(2010)),
        "{pauses:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn streams_that_end_after_their_first_line_slow_down_too() {
    let mut console = Console::start().await;
    let _proxy = subscriber(console.address);
    let begin = tokio::time::Instant::now();
    for _ in 0..10 {
        let stream = console.stream().await;
        beat(&stream).await;
    }
    assert!(
        begin.elapsed() >= Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
}
