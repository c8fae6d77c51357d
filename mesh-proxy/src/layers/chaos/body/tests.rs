//! Works on bodies of any frames, with a paused clock.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use mesh_telemetry::proxy::{Direction, FaultInjected, RequestOutcome, RequestScope, Sink};
use proptest::prelude::*;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{Work, Works, afflict};
use crate::{
    body::{Body, BodyError, Response},
    config::{Delay, FaultKind, Rule, Throttle, Truncate},
    error::ProxyError,
    layers::chaos::{
        chance::Chance,
        rule::{Armed, Clock, Rules},
        victim::{Mark, Victim},
    },
};

const HOUR: Duration = Duration::from_hours(1);

/// A rule in force, a request that it strikes, and where the record goes.
struct Bench {
    rules: Rules,
    sink: Sink,
    scope: RequestScope,
}

impl Bench {
    fn new() -> Self {
        let rule: Rule =
            serde_saphyr::from_str("{ id: bad, where: payments, corrupt: 1B, for: 24h }").unwrap();
        let sink = Sink::disconnected();
        let scope = scope(&sink);
        Self {
            rules: Rules::arm(&[rule], &Rules::default(), Clock::read()),
            sink,
            scope,
        }
    }

    fn rule(&self) -> Arc<Armed> {
        Arc::clone(self.rules.iter().next().unwrap())
    }

    /// The rule is taken back.
    fn end(&self) {
        Rules::arm(&[], &self.rules, Clock::read());
    }

    fn work<T>(&self, kind: FaultKind, what: T) -> Work<T> {
        let fault = FaultInjected::new(self.rule().id(), kind.as_str(), 0, 0.0, 100.0);
        Work {
            what,
            held: Mark::new(Victim::Request(self.scope.clone()), fault),
        }
    }

    /// No works yet.
    fn works(&self) -> Works {
        Works {
            chunk_delay: None,
            throttle: None,
            corrupt: None,
            truncate: None,
            rule: self.rule(),
            kept: self.rule().receipt().strike(),
        }
    }

    fn delaying(&self, delay: &str) -> Works {
        let delay: Delay = delay.parse().unwrap();
        let work = (delay, chance(FaultKind::ChunkDelay));
        Works {
            chunk_delay: Some(self.work(FaultKind::ChunkDelay, work)),
            ..self.works()
        }
    }

    fn throttling(&self, rate: u64) -> Works {
        Works {
            throttle: Some(self.work(FaultKind::Throttle, Throttle { rate })),
            ..self.works()
        }
    }

    fn corrupting(&self, stretch: u64) -> Works {
        let work = (stretch, chance(FaultKind::Corrupt));
        Works {
            corrupt: Some(self.work(FaultKind::Corrupt, work)),
            ..self.works()
        }
    }

    fn truncating(&self, after: u64) -> Works {
        Works {
            truncate: Some(self.work(FaultKind::Truncate, Truncate { after })),
            ..self.works()
        }
    }

    fn affected(&self) -> u64 {
        self.rule().receipt().affected()
    }

    /// Ends the request; the line of its record about the fault.
    fn record(&self) -> String {
        self.scope.finish(RequestOutcome::default());
        self.sink.take()[0].describe()
    }
}

fn scope(sink: &Sink) -> RequestScope {
    let head = http::Request::new(()).into_parts().0;
    RequestScope::begin(sink, Direction::Outbound, &head)
}

fn chance(kind: FaultKind) -> Chance {
    Chance::of(0, "bad", kind, [7; 16], 1)
}

/// A body of these frames; its length is not known beforehand.
fn frames(frames: Vec<Vec<u8>>) -> Body {
    let frames = frames.into_iter();
    let frames = frames.map(|data| Ok::<_, std::io::Error>(Frame::data(Bytes::from(data))));
    Body::new(StreamBody::new(futures_util::stream::iter(frames)))
}

fn worked(body: Body, works: Works) -> Body {
    afflict(Response::new(body), works).into_body()
}

/// All pieces and when they came, and how it ended.
async fn pieces(mut body: Body) -> (Vec<(Duration, Bytes)>, Result<(), BodyError>) {
    let (begin, mut pieces) = (Instant::now(), Vec::new());
    loop {
        match body.frame().await {
            None => return (pieces, Ok(())),
            Some(Err(error)) => return (pieces, Err(error)),
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap();
                pieces.push((begin.elapsed(), data));
            }
        }
    }
}

fn joined(pieces: &[(Duration, Bytes)]) -> Vec<u8> {
    pieces.iter().flat_map(|(_, data)| data.to_vec()).collect()
}

fn differences(one: &[u8], other: &[u8]) -> Vec<usize> {
    assert_eq!(one.len(), other.len());
    (0..one.len()).filter(|&at| one[at] != other[at]).collect()
}

/// A runtime with a paused clock, for the tests that proptest runs.
fn paused<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(test)
}

fn cut_up() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..12)
}

proptest! {
    #[test]
    fn a_throttled_body_is_whole_and_never_faster(cut_up in cut_up(), rate in 1_u64..1 << 20) {
        let sent = cut_up.concat();
        let (pieces, end) = paused(async {
            pieces(worked(frames(cut_up), Bench::new().throttling(rate))).await
        });
        prop_assert!(end.is_ok());
        prop_assert_eq!(joined(&pieces), &sent[..]);
        let rate = rate as f64;
        let mut arrived = 0.0;
        for (time, piece) in pieces.iter().filter(|(_, piece)| !piece.is_empty()) {
            // No more than 50 ms worth in a piece; of one byte, however slow.
            prop_assert!(piece.len() as f64 <= (rate * 0.05).max(1.0));
            arrived += piece.len() as f64;
            prop_assert!(arrived <= rate * time.as_secs_f64() + 1e-6);
            // A timer rings a millisecond late, and a bit of that may be caught up later.
            prop_assert!(time.as_secs_f64() <= arrived / rate + 0.01, "{time:?} for {arrived}");
        }
    }

    #[test]
    fn a_corrupted_body_keeps_its_frames_and_no_body_is_spared(
        cut_up in cut_up(), stretch in 1_u64..5000,
    ) {
        let sent = cut_up.concat();
        let lengths: Vec<usize> = cut_up.iter().map(Vec::len).collect();
        let (pieces, end) = paused(async {
            pieces(worked(frames(cut_up), Bench::new().corrupting(stretch))).await
        });
        prop_assert!(end.is_ok());
        let seen: Vec<usize> = pieces.iter().map(|(_, piece)| piece.len()).collect();
        prop_assert_eq!(seen, lengths);
        let changed = differences(&sent, &joined(&pieces));
        prop_assert_eq!(changed.is_empty(), sent.is_empty());
        // One in each stretch: any two stretches in a row hold one whole one.
        for pair in changed.windows(2) {
            prop_assert!(((pair[1] - pair[0]) as u64) < 2 * stretch);
        }
    }

    #[test]
    fn where_a_body_is_corrupted_does_not_depend_on_its_frames(
        cut_up in cut_up(), size in 1_usize..400, stretch in 1_u64..500,
    ) {
        let sent = cut_up.concat();
        let otherwise = sent.chunks(size).map(<[u8]>::to_vec).collect();
        let arrived = |cut_up| paused(async {
            joined(&pieces(worked(frames(cut_up), Bench::new().corrupting(stretch))).await.0)
        });
        prop_assert_eq!(arrived(cut_up), arrived(otherwise));
    }

    #[test]
    fn a_truncated_body_is_whole_up_to_the_break(cut_up in cut_up(), after in 0_u64..3000) {
        let sent = cut_up.concat();
        let (pieces, end) = paused(async {
            pieces(worked(frames(cut_up), Bench::new().truncating(after))).await
        });
        let after = usize::try_from(after).unwrap();
        prop_assert_eq!(joined(&pieces), &sent[..sent.len().min(after)]);
        prop_assert_eq!(end.is_err(), sent.len() > after);
    }

    #[test]
    fn all_works_together_keep_their_promises(cut_up in cut_up(), after in 0_u64..3000) {
        let sent = cut_up.concat();
        let (arrived, end) = paused(async {
            let bench = Bench::new();
            let works = Works {
                chunk_delay: bench.delaying("exponential:10ms").chunk_delay,
                throttle: bench.throttling(1000).throttle,
                corrupt: bench.corrupting(50).corrupt,
                ..bench.truncating(after)
            };
            let (pieces, end) = pieces(worked(frames(cut_up), works)).await;
            assert_eq!(bench.affected(), 0);
            (joined(&pieces), end)
        });
        let kept = sent.len().min(usize::try_from(after).unwrap());
        prop_assert_eq!(end.is_err(), sent.len() > kept);
        prop_assert_eq!(differences(&sent[..kept], &arrived).is_empty(), kept == 0);
    }

    #[test]
    fn corrupted_json_is_json_no_more(
        names in prop::collection::vec("[\\PC]{0,20}", 1..8), prices: [i64; 8], stretch in 1_u64..200,
        pretty: bool, fate: [u8; 16],
    ) {
        let products: Vec<_> = names.iter().zip(prices)
            .map(|(name, price)| serde_json::json!({ "name": name, "price": price, "left": null }))
            .collect();
        let json = if pretty { serde_json::to_vec_pretty(&products) } else { serde_json::to_vec(&products) };
        let json = json.unwrap();
        let arrived = paused(async {
            let bench = Bench::new();
            let chance = Chance::of(0, "bad", FaultKind::Corrupt, fate, 1);
            let corrupt = Some(bench.work(FaultKind::Corrupt, (stretch, chance)));
            let works = Works { corrupt, ..bench.works() };
            joined(&pieces(worked(Body::from(json.clone()), works)).await.0)
        });
        prop_assert!(!differences(&json, &arrived).is_empty());
        let read = serde_json::from_slice::<serde::de::IgnoredAny>(&arrived);
        prop_assert!(read.is_err(), "{}", String::from_utf8_lossy(&arrived));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_comes_before_each_frame_and_holds_the_sender_back() {
    let bench = Bench::new();
    let (sender, mut receiver) = mpsc::channel::<Bytes>(1);
    let stream = futures_util::stream::poll_fn(move |cx| {
        let polled = receiver.poll_recv(cx);
        polled.map(|data| data.map(|data| Ok::<_, std::io::Error>(Frame::data(data))))
    });
    let body = worked(Body::new(StreamBody::new(stream)), bench.delaying("1s"));
    let sending = mesh_telemetry::task::spawn("sender", async move {
        let begin = Instant::now();
        for _ in 0..4 {
            sender.send(Bytes::from_static(b"frame")).await.unwrap();
        }
        begin.elapsed().as_secs()
    });
    let (pieces, _) = pieces(body).await;
    let times: Vec<u64> = pieces.iter().map(|(time, _)| time.as_secs()).collect();
    assert_eq!(times, [1, 2, 3, 4]);
    // One is paused before, one is in the channel, and the next waits for its place.
    assert_eq!(sending.await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_takes_as_long_as_it_should_and_bursts_little() {
    let bench = Bench::new();
    let body = worked(vec![7; 50 * 1024].into(), bench.throttling(10 * 1024));
    let begin = Instant::now();
    let (pieces, _) = pieces(body).await;
    let took = begin.elapsed().as_secs_f64();
    assert!(
        (5.0..5.05).contains(&took),
        "{took} s for 50 KiB at 10 KiB/s"
    );
    for (time, _) in &pieces {
        let until = *time + Duration::from_millis(100);
        let window = pieces.iter().filter(|(at, _)| (*time..until).contains(at));
        let burst: usize = window.map(|(_, piece)| piece.len()).sum();
        assert!(burst <= 2 * 1024, "{burst} bytes within 100 ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_comes_late_gets_little_at_once() {
    let bench = Bench::new();
    let mut body = worked(vec![7; 10 * 1024].into(), bench.throttling(1024));
    body.frame().await.unwrap().unwrap();
    tokio::time::sleep(HOUR).await;
    let (mut begin, mut at_once) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_millis(1) {
        begin = Instant::now();
        at_once += body
            .frame()
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap()
            .len();
    }
    assert!(at_once <= 1024 / 10 + 1, "{at_once} bytes at once");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_written_down_as_kept_back_from_the_first_pause_on() {
    for slow in ["chunk_delay", "throttle"] {
        let bench = Bench::new();
        let works = match slow {
            "throttle" => bench.throttling(1),
            _ => bench.delaying("1h"),
        };
        let mut body = worked("hello".into(), works);
        let moment = Duration::from_millis(10);
        assert!(timeout(moment, body.frame()).await.is_err());
        let record = bench.record();
        assert!(record.contains(&format!("fault={slow}")), "{record}");
        drop(body);
    }
}

#[tokio::test(start_paused = true)]
async fn one_byte_in_so_many_is_changed_on_average() {
    let bench = Bench::new();
    let sent = vec![b'a'; 64 * 1000];
    let body = worked(sent.clone().into(), bench.corrupting(64));
    let (pieces, _) = pieces(body).await;
    assert_eq!(differences(&sent, &joined(&pieces)).len(), 1000);
    let record = bench.record();
    assert!(record.contains("bytes=1000"), "{record}");
}

#[test]
fn a_byte_is_changed_anywhere_in_a_body_of_known_length() {
    let places: std::collections::HashSet<usize> = (0..200_u8)
        .map(|fate| {
            let chance = Chance::of(0, "bad", FaultKind::Corrupt, [fate; 16], 1);
            let sent = Bytes::from_static(b"0123456789");
            let (arrived, changed) =
                super::corrupt::Corrupt::new(64, chance, 10).pass(sent.clone());
            assert_eq!(changed, 1);
            differences(&sent, &arrived)[0]
        })
        .collect();
    assert_eq!(places.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_truncated_body_breaks_off_by_a_fault_and_says_where() {
    let bench = Bench::new();
    let mut body = worked("hello, world".into(), bench.truncating(5));
    assert_eq!(
        body.size_hint().exact(),
        Some(12),
        "what was announced stays"
    );
    let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(piece, "hello");
    assert!(!body.is_end_stream());
    let error = body.frame().await.unwrap().unwrap_err();
    let first: &dyn std::error::Error = &error;
    let mut causes = std::iter::successors(Some(first), |cause| cause.source());
    assert!(
        causes.any(<dyn std::error::Error>::is::<ProxyError>),
        "{error}"
    );
    assert!(body.is_end_stream() && body.frame().await.is_none());
    assert_eq!(bench.affected(), 0);
    let record = bench.record();
    assert!(record.contains("bytes=5"), "{record}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_ends_where_it_would_break_is_whole() {
    for after in [5, 6] {
        let bench = Bench::new();
        for body in [
            Body::from("hello"),
            frames(vec![b"hel".into(), b"lo".into()]),
        ] {
            let (pieces, end) = pieces(worked(body, bench.truncating(after))).await;
            assert!(end.is_ok());
            assert_eq!(joined(&pieces), b"hello");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_break_does_not_wait_for_what_will_never_go_on() {
    let bench = Bench::new();
    let stalled = futures_util::stream::pending::<Result<Frame<Bytes>, std::io::Error>>();
    let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"hello")))]);
    let body = Body::new(StreamBody::new(futures_util::StreamExt::chain(
        first, stalled,
    )));
    let body = Body::new(Announced(body, 5 + 7));
    let (pieces, end) = timeout(HOUR, pieces(worked(body, bench.truncating(5))))
        .await
        .unwrap();
    assert_eq!(joined(&pieces), b"hello");
    assert!(end.is_err());
}

/// A body whose length was announced: so many bytes are still to come.
struct Announced(Body, u64);

impl http_body::Body for Announced {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = std::pin::Pin::new(&mut self.0).poll_frame(cx);
        if let std::task::Poll::Ready(Some(Ok(frame))) = &polled {
            self.1 -= frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        polled
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.1)
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_pass_and_so_do_errors() {
    let bench = Bench::new();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let sent = [
        Frame::data(Bytes::from_static(b"hello")),
        Frame::trailers(trailers.clone()),
    ];
    let stream = futures_util::stream::iter(sent.map(Ok::<_, std::io::Error>));
    let works = Works {
        throttle: bench.throttling(10).throttle,
        truncate: bench.truncating(5).truncate,
        ..bench.delaying("1s")
    };
    let body = worked(Body::new(StreamBody::new(stream)), works);
    let all = body.collect().await.unwrap();
    assert_eq!(all.trailers(), Some(&trailers));
    assert_eq!(all.to_bytes(), "hello");
    let broken = [
        Ok(Frame::data(Bytes::from_static(b"a"))),
        Err(std::io::Error::other("torn")),
    ];
    let body = Body::new(StreamBody::new(futures_util::stream::iter(broken)));
    let (pieces, end) = pieces(worked(body, bench.throttling(10))).await;
    assert_eq!(joined(&pieces), b"a");
    assert!(end.unwrap_err().to_string().contains("torn"));
}

#[tokio::test(start_paused = true)]
async fn what_is_still_to_come_is_known_all_along() {
    let bench = Bench::new();
    let works = Works {
        corrupt: bench.corrupting(3).corrupt,
        ..bench.throttling(100)
    };
    let mut body = worked(vec![0; 64].into(), works);
    let mut left = 64;
    while left > 0 {
        assert_eq!(body.size_hint().exact(), Some(left));
        assert!(!body.is_end_stream());
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        left -= piece.len() as u64;
    }
    assert!(body.is_end_stream() && body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_ends_lets_go_of_bodies_at_once() {
    for works in [
        (|bench| bench.delaying("1h")) as fn(&Bench) -> Works,
        |bench| bench.throttling(1),
        |bench| Works {
            throttle: bench.throttling(1).throttle,
            ..bench.truncating(100)
        },
    ] {
        let bench = Bench::new();
        let body = worked(vec![7; 1000].into(), works(&bench));
        assert_eq!(bench.affected(), 1);
        let (ended, ()) = tokio::join!(pieces(body), async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            bench.end();
        });
        let (pieces, end) = ended;
        let last = pieces.last().unwrap().0;
        assert!(last < Duration::from_millis(5_100), "{last:?}");
        assert_eq!(joined(&pieces).len(), 1000);
        assert!(end.is_ok(), "it was not to break off any more");
        assert_eq!(bench.affected(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_leaves_ends_the_works() {
    let bench = Bench::new();
    let mut body = worked("hello".into(), bench.delaying("1h"));
    timeout(Duration::from_secs(3), body.frame())
        .await
        .unwrap_err();
    assert_eq!(bench.affected(), 1);
    drop(body);
    assert_eq!(bench.affected(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_rule_cannot_work_on_is_let_go_as_it_is() {
    let bench = Bench::new();
    let nothing = afflict(Response::new(Body::from("hello")), bench.works());
    let empty = afflict(Response::new(Body::empty()), bench.truncating(0));
    let mut switching = Response::new(frames(vec![b"tunnel".into()]));
    *switching.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
    let switching = afflict(switching, bench.truncating(0));
    assert_eq!(bench.affected(), 0, "none of them is wrapped");
    for (answer, wanted) in [(nothing, "hello"), (empty, ""), (switching, "tunnel")] {
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, wanted);
    }
}
