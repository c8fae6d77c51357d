//! A client of gRPC (tonic): the status that a call ends with.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::Semaphore, time::Instant};
use tonic::{Code, Status, client::Grpc, transport::Channel};

use crate::{
    grpc::{Raw, client, path, talker, text},
    support::{Proxy, policy, within},
};

const OUT: &str = "
clusters: { talk: { endpoints: [$app], consecutive_failures: 0 } }
routes: [{ name: talk, match: {}, cluster: talk, deadline: 30s }]
chaos: [{ id: bad, where: orders -> talk, for: 1h, $faults }]
";

const NODE: &str = "
inbound: { protocol: http2 }
chaos: [{ id: bad, where: payments, for: 1h, $faults }]
";

/// A client before a sidecar with this fault, and a server behind it.
struct Talk {
    client: Grpc<Channel>,
    _proxy: Proxy,
}

impl Talk {
    async fn edge(faults: &str) -> Self {
        let app = talker(Arc::new(Semaphore::new(0))).await;
        let yaml = OUT.replace("$faults", faults);
        let proxy = Proxy::outbound(policy(&yaml, &[("app", app.address)]));
        let client = client(proxy.out()).await;
        Self {
            client,
            _proxy: proxy,
        }
    }

    async fn node(faults: &str) -> Self {
        let app = talker(Arc::new(Semaphore::new(0))).await;
        let proxy = Proxy::inbound(app.address, policy(&NODE.replace("$faults", faults), &[]));
        let client = client(proxy.inn()).await;
        Self {
            client,
            _proxy: proxy,
        }
    }

    async fn both(faults: &str) -> [(Self, &'static str); 2] {
        [
            (Self::edge(faults).await, "edge"),
            (Self::node(faults).await, "node"),
        ]
    }

    async fn unary(&mut self, message: &str) -> Result<Bytes, Status> {
        self.client.ready().await.unwrap();
        let answer = self.client.unary(text(message), path("Unary"), Raw);
        Ok(within(answer).await?.into_inner())
    }

    /// Numbers from three down, and the status at the end.
    async fn countdown(&mut self) -> (Vec<Bytes>, Option<Status>) {
        self.client.ready().await.unwrap();
        let answer = self
            .client
            .server_streaming(text("3"), path("Countdown"), Raw);
        let mut answers = match within(answer).await {
            Ok(answers) => answers.into_inner(),
            Err(status) => return (Vec::new(), Some(status)),
        };
        let mut messages = Vec::new();
        loop {
            match within(answers.message()).await {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => return (messages, None),
                Err(status) => return (messages, Some(status)),
            }
        }
    }
}

#[tokio::test]
async fn an_abort_of_grpc_is_its_status_and_message() {
    let faults = "abort: { grpc: ABORTED, message: 'again, ä' }";
    for (mut talk, place) in Talk::both(faults).await {
        let status = talk.unary("hello").await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Aborted, "again, ä"),
            "{place}"
        );
        let (messages, status) = talk.countdown().await;
        assert_eq!(messages.len(), 0, "{place}");
        assert_eq!(status.unwrap().code(), Code::Aborted, "{place}");
    }
}

#[tokio::test]
async fn what_ends_a_call_of_http_ends_one_of_grpc_with_a_status_of_its_own() {
    for (faults, code, reason) in [
        ("abort: 503", Code::Unavailable, "fault_abort"),
        ("abort: 404", Code::Unimplemented, "fault_abort"),
        ("abort: 403", Code::PermissionDenied, "fault_abort"),
    ] {
        for (mut talk, place) in Talk::both(faults).await {
            let status = talk.unary("hello").await.unwrap_err();
            assert_eq!(status.code(), code, "{place}: {status:?}");
            let told = status.metadata().get("x-mesh-reason").unwrap();
            assert_eq!(told, reason, "{place}: {status:?}");
        }
    }
    for (faults, reason) in [
        ("reset: true", "fault_reset"),
        ("refuse: true", "fault_refuse"),
    ] {
        let status = Talk::edge(faults).await.unary("hello").await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        let told = status.metadata().get("x-mesh-reason").unwrap();
        assert_eq!(told, reason, "{status:?}");
    }
}

#[tokio::test]
async fn a_node_that_resets_gives_a_call_no_status_but_that_of_the_stream() {
    let mut talk = Talk::node("reset: true").await;
    let status = talk.unary("hello").await.unwrap_err();
    assert!(
        status.metadata().get("x-mesh-reason").is_none(),
        "{status:?}"
    );
    assert_ne!(status.code(), Code::Ok, "{status:?}");
}

#[tokio::test]
async fn delays_and_slow_links_make_calls_late_and_leave_them_whole() {
    for faults in ["delay: 300ms", "chunk_delay: 300ms", "throttle: 30B/s"] {
        for (mut talk, place) in Talk::both(faults).await {
            let begin = Instant::now();
            assert_eq!(talk.unary("hello").await.unwrap(), "hello", "{place}");
            assert!(
                begin.elapsed() >= Duration::from_millis(300),
                "{place}, {faults}"
            );
        }
    }
}

#[tokio::test]
async fn messages_of_a_stream_are_delayed_and_its_status_arrives() {
    for (mut talk, place) in Talk::both("chunk_delay: 100ms, throttle: 1KiB/s").await {
        let (messages, status) = talk.countdown().await;
        assert_eq!(messages, ["3", "2", "1"], "{place}");
        let status = status.unwrap();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Aborted, "lift-off"),
            "{place}"
        );
    }
}

#[tokio::test]
async fn a_call_that_hangs_ends_with_its_own_deadline() {
    for (mut talk, place) in Talk::both("hang: true").await {
        let mut request = text("hello");
        request.set_timeout(Duration::from_millis(300));
        let answer = talk
            .client
            .unary::<_, Bytes, _>(request, path("Unary"), Raw);
        let status = within(answer).await.unwrap_err();
        // The sidecar's word, or tonic's own when its timer is the first.
        let given_up = [Code::DeadlineExceeded, Code::Cancelled];
        assert!(given_up.contains(&status.code()), "{place}: {status:?}");
    }
}

#[tokio::test]
async fn changed_headers_are_changed_metadata() {
    let faults = "response_headers: { set: { x-new: b } }";
    for (mut talk, place) in Talk::both(faults).await {
        let answer = talk
            .client
            .unary::<_, Bytes, _>(text("hello"), path("Unary"), Raw);
        let answer = within(answer).await.unwrap();
        assert_eq!(answer.metadata().get("x-new").unwrap(), "b", "{place}");
    }
}

#[tokio::test]
async fn a_corrupted_message_cannot_be_decoded() {
    for (mut talk, place) in Talk::both("corrupt: 1KiB").await {
        let status = talk.unary("hello").await.unwrap_err();
        assert_eq!(status.code(), Code::Internal, "{place}: {status:?}");
    }
}

#[tokio::test]
async fn a_truncated_answer_ends_without_a_status() {
    for after in ["0B", "3B", "8B"] {
        for (mut talk, place) in Talk::both(&format!("truncate: {after}")).await {
            let (messages, status) = talk.countdown().await;
            let status = status.unwrap_or_else(|| panic!("{place}: an orderly end"));
            assert!(messages.len() <= 1, "{place}: {messages:?}");
            assert_ne!(status.code(), Code::Aborted, "{place}: {status:?}");
        }
    }
}
