//! curl, as people start it: what it prints, and the code it exits with.

use std::{net::SocketAddr, time::Duration};

use tokio::process::Command;

use super::{PRODUCTS, Struck, edge, node};
use crate::support::within;

/// What came of a call.
#[derive(Debug)]
struct Run {
    exit: i32,
    status: u16,
    seconds: f64,
    head: String,
    body: Vec<u8>,
    message: String,
}

/// Calls `/products` with these options; none: there is no curl here.
async fn curl(address: SocketAddr, options: &[&str]) -> Option<Run> {
    let heads = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("curl");
    command
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "50",
            "--output",
            "-",
        ])
        .args(["--noproxy", "*", "--header", "host: payments"])
        .args(["--write-out", "%{stderr}\n%{http_code} %{time_total}"])
        .arg("--dump-header")
        .arg(heads.path())
        .args(options)
        .arg(format!("http://{address}/products"))
        .kill_on_drop(true);
    let output = match within(command.output()).await {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skipped();
            return None;
        }
        Err(error) => panic!("curl cannot be started: {error}"),
    };
    let told = String::from_utf8(output.stderr).unwrap();
    let (message, numbers) = told.rsplit_once('\n').unwrap();
    let (status, seconds) = numbers.split_once(' ').unwrap();
    Some(Run {
        exit: output.status.code().unwrap(),
        status: status.parse().unwrap(),
        seconds: seconds.parse().unwrap(),
        head: std::fs::read_to_string(heads.path()).unwrap(),
        body: output.stdout,
        message: message.to_owned(),
    })
}

#[expect(clippy::print_stderr, reason = "whoever runs the tests should know")]
fn skipped() {
    eprintln!("curl is not installed: what it would see was not tested (./test.sh installs it)");
}

const HTTP1: &[&str] = &[];
const HTTP2: &[&str] = &["--http2-prior-knowledge"];

/// On an edge and at a node, over both protocols.
async fn everywhere(faults: &str, check: impl Fn(&Run, &str)) {
    for (struck, place) in [(edge(faults).await, "edge"), (node(faults).await, "node")] {
        for options in [HTTP1, HTTP2] {
            let Some(run) = curl(struck.address, options).await else {
                return;
            };
            check(&run, &format!("{place} {options:?}: {run:#?}"));
        }
    }
}

/// Exit code and status over HTTP/1.1 and HTTP/2.
async fn codes(struck: &Struck, wanted: [(i32, u16); 2]) {
    for (options, wanted) in [HTTP1, HTTP2].into_iter().zip(wanted) {
        let Some(run) = curl(struck.address, options).await else {
            return;
        };
        assert_eq!((run.exit, run.status), wanted, "{options:?}: {run:#?}");
    }
}

#[tokio::test]
async fn curl_waits_out_a_delay_and_a_slow_link() {
    for faults in ["delay: 300ms", "chunk_delay: 300ms", "throttle: 200B/s"] {
        everywhere(faults, |run, shown| {
            assert_eq!((run.exit, run.status), (0, 200), "{shown}");
            assert_eq!(run.body, PRODUCTS.as_bytes(), "{shown}");
            assert!(run.seconds >= 0.3, "{shown}");
        })
        .await;
    }
}

#[tokio::test]
async fn curl_shows_the_words_of_an_abort_and_fails_where_it_is_asked_to() {
    let struck = node("abort: { status: 503, body: 'no stock' }").await;
    codes(&struck, [(0, 503), (0, 503)]).await;
    let Some(run) = curl(struck.address, &["--fail"]).await else {
        return;
    };
    assert_eq!(run.exit, 22, "{run:?}");
    let run = curl(struck.address, &[]).await.unwrap();
    assert_eq!(run.body, b"no stock", "{run:?}");
    assert!(run.head.contains("x-mesh-reason: fault_abort"), "{run:?}");
}

#[tokio::test]
async fn curl_sees_answers_of_the_sidecar_on_an_edge_and_broken_connections_at_a_node() {
    codes(&edge("reset: true").await, [(0, 502), (0, 502)]).await;
    codes(&edge("refuse: true").await, [(0, 503), (0, 503)]).await;
    codes(&super::refusing_node().await, [(0, 503), (0, 503)]).await;
    // 56: failure in receiving data (connection reset); 92: error in a stream of HTTP/2.
    codes(&node("reset: true").await, [(56, 0), (92, 0)]).await;
}

#[tokio::test]
async fn curl_loses_its_patience_with_what_hangs() {
    for struck in [edge("hang: true").await, node("hang: true").await] {
        for protocol in [HTTP1, HTTP2] {
            let options = [protocol, &["--max-time", "0.5"]].concat();
            let Some(run) = curl(struck.address, &options).await else {
                return;
            };
            assert_eq!((run.exit, run.status), (28, 0), "{run:#?}"); // 28: timed out
        }
    }
}

#[tokio::test]
async fn curl_shows_changed_headers() {
    let faults =
        "request_headers: { set: { x-tag: chaos } }, response_headers: { remove: [x-version] }";
    everywhere(faults, |run, shown| {
        assert!(run.head.contains("x-tag: chaos"), "{shown}");
        assert!(!run.head.contains("x-version"), "{shown}");
    })
    .await;
}

#[tokio::test]
async fn curl_takes_a_corrupted_body_for_a_good_one() {
    everywhere("corrupt: 64B", |run, shown| {
        assert_eq!((run.exit, run.status), (0, 200), "{shown}");
        assert_eq!(run.body.len(), PRODUCTS.len(), "{shown}");
        assert!(
            run.body.iter().any(|byte| (1..=4).contains(byte)),
            "{shown}"
        );
    })
    .await;
}

#[tokio::test]
async fn curl_notices_a_truncated_body() {
    for struck in [edge("truncate: 20B").await, node("truncate: 20B").await] {
        // 18: a partial file; 92: error in a stream of HTTP/2.
        codes(&struck, [(18, 200), (92, 200)]).await;
        let Some(run) = curl(struck.address, &[]).await else {
            return;
        };
        assert_eq!(run.body, &PRODUCTS.as_bytes()[..20], "{run:#?}");
        assert!(run.message.contains("bytes remaining to read"), "{run:#?}");
    }
}

#[tokio::test]
async fn curl_repeats_by_itself_what_fails_at_first() {
    // Requests of curl have no trace of their own: each is another one, and by number
    // the first alone is struck.
    let struck = node("abort: 503, first_requests: 1").await;
    let options = ["--retry", "2", "--retry-delay", "1"];
    let Some(run) = curl(struck.address, &options).await else {
        return;
    };
    assert_eq!((run.exit, run.status), (0, 200), "{run:#?}");
    assert!(run.seconds < Duration::from_secs(50).as_secs_f64());
    assert_eq!(struck.app.count(), 1);
}
