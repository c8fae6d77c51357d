//! Calls to a collector that refuses, recovers, or says when it will have.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use opentelemetry_sdk::Resource;
use tokio::net::TcpListener;
use tonic::{
    Code, Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{Client, ExportSettings, Pauses};

fn settings(endpoint: String, headers: HeaderMap) -> ExportSettings {
    ExportSettings {
        endpoint,
        resource: Resource::builder_empty().build(),
        queue: 1,
        batch: 1,
        delay: Duration::ZERO,
        timeout: Duration::from_mins(1),
        try_timeout: Duration::from_secs(30),
        headers,
    }
}

/// Answers with these, the last first, and then well; keeps the headers of each call.
#[derive(Clone, Default)]
struct Collector {
    answers: Arc<Mutex<Vec<Status>>>,
    calls: Arc<Mutex<Vec<HeaderMap>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let headers = request.metadata().clone().into_headers();
        self.calls.lock().unwrap().push(headers);
        match self.answers.lock().unwrap().pop() {
            Some(refusal) => Err(refusal),
            None => Ok(Response::new(ExportTraceServiceResponse::default())),
        }
    }
}

/// What a client with these headers gets from a collector that answers so, and the
/// calls that it took.
async fn exported(
    answers: Vec<Status>,
    headers: HeaderMap,
) -> (Result<(), String>, Vec<HeaderMap>) {
    let collector = Collector::default();
    *collector.answers.lock().unwrap() = answers;
    let calls = Arc::clone(&collector.calls);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::builder()
        .add_service(TraceServiceServer::new(collector))
        .serve_with_incoming(TcpIncoming::from(listener));
    let server = crate::task::spawn("collector", server);
    let mut client = Client::new(&settings(endpoint, headers)).unwrap();
    let result = client.export(Bytes::new()).await;
    server.abort();
    let calls = calls.lock().unwrap().clone();
    (result, calls)
}

#[tokio::test]
async fn a_collector_that_recovers_gets_the_spans_after_all() {
    let answers = vec![Status::aborted("later"), Status::unavailable("starting")];
    let (result, calls) = exported(answers, HeaderMap::new()).await;
    assert_eq!(result, Ok(()));
    assert_eq!(calls.len(), 3);
}

#[tokio::test]
async fn one_that_does_not_is_asked_four_times() {
    let (result, calls) = exported(vec![Status::unavailable("no"); 9], HeaderMap::new()).await;
    assert_eq!(result, Err("gRPC code Unavailable".to_owned()));
    assert_eq!(calls.len(), 4);
}

#[tokio::test]
async fn what_it_will_never_take_is_not_sent_again() {
    let answers = vec![Status::invalid_argument("what?")];
    let (result, calls) = exported(answers, HeaderMap::new()).await;
    assert!(result.unwrap_err().contains("InvalidArgument"));
    assert_eq!(calls.len(), 1);
}

#[tokio::test]
async fn every_try_carries_the_headers_of_the_environment() {
    let mut headers = HeaderMap::new();
    headers.insert("api-key", "it is me".parse().unwrap());
    let (_, calls) = exported(vec![Status::unavailable("starting")], headers).await;
    assert_eq!(calls.len(), 2);
    for call in calls {
        assert_eq!(call["api-key"], "it is me");
        let agent = call["user-agent"].to_str().unwrap();
        assert!(agent.starts_with("mesh-telemetry/"), "{agent}");
    }
}

#[tokio::test]
async fn where_nobody_listens_the_error_says_so() {
    let nobody = settings("http://127.0.0.1:1".to_owned(), HeaderMap::new());
    let error = Client::new(&nobody).unwrap().export(Bytes::new()).await;
    let error = error.unwrap_err();
    assert!(error.contains("Unavailable"), "{error}");
    assert!(error.contains("refused"), "{error}");
}

#[tokio::test]
async fn tls_is_refused_with_a_reason() {
    let secured = settings("https://127.0.0.1:1".to_owned(), HeaderMap::new());
    let error = Client::new(&secured).unwrap_err().to_string();
    assert!(error.contains("https://127.0.0.1:1"), "{error}");
    assert!(error.contains("`http://`"), "{error}");
}

fn throttled(code: Code, seconds: u64) -> Status {
    let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(seconds)));
    Status::with_error_details(code, "slow down", details)
}

#[test]
fn pauses_double_and_end() {
    let mut pauses = Pauses::default();
    let refusal = Status::unavailable("no");
    for least in [100, 200, 400] {
        let pause = pauses.after(&refusal).unwrap().as_millis();
        assert!((least..=least + 100).contains(&pause), "{pause}");
    }
    assert_eq!(pauses.after(&refusal), None);
}

#[test]
fn a_collector_can_ask_for_longer_pauses_but_not_for_any() {
    let mut pauses = Pauses::default();
    let asked = pauses
        .after(&throttled(Code::ResourceExhausted, 5))
        .unwrap();
    assert!((5000..=5100).contains(&asked.as_millis()), "{asked:?}");
    let next = pauses.after(&Status::unavailable("no")).unwrap();
    assert!(next >= Duration::from_secs(10), "{next:?}");
    let most = pauses.after(&throttled(Code::Unavailable, 3600));
    assert_eq!(most, Some(Duration::from_secs(30)));
}

#[test]
fn one_that_is_full_is_asked_again_only_if_it_says_when() {
    let full = Status::resource_exhausted("full");
    assert_eq!(Pauses::default().after(&full), None);
}
