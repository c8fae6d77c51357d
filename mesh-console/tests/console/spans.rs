//! Spans in by every way, and out through Jaeger's API.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value as Otlp},
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, Status,
        span::{Event, Link},
    },
};
use prost::Message;
use serde_json::{Value, json};

use crate::support::{Running, read, start, uri};

const TRACE: &str = "01010101010101010101010101010101";

fn attribute(key: &str, value: Otlp) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(value: &str) -> Otlp {
    Otlp::StringValue(value.to_owned())
}

fn span(id: u8, parent: Option<u8>, name: &str) -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![id; 8],
        parent_span_id: parent.map(|parent| vec![parent; 8]).unwrap_or_default(),
        name: name.to_owned(),
        kind: 2,
        start_time_unix_nano: 1_700_000_000_000_000_000 + u64::from(id) * 1_000_000,
        end_time_unix_nano: 1_700_000_000_000_000_000 + u64::from(id) * 1_000_000 + 2_500_000,
        ..Span::default()
    }
}

fn export(service: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![
                    attribute("service.name", text(service)),
                    attribute("service.instance.id", text("abc")),
                ],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "mesh-proxy".to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

/// An attempt that a rule hit, under a request, with a link to another trace.
fn faulted() -> Span {
    Span {
        kind: 3,
        attributes: vec![
            attribute("http.response.status_code", Otlp::IntValue(503)),
            attribute("mesh.balancer.load", Otlp::DoubleValue(0.5)),
            attribute("deep", Otlp::BoolValue(true)),
        ],
        events: vec![Event {
            time_unix_nano: 1_700_000_000_002_000_000,
            name: "mesh.fault".to_owned(),
            attributes: vec![attribute("rule", text("flaky"))],
            ..Event::default()
        }],
        links: vec![Link {
            trace_id: vec![9; 16],
            span_id: vec![8; 8],
            ..Link::default()
        }],
        status: Some(Status {
            code: 2,
            message: "503".to_owned(),
        }),
        ..span(2, Some(1), "attempt back")
    }
}

async fn grpc(console: &Running, request: ExportTraceServiceRequest) -> Option<i64> {
    let channel = tonic::transport::Endpoint::from_shared(uri(console.at.otlp_grpc, ""));
    let channel = channel.unwrap().connect().await.unwrap();
    let mut client = TraceServiceClient::new(channel).max_encoding_message_size(64 << 20);
    let answer = client.export(request).await.ok()?.into_inner();
    Some(
        answer
            .partial_success
            .map_or(0, |partial| partial.rejected_spans),
    )
}

async fn http(console: &Running, kind: &str, body: Vec<u8>) -> (StatusCode, Value) {
    let request = Request::post(uri(console.at.otlp_http, "/v1/traces"))
        .header("content-type", kind)
        .body(Full::<Bytes>::from(body));
    read(console.send(request.unwrap()).await).await
}

async fn trace(console: &Running) -> Value {
    let (status, answer) = console.get(&format!("/api/traces/{TRACE}")).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["data"][0].clone()
}

#[tokio::test]
async fn a_trace_sent_by_grpc_comes_out_as_jaeger_writes_it() {
    let console = start().await;
    let sent = export("front", vec![span(1, None, "outbound back"), faulted()]);
    assert_eq!(grpc(&console, sent).await, Some(0));
    grpc(
        &console,
        export("back", vec![span(3, Some(2), "inbound GET /")]),
    )
    .await;
    let trace = trace(&console).await;
    assert_eq!(trace["traceID"], TRACE);
    let attempt = &trace["spans"][1];
    assert_eq!(attempt["operationName"], "attempt back");
    assert_eq!(attempt["startTime"], 1_700_000_000_002_000_u64);
    assert_eq!(attempt["duration"], 2_500);
    assert_eq!(
        attempt["references"],
        json!([
            { "refType": "CHILD_OF", "traceID": TRACE, "spanID": "0101010101010101" },
            { "refType": "FOLLOWS_FROM", "traceID": "09090909090909090909090909090909", "spanID": "0808080808080808" },
        ])
    );
    for tag in [
        json!({ "key": "http.response.status_code", "type": "int64", "value": 503 }),
        json!({ "key": "mesh.balancer.load", "type": "float64", "value": 0.5 }),
        json!({ "key": "deep", "type": "bool", "value": true }),
        json!({ "key": "otel.scope.name", "type": "string", "value": "mesh-proxy" }),
        json!({ "key": "span.kind", "type": "string", "value": "client" }),
        json!({ "key": "error", "type": "bool", "value": true }),
        json!({ "key": "otel.status_code", "type": "string", "value": "ERROR" }),
    ] {
        assert!(
            attempt["tags"].as_array().unwrap().contains(&tag),
            "{tag} not in {attempt}"
        );
    }
    assert_eq!(
        attempt["logs"],
        json!([{ "timestamp": 1_700_000_000_002_000_u64, "fields": [
            { "key": "event", "type": "string", "value": "mesh.fault" },
            { "key": "rule", "type": "string", "value": "flaky" },
        ]}])
    );
    assert_eq!(trace["processes"]["p1"]["serviceName"], "front");
    assert_eq!(trace["processes"]["p2"]["serviceName"], "back");
    assert_eq!(attempt["warnings"], Value::Null);
    console.stop().await;
}

#[tokio::test]
async fn lists_searches_and_dependencies_answer_as_jaeger_does() {
    let console = start().await;
    grpc(
        &console,
        export("front", vec![span(1, None, "outbound back"), faulted()]),
    )
    .await;
    grpc(
        &console,
        export("back", vec![span(3, Some(2), "inbound GET /")]),
    )
    .await;
    let (_, services) = console.get("/api/services").await;
    assert_eq!(
        services,
        json!({ "data": ["back", "front"], "total": 2, "limit": 0, "offset": 0, "errors": null })
    );
    let (_, names) = console.get("/api/services/front/operations").await;
    assert_eq!(names["data"], json!(["attempt back", "outbound back"]));
    let (_, kinds) = console
        .get("/api/operations?service=front&spanKind=client")
        .await;
    assert_eq!(
        kinds["data"],
        json!([{ "name": "attempt back", "spanKind": "client" }])
    );
    let (_, links) = console.get("/api/dependencies").await;
    assert_eq!(
        links["data"],
        json!([{ "parent": "front", "child": "back", "callCount": 1 }])
    );
    let found = async |query: &str| {
        let (status, answer) = console.get(&format!("/api/traces?{query}")).await;
        assert_eq!(status, StatusCode::OK, "{query} {answer}");
        answer["data"].as_array().unwrap().len()
    };
    for (query, count) in [
        ("service=front", 1),
        ("service=nobody", 0),
        ("service=back&operation=attempt%20back", 0),
        (
            "service=front&operation=attempt+back&tags=%7B%22error%22%3A%22true%22%7D",
            1,
        ),
        (
            "service=front&operation=outbound+back&tags=%7B%22error%22%3A%22true%22%7D",
            0,
        ),
        (
            "service=front&tag=rule:flaky&tag=service.instance.id:abc",
            1,
        ),
        ("service=front&minDuration=2ms&maxDuration=3ms", 1),
        ("service=front&minDuration=3ms", 0),
        (
            "service=front&start=1600000000000000&end=1600000001000000&lookback=1h",
            0,
        ),
        (
            "service=front&start=1600000000000000&end=1800000000000000&limit=20",
            1,
        ),
        ("service=front&limit=0", 0),
        (&format!("traceID={TRACE}&traceID=ff"), 1),
    ] {
        assert_eq!(found(query).await, count, "{query}");
    }
    console.stop().await;
}

#[tokio::test]
async fn what_is_not_there_comes_in_jaegers_envelope() {
    let console = start().await;
    let (status, answer) = console.get(&format!("/api/traces/{TRACE}")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(
        answer,
        json!({ "data": null, "total": 0, "limit": 0, "offset": 0, "errors": [{ "code": 404, "msg": "trace not found" }] })
    );
    for path in [
        "/api/traces/nonsense",
        "/api/traces",
        "/api/traces?service=a&minDuration=1",
        "/api/operations",
    ] {
        let (status, answer) = console.get(path).await;
        assert_eq!(
            (status, &answer["errors"][0]["code"]),
            (StatusCode::BAD_REQUEST, &json!(400)),
            "{path}"
        );
    }
    console.stop().await;
}

#[tokio::test]
async fn http_takes_protobuf_and_json_and_both_ports_take_both() {
    let console = start().await;
    let sent = export("front", vec![span(1, None, "by protobuf")]).encode_to_vec();
    assert_eq!(
        http(&console, "application/x-protobuf", sent).await.0,
        StatusCode::OK
    );
    let sent = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [{
        "traceId": TRACE, "spanId": "0404040404040404", "name": "by json", "kind": 1,
        "startTimeUnixNano": "1700000000005000000", "endTimeUnixNano": "1700000000006000000",
    }, { "traceId": "00", "spanId": "" }] }] }] });
    let (status, answer) = http(
        &console,
        "application/json; charset=utf-8",
        sent.to_string().into(),
    )
    .await;
    assert_eq!(
        (status, &answer["partialSuccess"]["rejectedSpans"]),
        (StatusCode::OK, &json!("1"))
    );
    let (status, summaries) = console.get("/api/mesh/traces?filter=all&limit=5").await;
    assert_eq!(
        (status, &summaries[0]["spans"]),
        (StatusCode::OK, &json!(2))
    );
    assert_eq!(summaries[0]["name"], "by protobuf");
    let request = Request::post(uri(console.at.otlp_grpc, "/v1/traces"))
        .header("content-type", "application/json")
        .body(Full::from("{}"));
    assert_eq!(
        console.send(request.unwrap()).await.status(),
        StatusCode::OK
    );
    console.stop().await;
}

#[tokio::test]
async fn hostile_exports_are_survived_and_cut_to_size() {
    let console = start().await;
    let mut huge = span(1, Some(2), "huge");
    huge.attributes = vec![attribute("x", text(&"y".repeat(3 << 20)))];
    let looped = span(2, Some(1), "looped");
    let twice = Span {
        name: "another".to_owned(),
        ..span(2, None, "")
    };
    assert_eq!(
        grpc(
            &console,
            export("front", vec![huge, looped, twice, Span::default()])
        )
        .await,
        Some(1)
    );
    let trace = trace(&console).await;
    assert!(trace.to_string().len() < 20_000);
    let warnings: Vec<&Value> = trace["spans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|span| &span["warnings"])
        .collect();
    assert!(
        warnings[0][0]
            .as_str()
            .unwrap()
            .contains("lead back to itself"),
        "{warnings:?}"
    );
    assert!(
        warnings[1][0]
            .as_str()
            .unwrap()
            .contains("another span with this id"),
        "{warnings:?}"
    );
    let mut oversize = span(1, None, "");
    oversize.attributes = vec![attribute("x", text(&"y".repeat(5 << 20)))];
    assert_eq!(
        grpc(&console, export("front", vec![oversize.clone()])).await,
        None
    );
    let body = export("front", vec![oversize]).encode_to_vec();
    assert_eq!(
        http(&console, "application/x-protobuf", body).await.0,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for (kind, body, status) in [
        (
            "application/x-protobuf",
            b"\xff\xff\xff".to_vec(),
            StatusCode::BAD_REQUEST,
        ),
        (
            "application/json",
            deep.into_bytes(),
            StatusCode::BAD_REQUEST,
        ),
        ("text/plain", Vec::new(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        assert_eq!(http(&console, kind, body).await.0, status, "{kind}");
    }
    console.stop().await;
}

#[tokio::test]
async fn a_listener_hears_of_the_requests_of_its_service_as_they_pass() {
    let console = start().await;
    let mut lines = console.tap("service=front").await;
    let request = Span {
        kind: 1,
        attributes: vec![
            attribute("mesh.source", text("front")),
            attribute("mesh.destination", text("back")),
            attribute("http.request.method", text("GET")),
            attribute("url.path", text("/things")),
            attribute("mesh.attempts", Otlp::IntValue(2)),
            attribute("http.response.status_code", Otlp::IntValue(200)),
        ],
        ..span(1, None, "outbound back")
    };
    let arrived = Span {
        kind: 2,
        ..request.clone()
    };
    let spans = vec![arrived, faulted(), request];
    assert_eq!(grpc(&console, export("front", spans)).await, Some(0));
    let heard: Value = serde_json::from_str(&lines.next().await.unwrap()).unwrap();
    assert_eq!(
        heard["direction"], "outbound",
        "what arrives at back is not front's"
    );
    assert_eq!(heard["path"], "/things");
    assert_eq!(heard["attempts"], 2);
    assert_eq!(heard["faults"], json!(["flaky"]), "that of its attempt");
    assert_eq!(heard["trace_id"], TRACE);
    assert!((heard["duration_ms"].as_f64().unwrap() - 2.5).abs() < 1e-9);
    console.stop().await;
}
